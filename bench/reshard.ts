import { parseArgs } from "node:util";
import { connect, type Client } from "../client/index.ts";
import { systemClock } from "../core/clock.ts";
import { clusterYaml, startLocalWorld } from "../test/support/localCluster.ts";
import { until } from "../test/support/net.ts";
import { keyText } from "./support/fill.ts";

/**
 * How long 3 → 4 writers takes with local processes and their operator, from the first move to the last, and from the wish on.
 * Usage: node bench/reshard.ts [--keys 1000000] [--bytes 100]
 */
const { values } = parseArgs({
  options: { keys: { type: "string", default: "1000000" }, bytes: { type: "string", default: "100" } },
});
const keys = Number(values.keys);
const value = "x".repeat(Number(values.bytes));
const perBatch = 2_000;
const batchesUnderWayMax = 8;

const fill = async (client: Client): Promise<void> => {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < keys) {
      const from = next;
      next += perBatch;
      const pairs = Array.from(
        { length: Math.min(perBatch, keys - from) },
        (_, i) => [keyText(from + i), value] as const,
      );
      await Promise.all(pairs.map(([key, text]) => client.set(key, text)));
    }
  };
  await Promise.all(Array.from({ length: batchesUnderWayMax }, one));
};

const world = await startLocalWorld(clusterYaml(3, 0));
try {
  await world.ready(0, 60_000);
  const client = await connect({ info: world.running.infoUrl, timeoutMs: 60_000 });
  await fill(client);
  client.close();
  const shards = (): readonly { readonly slots: number; readonly keys: number }[] => world.cluster().shards;
  const sum = (): number => shards().reduce((all, shard) => all + shard.keys, 0);
  await until("all keys are counted", () => sum() === keys, 30_000);
  // The sizes of slots are told every two seconds.
  await systemClock.sleep(3_000);
  const wishedMs = systemClock.nowMs();
  world.write(clusterYaml(4, 0));
  await until("slots begin to move", () => world.cluster().moves.length > 0, 60_000);
  const beganMs = systemClock.nowMs();
  await until(
    "each writer has as many slots",
    () => shards().length === 4 && shards().every(({ slots }) => slots >= 4_000),
    120_000,
  );
  await until("nothing moves any more", () => world.cluster().moves.length === 0, 120_000);
  const endMs = systemClock.nowMs();
  const moved = Number(
    /: ([0-9]+) keys/.exec(
      world.events.find(({ reason }) => reason === "RebalanceFinished")?.message ?? "",
    )?.[1] ?? 0,
  );
  const seconds = (endMs - beganMs) / 1000;
  process.stdout.write(
    `${moved} keys of ${value.length} bytes moved in ${seconds.toFixed(2)} s, ${Math.round(moved / seconds)} keys/s; ${((endMs - wishedMs) / 1000).toFixed(2)} s from the wish on; slots ${shards()
      .map(({ slots }) => slots)
      .join(" ")}\n`,
  );
} finally {
  await world.stop();
}
