import test from "ava";
import { connect, type Client } from "../../client/index.ts";
import { messageOf } from "../../core/errors.ts";
import { clusterYaml, startLocalWorld, type LocalWorld } from "../support/localCluster.ts";
import { until } from "../support/net.ts";

const keysInAll = 2_000;
const workers = 8;

/** Writes and reads over all keys, without a pause, until it is stopped. Each key is written by one worker alone. */
const startLoad = (client: Client) => {
  const counts = new Int32Array(keysInAll);
  const errors: string[] = [];
  const load = { stopped: false, writes: 0, reads: 0 };
  const run = async (worker: number): Promise<void> => {
    for (let i = worker; !load.stopped; i += workers) {
      const key = i % keysInAll;
      try {
        const now = await client.increment(`count:${key}`);
        counts[key] = (counts[key] ?? 0) + 1;
        load.writes++;
        if (now !== counts[key]) errors.push(`count:${key} became ${now}, not ${counts[key] ?? 0}`);
        const read = await client.getText(`count:${key}`, { consistency: "linearizable" });
        load.reads++;
        if (Number(read) !== counts[key])
          errors.push(`count:${key} is read as ${String(read)}, not ${counts[key] ?? 0}`);
      } catch (error) {
        errors.push(messageOf(error));
      }
    }
  };
  const running = Array.from({ length: workers }, (_, worker) => run(worker));
  return {
    ...{ counts, errors, load },
    stop: async () => {
      load.stopped = true;
      await Promise.all(running);
    },
  };
};

const slotsOf = (world: LocalWorld): readonly number[] => world.cluster().shards.map(({ slots }) => slots);

test("writers 3, 5, 2, 4 under writes and reads: no operation fails, nothing that was acknowledged is missing", async (t) => {
  const world = await startLocalWorld(clusterYaml(3, 5));
  t.teardown(world.stop);
  await world.ready(5, 60_000);
  const client = await connect({ info: world.running.infoUrl, timeoutMs: 20_000 });
  t.teardown(client.close);
  const steady = startLoad(client);
  t.teardown(steady.stop);

  for (const [writers, slots] of [
    [5, [3276, 3277]],
    [2, [8192]],
    [4, [4096]],
  ] as const) {
    const before = steady.load.writes;
    const startMs = performance.now();
    world.write(clusterYaml(writers, 5));
    await until(
      `${writers} writers have as much each`,
      () =>
        slotsOf(world).length === writers &&
        slotsOf(world).every((n) => slots.some((wanted) => wanted === n)),
      60_000,
    );
    t.log(
      `${writers} writers after ${Math.round(performance.now() - startMs)} ms, ${steady.load.writes - before} writes meanwhile`,
    );
    t.deepEqual(steady.errors.slice(0, 5), []);
  }
  await steady.stop();
  t.deepEqual(steady.errors.slice(0, 5), []);
  for (const [key, count] of steady.counts.entries()) {
    const read = await client.getText(`count:${key}`, { consistency: "linearizable" });
    t.is(Number(read), count);
  }
  const keys = world.cluster().shards.reduce((sum, shard) => sum + shard.keys, 0);
  t.log(`${steady.load.writes} writes, ${steady.load.reads} reads, ${keys} keys`);
  await until(
    "what moved away is deleted",
    () =>
      world.cluster().shards.reduce((sum, shard) => sum + shard.keys, 0) ===
      Math.min(keysInAll, steady.load.writes),
    10_000,
  );
});
