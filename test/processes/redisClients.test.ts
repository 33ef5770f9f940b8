import test from "ava";
import { Cluster } from "ioredis";
import { createCluster } from "redis";
import { clusterYaml, startLocalWorld, type LocalWorld } from "../support/localCluster.ts";
import { connect } from "../../client/index.ts";
import type { Member } from "../../core/topology.ts";
import { respClient } from "../support/respClient.ts";
import { until } from "../support/shardUntil.ts";

/** The usual Redis Cluster clients, unchanged, at a local cluster of 3 writers and 6 readers. */
let world: LocalWorld;
let port: number;
let members: readonly Member[];

test.before(async () => {
  world = await startLocalWorld(clusterYaml(3, 6));
  await world.ready(6, 60_000);
  const edis = await connect({ info: world.running.infoUrl });
  members = edis.topology().members;
  port = members[0]?.address.resp ?? 0;
  edis.close();
});
test.after.always(async () => {
  await world.stop();
});

/** How many commands each kind of pod is asked while something goes on; this question of ours is one of them for each pod. */
const askedDuring = async (work: () => Promise<unknown>): Promise<{ writers: number; readers: number }> => {
  const asked = (): Promise<number[]> =>
    Promise.all(
      members.map(async ({ address }) => {
        const client = await respClient(address.resp);
        const [info] = await client.send(["INFO", "stats"]);
        client.close();
        return Number(/total_commands_processed:(\d+)/.exec(info?.toString() ?? "")?.[1]);
      }),
    );
  const before = await asked();
  await work();
  const after = await asked();
  const sum = (home: string): number =>
    members.reduce(
      (all, member, i) => all + (member.home === home ? (after[i] ?? 0) - (before[i] ?? 0) : 0),
      0,
    );
  return { writers: sum("writer"), readers: sum("reader") };
};

const keys = Array.from({ length: 300 }, (_, i) => `key:${i}`);

test.serial("ioredis writes to owners and reads from readers", async (t) => {
  const client = new Cluster([{ host: "127.0.0.1", port }], { scaleReads: "slave" });
  await Promise.all(keys.map((key) => client.set(key, `io ${key}`)));
  await until("every key is read", async () => {
    const values = await Promise.all(keys.map((key) => client.get(key)));
    return values.every((value, i) => value === `io ${keys[i] ?? ""}`);
  });
  const asked = await askedDuring(() => Promise.all(keys.map((key) => client.get(key))));
  t.true(asked.readers >= keys.length, "readers answer the reads");
  t.true(asked.writers < keys.length / 10, "writers do not");
  t.is(client.nodes("slave").length, 6);
  t.is(client.nodes("master").length, 3);
  t.is(await client.incrby("{n}counter", 41), 41);
  t.deepEqual(await client.multi().set("{n}a", "1").incr("{n}a").exec(), [
    [null, "OK"],
    [null, 2],
  ]);
  client.disconnect();
});

test.serial("node-redis writes to owners and reads from readers, in RESP3", async (t) => {
  const client = createCluster({
    rootNodes: [{ url: `redis://127.0.0.1:${port}` }],
    useReplicas: true,
    RESP: 3,
  });
  client.on("error", () => undefined);
  await client.connect();
  await Promise.all(keys.map((key) => client.set(key, `node ${key}`)));
  await until("every key is read", async () => {
    const values = await Promise.all(keys.map((key) => client.get(key)));
    return values.every((value, i) => value === `node ${keys[i] ?? ""}`);
  });
  // It takes the nodes of a slot in turn, its owner among them.
  const asked = await askedDuring(() => Promise.all(keys.map((key) => client.get(key))));
  t.true(asked.readers >= keys.length / 2, "readers answer their part of the reads");
  t.is(client.masters.length, 3);
  t.is(client.replicas.length, 6);
  client.destroy();
});

test.serial("what a Redis client writes, a client of Edis reads, and the other way round", async (t) => {
  const edis = await connect({ info: world.running.infoUrl });
  const redis = new Cluster([{ host: "127.0.0.1", port }]);
  await redis.set("shared", "from redis");
  t.is(
    Buffer.from((await edis.get("shared", { consistency: "linearizable" })) ?? []).toString(),
    "from redis",
  );
  await edis.set("shared", "from edis");
  t.is(await redis.get("shared"), "from edis");
  redis.disconnect();
  edis.close();
});
