import { connect } from "../client/index.ts";
import { clusterYaml, startLocalWorld } from "../test/support/localCluster.ts";
import { spread } from "./support/spread.ts";

/**
 * A whole local cluster of 3 writers and 6 readers, the client beside it on the same machine: how long after its
 * acknowledgement a write is visible at every reader of its shard, under 20,000 writes a second over all shards.
 * Usage: node bench/cluster.ts [seconds] [writes a second]
 */
const seconds = Number(process.argv[2] ?? 15);
const rate = Number(process.argv[3] ?? 20_000);
const readersPerShard = 2;
const framesPerSecond = 200;
const value = Buffer.alloc(100, "v");

const world = await startLocalWorld(clusterYaml(3, 3 * readersPerShard));
await world.ready(3 * readersPerShard);
const info = world.running.infoUrl;
const [writing, probing] = await Promise.all([connect({ info }), connect({ info })]);
const end = performance.now() + seconds * 1_000;

let written = 0;
const write = async (): Promise<void> => {
  const start = performance.now();
  let asked = 0;
  const under = new Set<Promise<unknown>>();
  while (performance.now() < end) {
    const due = Math.floor(((performance.now() - start) / 1_000) * rate) - asked;
    const batch = Array.from({ length: due }, () => ({
      kind: "set" as const,
      key: `key:${String(asked++ % 100_000).padStart(12, "0")}`,
      value,
    }));
    if (batch.length > 0) {
      const one = writing.batch(batch).then((results) => {
        written += results.length;
        under.delete(one);
      });
      under.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000 / framesPerSecond));
  }
  await Promise.all(under);
};

const lags: number[] = [];
/** Reads go round robin, so as many in a row as there are readers have seen them all. */
const probe = async (): Promise<void> => {
  for (let i = 0; performance.now() < end - 1_000; i++) {
    const key = `probe:${i % 97}`;
    await probing.set(key, String(i));
    const acknowledged = performance.now();
    for (let seen = 0; seen < readersPerShard;) {
      seen = (await probing.getText(key)) === String(i) ? seen + 1 : 0;
    }
    // The first second opens connections and warms up.
    if (acknowledged > end - (seconds - 1) * 1_000) lags.push(performance.now() - acknowledged);
  }
};

await Promise.all([write(), probe()]);
console.log(
  `writes a second: ${Math.round(written / seconds)} (wanted ${rate}), 3 writers, ${3 * readersPerShard} readers`,
);
console.log(`acknowledged -> visible at all readers of the shard, ms: ${spread(lags, "samples")}`);
writing.close();
probing.close();
await world.stop();
