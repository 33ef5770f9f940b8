import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { randomBytes } from "node:crypto";
import { connectToShard, set, type ShardClient } from "../test/support/shardClient.ts";
import {
  firstWriter,
  freezeAll,
  isLower,
  lowerHalf,
  secondWriter,
  startMoveWorld,
} from "../test/support/shardMove.ts";

/**
 * How fast slots move between two shard processes, and what writes meanwhile feel: nothing but the shards, with no operator.
 * Usage: node bench/moves.ts [--keys 2000000] [--bytes 100] [--rounds 3] [--rate 0] [--env NAME=VALUE …]
 */
const { values } = parseArgs({
  options: {
    keys: { type: "string", default: "2000000" },
    bytes: { type: "string", default: "100" },
    rounds: { type: "string", default: "3" },
    rate: { type: "string", default: "0" },
    profile: { type: "boolean", default: false },
  },
});
const [keys, bytes, rounds, rate] = [values.keys, values.bytes, values.rounds, values.rate].map(Number) as [
  number,
  number,
  number,
  number,
];

const nameOf = (i: number): string => `key:${String(i).padStart(12, "0")}`;

const fill = async (client: ShardClient): Promise<void> => {
  const text = randomBytes(bytes / 2).toString("hex");
  const frame = 2_000;
  let asked: Promise<unknown>[] = [];
  for (let i = 0; i < keys; i += frame) {
    const count = Math.min(frame, keys - i);
    asked.push(client.ask(Array.from({ length: count }, (_, j) => set(nameOf(i + j), text))));
    if (asked.length === 8) asked = await Promise.all(asked).then(() => []);
  }
  await Promise.all(asked);
};

/** Writes to keys of either half, `rate` a second, at whichever shard has them; how long each took. */
type Load = {
  /** What took how long since the last time, sorted. */
  readonly phase: () => readonly number[];
  readonly stop: () => Promise<void>;
};
const load = (clients: readonly ShardClient[]): Load => {
  let took: number[] = [];
  const open: Promise<void>[] = [];
  let isOver = false;
  const one = async (key: string): Promise<void> => {
    const fromMs = performance.now();
    let shard = isLower(key) ? lowerAt : 0;
    for (;;) {
      const result = (await clients[shard]?.ask([set(key, "v".repeat(bytes))], { shard }))?.[0];
      if (result?.kind === "set") break;
      shard = lowerAt = 1;
    }
    took.push(performance.now() - fromMs);
  };
  let due = performance.now();
  const tick = setInterval(() => {
    if (isOver) return;
    for (; due < performance.now(); due += 1000 / rate)
      open.push(one(nameOf(Math.floor(Math.random() * keys))));
  }, 1);
  return {
    phase: () => {
      const sorted = took.sort((a, b) => a - b);
      took = [];
      return sorted;
    },
    stop: async () => {
      isOver = true;
      clearInterval(tick);
      await Promise.all(open);
    },
  };
};
let lowerAt = 0;

const share = (sorted: readonly number[], part: number): string =>
  (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(1);

for (let round = 0; round < rounds; round++) {
  lowerAt = 0;
  const world = await startMoveWorld(
    values.profile ? { nodeArguments: ["--cpu-prof", "--cpu-prof-dir=/tmp/prof"] } : {},
  );
  const clients = await Promise.all(
    [firstWriter, secondWriter].map((pod) => connectToShard(world.address(pod))),
  );
  const [first] = clients;
  if (first === undefined) throw new Error("there are two");
  await fill(first);
  const loading = rate > 0 ? load(clients) : null;
  const calm = loading === null ? [] : await sleep(3_000).then(loading.phase);
  const fromMs = performance.now();
  world.begin(lowerHalf);
  const copied = await world.said(secondWriter, (move) => move.kind === "target" && move.holds !== null);
  const copiedMs = performance.now() - fromMs;
  const copying = loading?.phase() ?? [];
  await freezeAll(world);
  world.commit();
  const frozenMs = performance.now() - fromMs - copiedMs;
  await sleep(loading === null ? 0 : 300);
  const after = loading?.phase() ?? [];
  await loading?.stop();
  console.log(
    `${copied.keys} keys in ${Math.round(copiedMs)} ms: ${Math.round(copied.keys / copiedMs)} k keys/s; frozen and given over in ${Math.round(frozenMs)} ms`,
  );
  if (loading !== null)
    for (const [name, took] of Object.entries({ calm, copying, after }))
      console.log(
        `  ${name}: ${took.length} writes: p50 ${share(took, 0.5)} p99 ${share(took, 0.99)} p99.9 ${share(took, 0.999)} max ${share(took, 1 - 1e-9)} ms`,
      );
  for (const client of clients) client.close();
  if (values.profile) for (const one of world.processes.values()) one.signal("SIGTERM");
  if (values.profile) await Promise.all([...world.processes.values()].map(({ ended }) => ended));
  await world.stop();
}
