import { setTimeout as sleep } from "node:timers/promises";
import { connectToShard, set, type ShardClient } from "../test/support/shardClient.ts";
import { addressOf, startPair, streaming, writerPodName } from "../test/support/shardPair.ts";
import { shardOwnedBy } from "../test/support/shardInfo.ts";
import { startShardProcess } from "../test/support/shardProcess.ts";
import { spread } from "./spread.ts";

/**
 * How long a new reader of a shard with many keys takes from its start until it streams, under writes, and what the
 * writes see of it. Usage: node bench/copy.ts [keys] [writes a second]
 */
const keys = Number(process.argv[2] ?? 1_000_000);
const rate = Number(process.argv[3] ?? 5_000);
const value = new Uint8Array(100).fill(120);
const perFrame = 50;

const main = async (): Promise<void> => {
  const pair = await startPair();
  const writer = await connectToShard(pair.writerAddress);
  const filledFrom = performance.now();
  for (let from = 0; from < keys; from += 20_000) {
    await Promise.all(
      Array.from({ length: 20 }, (_, frame) =>
        writer.ask(Array.from({ length: 1_000 }, (_, i) => set(`key:${from + frame * 1_000 + i}`, value))),
      ),
    );
  }
  console.log(`filled with ${keys} keys in ${elapsed(filledFrom)} s`);
  await sleep(500);
  const calm = await writesWhile(writer, () => sleep(3_000));
  console.log(`write frames without a copy, ms: ${spread(calm, "frames")}`);

  const from = performance.now();
  const added = startShardProcess({ role: "reader", pod: "demo-read-1", info: pair.info.url });
  const during = await writesWhile(writer, async () => {
    await pair.info.registered("demo-read-1");
    const registered = performance.now();
    const owner = pair.info.sessions.get(writerPodName);
    pair.info.publish([shardOwnedBy(owner ?? null)], { "demo-read-0": 0, "demo-read-1": 0 });
    await streaming(pair.info, "demo-read-1");
    console.log(
      `copy of ${keys} keys: ${elapsed(registered)} s, with the start of the process ${elapsed(from)} s`,
    );
  });
  console.log(`write frames during the copy, ms: ${spread(during, "frames")}`);
  const reports = [...pair.info.sessions.values()].map(
    ({ pod, report }) => `${pod}: ${report?.keys ?? 0} keys`,
  );
  console.log(reports.join(", "), addressOf(pair.info, "demo-read-1").host);
  await added.kill();
  await pair.stop();
};

/** Round trips of write frames at the rate, while something goes on. */
const writesWhile = async (writer: ShardClient, goesOn: () => Promise<void>): Promise<number[]> => {
  const took: number[] = [];
  const state = { isOver: false };
  const work = goesOn().finally(() => {
    state.isOver = true;
  });
  const start = performance.now();
  const pending: Promise<void>[] = [];
  for (let writes = 0; !state.isOver;) {
    for (; writes < ((performance.now() - start) / 1_000) * rate; writes += perFrame) {
      const sent = performance.now();
      const requests = Array.from({ length: perFrame }, (_, i) =>
        set(`key:${(writes * 7 + i) % keys}`, value),
      );
      pending.push(writer.ask(requests).then(() => void took.push(performance.now() - sent)));
    }
    await sleep(1);
  }
  await Promise.all([work, ...pending]);
  return took;
};

const elapsed = (from: number): string => ((performance.now() - from) / 1_000).toFixed(2);

await main();
process.exit(0);
