import test from "ava";
import { connect, type Client } from "../../client/index.ts";
import { systemClock } from "../../core/clock.ts";
import { clusterYaml, isAlive, startLocalWorld, type LocalWorld } from "../support/localCluster.ts";
import { until } from "../support/net.ts";

/** One cluster for all tests of this file: each leaves it Ready, with six readers. */
let world: LocalWorld;
let client: Client;
const ends: (() => unknown)[] = [];

test.before(async (t) => {
  const startMs = systemClock.nowMs();
  world = await startLocalWorld(clusterYaml(3, 6));
  ends.push(world.stop);
  await world.ready(6, 60_000);
  t.log(`3 writers and 6 readers are Ready after ${Math.round(systemClock.nowMs() - startMs)} ms`);
  client = await connect({ info: world.running.infoUrl });
  ends.push(client.close);
});
test.after.always(async () => {
  for (const end of ends.reverse()) await end();
});

const pidOf = (pod: string): number => {
  const pid = world.pods().get(pod)?.pid;
  if (pid === null || pid === undefined) throw new Error(`${pod} does not run`);
  return pid;
};
const reasons = (from = 0): readonly string[] => world.events.slice(from).map(({ reason }) => reason);

test.serial("every shard has two readers, and the pages show it", async (t) => {
  t.deepEqual(
    world.cluster().shards.map(({ ranges, readers }) => [ranges, readers.length]),
    [
      ["0-5460", 2],
      ["5461-10921", 2],
      ["10922-16383", 2],
    ],
  );
  const get = async (path: string): Promise<string> =>
    (await fetch(`${world.running.httpUrl}${path}`)).text();
  const { clusters } = JSON.parse(await get("/topology")) as {
    clusters: { cluster: string; members: unknown[] }[];
  };
  t.deepEqual(
    clusters.map(({ cluster, members }) => [cluster, members.length]),
    [["default/demo", 9]],
  );
  t.regex(await get("/topology?cluster=default/demo"), /"cluster": "default\/demo"/);
  t.regex(await get("/metrics"), /edis_info_sessions\{cluster="default\/demo",home="reader"\} 6/);
  t.regex(await get("/"), /<title>Edis<\/title>/);
  t.is(await get("/livez"), "ok\n");
});

test.serial(
  "readers 6, 8, 2, 6: each takes effect, with no failed read or write under a steady load",
  async (t) => {
    await client.set("steady", "0");
    const load = { stopped: false, reads: 0, writes: 0 };
    const errors: unknown[] = [];
    const run = async (): Promise<void> => {
      while (!load.stopped) {
        try {
          await client.get("steady");
          load.reads++;
          if (load.reads % 5 === 0) {
            await client.increment("count");
            load.writes++;
          }
        } catch (error) {
          errors.push(error);
        }
      }
    };
    const loads = [run(), run()];
    for (const readers of [8, 2, 6]) {
      world.write(clusterYaml(3, readers));
      const tookMs = await world.ready(readers, 5_000);
      t.log(`${readers} readers after ${Math.round(tookMs)} ms`);
    }
    load.stopped = true;
    await Promise.all(loads);
    t.deepEqual(errors, []);
    t.true(load.reads > 100 && load.writes > 20);
    t.is(await client.getText("count", { consistency: "linearizable" }), String(load.writes));
  },
);

test.serial("a reader that is killed is started again and serves again", async (t) => {
  const pid = pidOf("demo-read-4");
  const from = world.events.length;
  process.kill(pid, "SIGKILL");
  const serves = (): boolean => {
    const now = world.pods().get("demo-read-4");
    return now?.state === "serving" && now.pid !== null && now.pid !== pid;
  };
  const startMs = systemClock.nowMs();
  await until("another process serves in its place", serves, 20_000);
  t.log(`serves again ${Math.round(systemClock.nowMs() - startMs)} ms after it was killed`);
  t.true(reasons(from).includes("ProcessEnded"));
  await world.ready(6);
});

test.serial("a writer that is killed comes back with all of its data, from its readers", async (t) => {
  const keys = Array.from({ length: 2_000 }, (_, i) => `key:${i}`);
  await client.batch(keys.map((key) => ({ kind: "set", key, value: `value of ${key}` })));
  // What no reader holds yet dies with its writer: what has reached them is what must be back.
  await until("all readers hold all", async () => {
    const owner = await client.report("demo-write-1");
    const readers = await Promise.all(
      owner.readers.map(async ({ pod }) => (await client.report(pod)).version === owner.version),
    );
    return readers.length === 2 && readers.every(Boolean);
  });
  const from = world.events.length;
  const before = world.cluster().shards[1];
  const held = await client.report("demo-write-1");
  process.kill(pidOf("demo-write-1"), "SIGKILL");
  await until("it is restored", () => reasons(from).includes("Restored"), 30_000);
  const tookMs = await world.ready(6);
  t.log(`Ready again ${Math.round(tookMs)} ms after it was restored`);
  t.deepEqual(
    reasons(from).filter((reason) => ["Restoring", "Restored", "DataLost"].includes(reason)),
    ["Restoring", "Restored"],
  );
  const after = world.cluster().shards[1];
  t.is(after?.epoch, (before?.epoch ?? 0) + 1);
  t.is((await client.report("demo-write-1")).keys, held.keys);
  for (const key of keys) t.is(await client.getText(key, { consistency: "linearizable" }), `value of ${key}`);
});

test.serial(
  "a file that becomes invalid is reported with line and column, and nothing changes",
  async (t) => {
    const from = world.events.length;
    const pids = [...world.pods().values()].map(({ pid }) => pid);
    world.write(clusterYaml(3, 6).replace("readers: 6", "readers: many"));
    await until("it is reported", () => reasons(from).includes("BadFile"));
    t.true(
      world.running.problem()?.includes(`${world.file}:7:12: spec.readers is "many"; it must be integer`),
      world.running.problem() ?? "no problem",
    );
    world.write(clusterYaml(3, 6));
    await until("it is good again", () => world.running.problem() === null);
    await world.ready(6);
    t.deepEqual(
      [...world.pods().values()].map(({ pid }) => pid),
      pids,
    );
  },
);

test.serial("fewer writers are refused with the reason, more own no slots", async (t) => {
  world.write(clusterYaml(2, 6));
  await until("it is refused", () =>
    world
      .cluster()
      .conditions.some(({ reason, status }) => reason === "WriterOwnsSlots" && status === "True"),
  );
  t.is(world.cluster().shards.length, 3);
  world.write(clusterYaml(4, 6));
  await until("the fourth serves", () => world.cluster().shards[3]?.owner?.state === "serving", 20_000);
  t.deepEqual(
    world.cluster().shards.map(({ slots }) => slots > 0),
    [true, true, true, false],
  );
  world.write(clusterYaml(3, 6));
  await until("it is gone", () => world.cluster().shards.length === 3 && !world.pods().has("demo-write-3"));
  await world.ready(6);
});

test.serial(
  "a second cluster in the file is a cluster of its own; taken out, its processes go",
  async (t) => {
    world.write(`${clusterYaml(3, 6)}---\n${clusterYaml(1, 1, "other")}`);
    await until(
      "it is ready",
      () =>
        world.running
          .clusters()
          .find(({ cluster }) => cluster === "default/other")
          ?.conditions.some(({ type, status }) => type === "Ready" && status === "True") === true,
      30_000,
    );
    const error = await t.throwsAsync(connect({ info: world.running.infoUrl, connectMs: 0 }));
    t.regex(error.message, /default\/demo, default\/other/);
    const other = await connect({ info: world.running.infoUrl, cluster: "default/other" });
    await other.set("a", "in the other");
    t.is(await client.get("a"), null);
    other.close();
    world.write(clusterYaml(3, 6));
    await until("it is gone", () => world.running.clusters().length === 1, 20_000);
    await world.ready(6);
  },
);

test.serial("stopping ends all processes", async (t) => {
  const small = await startLocalWorld(clusterYaml(1, 1));
  await small.ready(1);
  const pids = [...small.pods().values()].flatMap(({ pid }) => pid ?? []);
  t.is(pids.filter(isAlive).length, 2);
  const startMs = systemClock.nowMs();
  await small.stop();
  const tookMs = systemClock.nowMs() - startMs;
  t.log(`stopped in ${Math.round(tookMs)} ms`);
  t.true(tookMs < 5_000);
  t.deepEqual(pids.filter(isAlive), []);
});
