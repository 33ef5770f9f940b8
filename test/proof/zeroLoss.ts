/**
 * The zero-loss run: real processes, `acks: inSync, minInSync: 1`; writers go up and down under a steady load of writes and reads of
 * all levels, while owners, readers and the operator are killed and stopped at random moments. Prints what was done and counted;
 * exits with 1 where an acknowledged write is lost, a linearizable read is stale or a session goes back.
 */
import { parseArgs } from "node:util";
import { connect } from "../../client/index.ts";
import { systemClock } from "../../core/clock.ts";
import { randomFrom } from "../support/random.ts";
import { startProofCluster, type ProofCluster } from "./cluster.ts";
import { startLoad, type Load } from "./load.ts";

const usage = `Usage: node test/proof/zeroLoss.ts [--minutes 30] [--seed N] [--writes 10000] [--reads 2000] [--faults 110] [--changes 20] [--history FILE]`;
const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    seed: { type: "string", default: String(process.pid) },
    writes: { type: "string", default: "10000" },
    reads: { type: "string", default: "2000" },
    faults: { type: "string", default: "110" },
    changes: { type: "string", default: "20" },
    history: { type: "string", default: "" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const [minutes, seed, faultsWanted, changesWanted] = [
  Number(values.minutes),
  Number(values.seed),
  Number(values.faults),
  Number(values.changes),
];
const clock = systemClock;
const random = randomFrom(seed);
const startMs = clock.nowMs();
const say = (text: string): void => {
  console.log(`${((clock.nowMs() - startMs) / 1000).toFixed(1).padStart(7)} s  ${text}`);
};
const yaml = (writers: number): string => `apiVersion: edis.dev/v1alpha1
kind: ShardCluster
metadata: { name: demo }
spec:
  writers: ${writers}
  readers: ${readersWanted}
  durability: { acks: inSync, minInSync: 1 }
`;
const readersWanted = 10;
const wishes = [5, 2, 4, 3];

const done = new Map<string, number>();
const count = (what: string): void => void done.set(what, (done.get(what) ?? 0) + 1);

/** Sends a signal; a stopped process goes on after a while. False where there is no such process now. */
const hit = async (pid: number | null, ms: number | null): Promise<boolean> => {
  if (pid === null) return false;
  try {
    process.kill(pid, ms === null ? "SIGKILL" : "SIGSTOP");
    if (ms === null) return true;
    await clock.sleep(ms);
    process.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
};

/** One fault, of a kind and to somebody that the seed says. */
const strike = async (cluster: ProofCluster, owners: () => readonly string[]): Promise<void> => {
  const kind = random.pick(["owner", "owner", "reader", "reader", "operator"]);
  const isKill = random.below(2) === 0;
  const ms = isKill ? null : 300 + random.below(5_000);
  const how = isKill ? "killed" : `stopped for ${ms ?? 0} ms`;
  if (kind === "operator") {
    if (!(await hit(cluster.operatorPid(), ms))) return;
    say(`operator ${how}`);
    count(`operator ${isKill ? "killed" : "stopped"}`);
    if (!isKill) return;
    await clock.sleep(100 + random.below(3_000));
    cluster.startOperator();
    return;
  }
  const owning = owners();
  const others = cluster.pods().filter((pod) => !owning.includes(pod));
  const pods = kind === "owner" ? owning : others;
  if (pods.length === 0) return;
  const pod = random.pick(pods);
  if (!(await hit(cluster.pid(pod), ms))) return;
  say(`${kind} ${pod} ${how}`);
  count(`${kind} ${isKill ? "killed" : "stopped"}`);
};

const progress = (load: Load): string => {
  const { acknowledged, unknown, refused, reads, readFailures, longestGapMs } = load.counts;
  const all = reads.linearizable + reads.session + reads.eventual;
  return `${acknowledged} writes acknowledged, ${unknown} unknown, ${refused} refused; ${all} reads, ${readFailures} failed; longest gap ${longestGapMs.toFixed(0)} ms; ${load.violations.length} violations`;
};

const cluster = await startProofCluster(yaml(3), () => random.below(2 ** 30) / 2 ** 30);
say(`seed ${seed}, ${minutes} minutes, ${cluster.folder}`);
const client = await connect({ info: cluster.info, connectMs: 30_000, timeoutMs: 20_000 });
const owners = (): readonly string[] =>
  client.topology().shards.flatMap(({ owner }) => (owner === null ? [] : [owner.pod]));
const isEven = (writers: number): boolean => {
  const { shards, moves } = client.topology();
  return shards.length === writers && moves.length === 0 && shards.every(({ slots }) => slots.length > 0);
};
const isWell = (): boolean =>
  client
    .topology()
    .shards.every(
      ({ phase, owner, inSync }) => phase.kind === "stable" && owner !== null && inSync.length > 0,
    );
const until = async (holds: () => boolean, what: string, withinMs: number): Promise<void> => {
  const untilMs = clock.nowMs() + withinMs;
  while (!holds()) {
    if (clock.nowMs() > untilMs) throw new Error(`not within ${withinMs / 1000} s: ${what}`);
    await clock.sleep(50);
  }
};
await until(isWell, "every shard has an owner and a reader in sync", 60_000);
const load = startLoad({
  ...{ client, clock, random, lanes: 2_000, history: values.history },
  ...{ writesPerSecond: Number(values.writes), readsPerSecond: Number(values.reads) },
});
const endMs = clock.nowMs() + minutes * 60_000;
let changes = 0;

const change = async (): Promise<void> => {
  const everyMs = (minutes * 60_000) / (changesWanted + 1);
  let nextMs = clock.nowMs() + everyMs / 2;
  while (clock.nowMs() < endMs) {
    await clock.sleep(100);
    if (clock.nowMs() < nextMs) continue;
    nextMs += everyMs;
    const writers = wishes[changes % wishes.length] ?? 3;
    cluster.wish(yaml(writers));
    changes++;
    say(`writers: ${writers} wanted; ${progress(load)}`);
    const wishedMs = clock.nowMs();
    while (!isEven(writers) && clock.nowMs() < Math.min(nextMs - 200, endMs)) await clock.sleep(50);
    say(
      isEven(writers)
        ? `writers: ${writers} there after ${((clock.nowMs() - wishedMs) / 1000).toFixed(1)} s`
        : `writers: ${writers} not there yet when the next change is due`,
    );
  }
};
const disturb = async (): Promise<void> => {
  const everyMs = (minutes * 60_000) / (faultsWanted * 1.1);
  while (clock.nowMs() < endMs) {
    await clock.sleep(everyMs * (0.5 + random.below(1_000) / 1_000));
    if (clock.nowMs() < endMs) await strike(cluster, owners);
  }
};
await Promise.all([change(), disturb()]);
cluster.startOperator();
await until(
  () => isWell() && isEven(wishes[(changes - 1) % wishes.length] ?? 3),
  "all is well again",
  120_000,
);
say("well again");
const { keys, lost } = await load.finish();

const faults = [...done.values()].reduce((sum, n) => sum + n, 0);
console.log(
  `${faults} faults: ${[...done].map(([what, n]) => `${what} ${n}`).join(", ")}; ${changes} changes of writers`,
);
console.log(progress(load));
console.log(`reads: ${JSON.stringify(load.counts.reads)}`);
console.log(`${keys} keys read at the end: ${lost.length} acknowledged writes lost`);
for (const text of [...lost.slice(0, 50), ...load.violations]) console.log(text);
client.close();
await cluster.stop();
const isGood = lost.length + load.violations.length === 0;
const isEnough = faults >= faultsWanted && changes >= changesWanted && load.counts.acknowledged > 0;
if (isGood && !isEnough) console.log("too few faults or changes to mean what was wanted");
console.log(isGood && isEnough ? "1 passed, 0 failed" : "0 passed, 1 failed");
process.exit(isGood && isEnough ? 0 : 1);
