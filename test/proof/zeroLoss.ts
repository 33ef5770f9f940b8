/**
 * The zero-loss run: real processes, `acks: inSync, minInSync: 1`; writers go up and down under a steady load of writes and reads of
 * all levels, while owners, readers and the operator are killed and stopped at random moments. Prints what was done and counted;
 * exits with 1 where an acknowledged write is lost, a read shows what it may not, or too little was done to mean anything.
 */
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { connect, type Client } from "../../client/index.ts";
import { systemClock } from "../../core/clock.ts";
import { randomFrom } from "../support/random.ts";
import { startProofCluster } from "./cluster.ts";
import { createFaults } from "./faults.ts";
import { startLoad } from "./load.ts";

const usage = `Usage: node test/proof/zeroLoss.ts [--minutes 30] [--seed N] [--writes 10000] [--reads 2000] [--faults 120] [--changes 24]
  [--readers 10] [--history FILE] [--mutant NAME]
--writes, --reads: a second. --history: every operation, a line of JSON each, for test/sim/checker/checkFile.ts. --mutant: shards leave
out a rule (test/sim/mutantList.ts): the run must fail then.`;
const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    seed: { type: "string", default: String(process.pid) },
    writes: { type: "string", default: "10000" },
    reads: { type: "string", default: "2000" },
    faults: { type: "string", default: "120" },
    changes: { type: "string", default: "24" },
    readers: { type: "string", default: "10" },
    history: { type: "string", default: "" },
    mutant: { type: "string", default: "" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const numberOf = (name: "minutes" | "seed" | "writes" | "reads" | "faults" | "changes"): number =>
  Number(values[name]);
const wanted = { faults: numberOf("faults"), changes: numberOf("changes") };
const wishes = [5, 2, 4, 3];
const lagMsMax = 2_000;
/** Of the writes that were wanted: fewer, and the load was not what it says. */
const acknowledgedShareMin = 0.5;

const clock = systemClock;
const random = randomFrom(numberOf("seed"));
const startMs = clock.nowMs();
const say = (text: string): void => {
  console.log(`${((clock.nowMs() - startMs) / 1000).toFixed(1).padStart(7)} s  ${text}`);
};
const yaml = (writers: number): string => `apiVersion: edis.dev/v1alpha1
kind: ShardCluster
metadata: { name: demo }
spec:
  writers: ${writers}
  readers: ${values.readers}
  reads: { lagMsMax: ${lagMsMax} }
  durability: { acks: inSync, minInSync: 1 }
`;

const has = ({ topology }: Client, writers: number): boolean => {
  const { shards, moves } = topology();
  return shards.length === writers && moves.length === 0 && shards.every(({ slots }) => slots.length > 0);
};
const isWell = ({ topology }: Client): boolean =>
  topology().shards.every(
    ({ phase, owner, inSync }) => phase.kind === "stable" && owner !== null && inSync.length > 0,
  );
type Within = { readonly ms: number; readonly nowMs: () => number };
const until = async (holds: () => boolean, what: string, within: Within): Promise<void> => {
  const untilMs = within.nowMs() + within.ms;
  while (!holds()) {
    if (within.nowMs() > untilMs) throw new Error(`not within ${within.ms / 1000} s: ${what}`);
    await clock.sleep(20);
  }
};

const program = (): string => {
  if (values.mutant === "") return fileURLToPath(new URL("../../dist/shard.cjs", import.meta.url));
  process.env["MUTANT"] = values.mutant;
  return fileURLToPath(new URL("mutantShard.ts", import.meta.url));
};
const cluster = await startProofCluster(yaml(3), {
  program: program(),
  random: () => random.below(2 ** 30) / 2 ** 30,
});
say(`seed ${values.seed}, ${values.minutes} minutes, ${cluster.folder}`);
const client = await connect({ info: cluster.info, connectMs: 30_000, timeoutMs: 20_000 });
await until(() => isWell(client) && has(client, 3), "every shard has an owner and a reader in sync", {
  ...{ ms: 60_000, nowMs: clock.nowMs },
});
const load = startLoad({
  ...{ client, clock, random, lanes: 2_000, lagMsMax, history: values.history },
  ...{ writesPerSecond: numberOf("writes"), readsPerSecond: numberOf("reads") },
});
let wholeMs = numberOf("minutes") * 60_000;
// Whoever has to end it early still hears what was found until then.
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.once(name, () => {
    wholeMs = Math.min(wholeMs, load.ranMs());
  });
const faults = createFaults({
  ...{ cluster, clock, random, say },
  owners: () => client.topology().shards.flatMap(({ owner }) => (owner === null ? [] : [owner.pod])),
});
const faultsDone = (): number => [...faults.done.values()].reduce((sum, n) => sum + n, 0);
const sumOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, n) => sum + n, 0);

const progress = (): string => {
  const { acknowledged, unknown, refused, reads, failedReads, gapMsMax, waitMsMax } = load.counts;
  const perSecond = acknowledged / (load.ranMs() / 1000);
  return `${acknowledged} writes acknowledged (${perSecond.toFixed(0)}/s), ${unknown} unknown, ${sumOf(refused)} refused; ${sumOf(reads)} reads, ${sumOf(failedReads)} failed; longest gap ${gapMsMax.toFixed(0)} ms, longest wait ${waitMsMax.toFixed(0)} ms; ${load.violations.length} violations`;
};

let changes = 0;
let reached = 0;
const change = async (): Promise<void> => {
  const everyMs = wholeMs / (wanted.changes + 0.5);
  for (let dueMs = everyMs / 2; ; dueMs += everyMs) {
    while (load.ranMs() < Math.min(dueMs, wholeMs)) await clock.sleep(20);
    if (load.ranMs() >= wholeMs) return;
    const writers = wishes[changes % wishes.length] ?? 3;
    cluster.wish(yaml(writers));
    changes++;
    say(`writers: ${writers} wanted; ${progress()}`);
    const wishedMs = clock.nowMs();
    const isOver = (): boolean => load.ranMs() >= Math.min(dueMs + everyMs, wholeMs) - 200;
    while (!has(client, writers) && !isOver()) await clock.sleep(20);
    if (has(client, writers)) reached++;
    say(
      has(client, writers)
        ? `writers: ${writers} there after ${((clock.nowMs() - wishedMs) / 1000).toFixed(1)} s`
        : `writers: ${writers} not there yet: turns round`,
    );
  }
};
const disturb = async (): Promise<void> => {
  const struck: Promise<void>[] = [];
  for (;;) {
    const left = Math.max(1, wanted.faults * 1.05 + 2 - faultsDone());
    const everyMs = (wholeMs - load.ranMs()) / left;
    const nextMs = load.ranMs() + everyMs * (0.3 + (random.below(1_000) / 1_000) * 1.4);
    while (load.ranMs() < Math.min(nextMs, wholeMs)) await clock.sleep(20);
    if (load.ranMs() >= wholeMs) break;
    // Nobody waits for its end: they overlap as they come.
    struck.push(faults.strike());
  }
  await Promise.all(struck);
};
await Promise.all([change(), disturb()]);
cluster.startOperator();
const lastWish = wishes[(changes - 1) % wishes.length] ?? 3;
const endedMs = clock.nowMs();
await until(() => isWell(client) && has(client, lastWish), "all is well again", {
  ...{ ms: 120_000, nowMs: load.ranMs },
});
say(`well again after ${((clock.nowMs() - endedMs) / 1000).toFixed(1)} s`);
const { keys, lost } = await load.finish();

const { counts, latency, violations } = load;
const ms = (percent: number): string => (latency.percentile(percent) / 1e6).toFixed(1);
console.log(
  `${faultsDone()} faults: ${[...faults.done].map(([what, n]) => `${what} ${n}`).join(", ")}; ${changes} changes of writers, ${reached} there before the next`,
);
console.log(`${(wholeMs / 60_000).toFixed(1)} minutes of load; ${progress()}`);
if (counts.stoodMs > 0)
  console.log(
    `the load itself stood still for ${(counts.stoodMs / 1000).toFixed(1)} s, which is not in its rates`,
  );
console.log(`a write took: p50 ${ms(50)} ms, p99 ${ms(99)} ms, p99.9 ${ms(99.9)} ms`);
console.log(
  `reads: ${JSON.stringify(counts.reads)}; failed: ${JSON.stringify(counts.failedReads)}; writes refused: ${JSON.stringify(counts.refused)}`,
);
console.log(`${keys} keys read at the end: ${lost.length} acknowledged writes lost`);
for (const text of [...lost.slice(0, 50), ...violations]) console.log(text);
client.close();
await cluster.stop();

const happened = (what: string): boolean => (faults.done.get(what) ?? 0) > 0;
const isGood = lost.length + violations.length === 0;
const isEnough =
  faultsDone() >= wanted.faults &&
  changes >= wanted.changes &&
  happened("owner killed") &&
  happened("owner stopped") &&
  counts.acknowledged >= (acknowledgedShareMin * numberOf("writes") * wholeMs) / 1000 &&
  Object.values(counts.reads).every((n) => n > 0);
if (isGood && !isEnough) console.log("too little was done to mean what was wanted");
const isPassed = isGood && isEnough;
if (isPassed) rmSync(cluster.folder, { recursive: true, force: true });
console.log(isPassed ? "1 passed, 0 failed" : "0 passed, 1 failed");
process.exit(isPassed ? 0 : 1);
