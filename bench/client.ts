import { connect } from "../client/index.ts";
import { testCluster } from "../test/support/shardInfo.ts";
import { startPair } from "../test/support/shardPair.ts";

/**
 * Operations a second of one client process against one writer and one reader, all on this machine: `node bench/client.ts`.
 * Keys of 16 bytes, values of 100; `window` operations under way at any time.
 */
const secondsPerRound = 3;
const value = Buffer.alloc(100, "v");
const keys = Array.from({ length: 100_000 }, (_, i) => `key:${String(i).padStart(12, "0")}`);

const pair = await startPair();
pair.info.publish(pair.info.topology().shards);
const client = await connect({
  info: `ws://127.0.0.1:${pair.writerAddress.client}/${testCluster.cluster}`,
  timeoutMs: 20_000,
});

type Work = (key: string) => Promise<unknown>;

const round = async (name: string, window: number, work: Work): Promise<void> => {
  const start = performance.now();
  const end = start + secondsPerRound * 1_000;
  let next = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < end) await work(keys[next++ % keys.length] ?? "");
  };
  await Promise.all(Array.from({ length: window }, lane));
  report(name, window, next / ((performance.now() - start) / 1_000));
};

const batches = async (name: string, size: number, kind: "get" | "set"): Promise<void> => {
  const start = performance.now();
  let done = 0;
  while (performance.now() - start < secondsPerRound * 1_000) {
    const part = Array.from({ length: size }, (_, i) => keys[(done + i) % keys.length] ?? "");
    const results = await client.batch(
      part.map((key) => (kind === "get" ? { kind, key } : { kind, key, value })),
    );
    const failure = results.find((result) => result.kind === "error");
    if (failure !== undefined) throw failure.error;
    done += size;
  }
  report(name, size, done / ((performance.now() - start) / 1_000));
};

const report = (name: string, window: number, perSecond: number): void => {
  console.log(
    `${name.padEnd(24)} ${String(window).padStart(5)}  ${Math.round(perSecond).toLocaleString("en")} ops/s`,
  );
};

await batches("set, batches", 1_000, "set");
await batches("get, batches", 1_000, "get");
for (const window of [1, 64, 1_024]) {
  await round("set, calls", window, async (key) => client.set(key, value));
  await round("get, calls", window, async (key) => client.get(key));
}
await round("get linearizable, calls", 1_024, async (key) =>
  client.get(key, { consistency: "linearizable" }),
);

client.close();
await pair.stop();
