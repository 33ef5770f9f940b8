/**
 * The zero-loss run on a real Kubernetes: a load at all read levels on a cluster with acks: inSync, and one fault after the other,
 * in an order that EDIS_E2E_SEED gives, for EDIS_E2E_MINUTES (10). What it needs is told as to the cluster tests (run.ts). Prints what
 * was done and when, then counts, and for each loaded slot the availability of writes and the longest gap. Ends badly where an
 * acknowledged write is lost, a read shows what it may not, or where too little happened to mean something.
 * EDIS_E2E_HISTORY names a file that gets the history, one operation a line.
 */
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { randomFrom } from "../support/random.ts";
import { faultList, type Fault } from "./chaos.ts";
import { apply, expect, sleep, until } from "./kube.ts";
import { loadPod } from "./loadPod.ts";
import { seconds } from "./report.ts";
import {
  cleanUp,
  cluster,
  image,
  in_,
  install,
  namespace,
  operatorsReady,
  ready,
  said,
  setUp,
} from "./world.ts";

const minutes = Number(process.env["EDIS_E2E_MINUTES"] ?? "10");
const seed = Number(process.env["EDIS_E2E_SEED"] ?? "1");
const historyPath = process.env["EDIS_E2E_HISTORY"] ?? "";
const random = randomFrom(seed);
const startMs = performance.now();
const say = (text: string): void => {
  console.log(`${seconds(performance.now() - startMs).padStart(8)}  ${text}`);
};

/** Long enough for a node to be missed, for pods to come back and for everybody to catch up. */
const healMsMax = 240_000;
const healed = (): Promise<number> =>
  until("everything is well again", healMsMax, async () => {
    await operatorsReady();
    return (await ready("demo")) === "True" ? undefined : said("demo");
  });

/** All faults in an order of their own, again and again. */
const shuffled = (faults: readonly Fault[]): Fault[] => {
  const left = [...faults];
  return faults.map(() => left.splice(random.below(left.length), 1)[0]).filter((one) => one !== undefined);
};

const runFaults = async (): Promise<ReadonlyMap<string, number>> => {
  const done = new Map<string, number>();
  const faults = faultList(random);
  const untilMs = performance.now() + minutes * 60_000;
  let next: Fault[] = [];
  while (performance.now() < untilMs) {
    if (next.length === 0) next = shuffled(faults);
    const fault = next.pop();
    if (fault === undefined) break;
    // What takes a node away begins when all is well: with two operators, one of them is left.
    if (fault.waits) await healed();
    try {
      say(`${fault.name}: ${await fault.act()}`);
      done.set(fault.name, (done.get(fault.name) ?? 0) + 1);
    } catch (error) {
      // Such as a pod that is gone already: what was meant to happen did not, and does not count.
      say(`${fault.name} could not be done: ${error instanceof Error ? error.message : String(error)}`);
    }
    // One node at a time: two of three would leave some shard without a majority of its pods.
    if (fault.waits) say(`well again after ${seconds(await healed())}`);
    else await sleep(1_000 + random.below(4_000));
  }
  say(`well again after ${seconds(await healed())}`);
  return done;
};

const keepHistory = (): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn("kubectl", [...in_, "exec", "load", "--", "cat", "/tmp/history"]);
    child.stdout.pipe(createWriteStream(historyPath)).on("close", resolve).on("error", reject);
  });

await setUp();
await install();
await apply(cluster("demo", "{writers: 3, readers: 6, durability: {acks: inSync, minInSync: 1}}"));
await healed();
const environment = historyPath === "" ? {} : { LOAD_HISTORY: "/tmp/history" };
const load = loadPod({ namespace, image, cluster: "demo", environment });
await load.start();
say(`seed ${seed}, ${minutes} minutes`);
const done = await runFaults();
const { verified, lost, wrong, lanes, last } = await load.end();
if (historyPath !== "") await keepHistory();

for (const [name, count] of done) console.log(`fault: ${name}: ${count}`);
for (const { slot, writes, gapMsMax, availability } of lanes)
  console.log(
    `slot ${slot}: ${writes} writes acknowledged, available ${(100 * availability).toFixed(3)} %, longest gap ${gapMsMax} ms`,
  );
const { writes, reads, writeFailures, readFailures, violations } = last;
console.log(
  `${writes} writes acknowledged, ${writeFailures} not; ${reads} reads answered, ${readFailures} not`,
);
console.log(`${verified} keys read at the end; ${lost.length} acknowledged writes lost`);
console.log(
  `${violations.linearizable} linearizable reads stale, ${violations.session} session reads back, ${violations.eventual} eventual reads too old, ${violations.write} writes that found one before them lost`,
);
for (const text of [...lost, ...wrong, ...last.failures.map((failure) => JSON.stringify(failure))])
  console.log(text);
if (process.env["EDIS_E2E_KEEP"] === undefined) await cleanUp();
const faultsDone = [...done.values()].reduce((sum, count) => sum + count, 0);
const wrongs = Object.values(violations).reduce((sum, count) => sum + count, 0);
expect(lost.length + wrongs + wrong.length === 0, "the run found a violation");
expect(verified > 0 && writes > minutes * 60 * 100, "too few writes to mean something");
expect(faultsDone >= minutes, "too few faults to mean something");
