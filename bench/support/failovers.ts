import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connect, type Client } from "../../client/index.ts";
import { slotOf } from "../../core/slot.ts";
import { slotMapOf } from "../../operator/plan/slots.ts";
import { startLocalWorld, type LocalWorld } from "../../test/support/localCluster.ts";
import { until } from "../../test/support/net.ts";
import { respClient, type RespClient } from "../../test/support/respClient.ts";
import { removeAtExit } from "./process.ts";
import { startProber, type Prober } from "./prober.ts";
import { startRedisCluster, type RedisCluster } from "./redisCluster.ts";

/** How long a shard takes no writes when its owner ends, in one way or another. */
export type Gap = { readonly ms: number; readonly failed: number; readonly failures: readonly string[] };
export type Way = "killed" | "frozen" | "ended";

const program = fileURLToPath(new URL("../../dist/shard.cjs", import.meta.url));
const readyMsMax = 60_000;
const shardCount = 3;
/** So that nothing of the round before is left: the process that was started again has found its place. */
const restMs = 700;

const yaml = `apiVersion: edis.dev/v1alpha1
kind: ShardCluster
metadata: { name: demo }
spec: { writers: ${shardCount}, readers: ${shardCount}, durability: { acks: inSync } }
`;

/** Keys whose slots lie in each of these ranges, one each. */
const keysIn = (shardOf: (slot: number) => number): readonly string[] => {
  const keys: string[] = [];
  for (let n = 0; Array.from({ length: shardCount }, (_, i) => keys[i]).includes(undefined); n++)
    keys[shardOf(slotOf(Buffer.from(`probe:${n}`)))] ??= `probe:${n}`;
  return keys;
};

export type EdisFailovers = {
  /** Of the shard whose owner it was; where the owner is asked to end, the longest of any shard. */
  readonly round: (way: Way, n: number) => Promise<Gap>;
  readonly stop: () => Promise<void>;
};

/** Three writers and a reader of each, one prober for each shard. */
export const startEdisFailovers = async (told: (text: string) => void): Promise<EdisFailovers> => {
  const world = await startLocalWorld(yaml, { program });
  removeAtExit(world.folder);
  await world.ready(shardCount, readyMsMax);
  const client = await connect({ info: world.running.infoUrl, timeoutMs: readyMsMax });
  const map = slotMapOf(client.topology().shards);
  const keys = keysIn((slot) => map[slot] ?? 0);
  const probers = keys.map((key) =>
    startProber(async (n) => {
      await client.set(key, String(n));
    }),
  );
  return {
    round: async (way, n) => {
      // Whoever is to be replaced needs a copy in sync now, not only a moment ago.
      for (let isRested = false; !isRested;) {
        await well(client);
        await sleep(restMs);
        isRested = isWell(client);
      }
      const gap = await round({ world, client, probers }, way, n % shardCount);
      const gaps = probers.map(({ gapMs }) => gapMs().toFixed(0)).join(" ");
      told(`${way}, shard ${n % shardCount}: without a write for ${gaps} ms, shard by shard`);
      return gap;
    },
    stop: async () => {
      await Promise.all(probers.map(({ stop }) => stop()));
      client.close();
      await world.stop();
    },
  };
};

/** Every owner serves, and a copy is in sync with it. */
const isWell = (client: Client): boolean => {
  const { shards, members } = client.topology();
  return shards.every(
    ({ owner, phase, inSync }) =>
      phase.kind === "stable" &&
      inSync.length > 0 &&
      members.some(({ pod, state }) => pod === owner?.pod && state === "serving"),
  );
};
const well = (client: Client): Promise<void> =>
  until("every shard has an owner and a copy in sync", () => isWell(client), readyMsMax);

const signals = { killed: "SIGKILL", frozen: "SIGSTOP", ended: "SIGTERM" } as const;

type Parts = {
  readonly world: LocalWorld;
  readonly client: Client;
  readonly probers: readonly Prober[];
};

const round = async ({ world, client, probers }: Parts, way: Way, shard: number): Promise<Gap> => {
  const owner = client.topology().shards[shard]?.owner?.pod ?? "";
  const pid = world.pods().get(owner)?.pid ?? null;
  const prober = probers[shard];
  if (pid === null || prober === undefined) throw new Error(`${owner} does not run`);
  for (const one of probers) one.mark();
  process.kill(pid, signals[way]);
  await until("another owner", () => client.topology().shards[shard]?.owner?.pod !== owner, readyMsMax);
  await prober.written();
  if (way === "frozen") process.kill(pid, "SIGCONT");
  if (way !== "ended") return gapOf([prober]);
  // Others may have to wait as well, also while its process ends and another one starts.
  await until("its process has ended", () => world.pods().get(owner)?.pid !== pid, readyMsMax);
  await well(client);
  return gapOf(probers);
};

const gapOf = (probers: readonly Prober[]): Gap => ({
  ms: Math.max(...probers.map(({ gapMs }) => gapMs())),
  failed: probers.reduce((sum, { failed }) => sum + failed(), 0),
  failures: probers.flatMap(({ failures }) => failures()),
});

/** Masters of many clusters are killed at the same time, one of each after the other: a round takes long, and is idle. */
export const failRedis = async (rounds: number): Promise<readonly Gap[]> => {
  const clusters = await Promise.all(
    Array.from({ length: Math.ceil(rounds / shardCount) }, () =>
      startRedisCluster({
        ...{ program: "redis-server", members: 2 * shardCount, withSlots: shardCount, replicas: true },
      }),
    ),
  );
  try {
    // Replicas take part in an election once they have been copied to and heard of everybody.
    await sleep(10_000);
    const gaps: Gap[] = [];
    for (let shard = 0; shard < shardCount; shard++)
      gaps.push(...(await Promise.all(clusters.map((cluster) => killMaster(cluster, shard)))));
    return gaps.slice(0, rounds);
  } finally {
    await Promise.all(clusters.map(({ stop }) => stop()));
  }
};

/** As a client does it that knows master and replica: asks one until it breaks off, then the other until it takes the write. */
const killMaster = async (cluster: RedisCluster, shard: number): Promise<Gap> => {
  const members = [cluster.members[shard], cluster.members[shard + shardCount]];
  const key = keysIn((slot) => cluster.members.findIndex(({ port }) => port === cluster.portOf(slot)))[shard];
  let at = 0;
  let connection: RespClient | null = null;
  const prober = startProber(async (n) => {
    try {
      connection ??= await respClient(members[at]?.port ?? 0);
      const [reply] = await connection.send(["SET", key ?? "", String(n)]);
      if (reply?.toString() !== "+OK\r\n") throw new Error(reply?.toString() ?? "nothing");
    } catch (error) {
      connection?.close();
      connection = null;
      at = 1;
      throw error;
    }
  });
  await prober.written();
  prober.mark();
  await members[0]?.kill();
  await prober.written();
  const gap = gapOf([prober]);
  await prober.stop();
  (connection as RespClient | null)?.close();
  return gap;
};
