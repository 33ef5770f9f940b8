import { rmSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
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
    t.teardown(() => {
      load.stopped = true;
    });
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

/** Kills a writer; resolves once its next process owns the shard and all is Ready, to what was told meanwhile. */
const killed = async (pod: string, shard: number): Promise<readonly string[]> => {
  const from = world.events.length;
  const epoch = world.cluster().shards[shard]?.epoch ?? 0;
  process.kill(pidOf(pod), "SIGKILL");
  await until("it owns the shard again", () => (world.cluster().shards[shard]?.epoch ?? 0) > epoch, 30_000);
  await world.ready(6);
  return reasons(from).filter((reason) => ["DataLost"].includes(reason));
};
const written = async (): Promise<void> => {
  const set = (key: string) => ({ kind: "set", key, value: `value of ${key}` }) as const;
  await client.batch(Array.from({ length: 2_000 }, (_, i) => set(`key:${i}`)));
};
const checkWritten = async (t: ExecutionContext, by: Client): Promise<void> => {
  for (let i = 0; i < 2_000; i++)
    t.is(await by.getText(`key:${i}`, { consistency: "linearizable" }), `value of key:${i}`);
};

test.serial(
  "a writer that is killed comes back with all that it had acknowledged, from its own volume",
  async (t) => {
    await written();
    const { keys } = await client.report("demo-write-1");
    t.deepEqual(await killed("demo-write-1", 1), []);
    t.is((await client.report("demo-write-1")).keys, keys);
    await checkWritten(t, client);
  },
);

test.serial(
  "a writer whose volume is lost gets everything from a reader that took its place, and is owner again",
  async (t) => {
    const isHome = (): boolean => client.topology().shards[1]?.owner?.pod === "demo-write-1";
    await until("the writer is at home", isHome, 40_000);
    await written();
    await until("all readers hold all", async () => {
      const owner = await client.report("demo-write-1");
      const readers = await Promise.all(
        owner.readers.map(async ({ pod }) => (await client.report(pod)).version === owner.version),
      );
      return readers.length === 2 && readers.every(Boolean);
    });
    rmSync(join(world.folder, "state/default/demo/data/demo-write-1"), { recursive: true });
    t.deepEqual(await killed("demo-write-1", 1), []);
    await checkWritten(t, client);
    await until("the writer is at home again", isHome, 40_000);
    await world.ready(6);
    await checkWritten(t, client);
  },
);

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

test.serial("stopping ends all processes; the next start has all that was written", async (t) => {
  const small = await startLocalWorld(clusterYaml(1, 1), { keep: true });
  await small.ready(1);
  const writing = await connect({ info: small.running.infoUrl });
  await writing.set("kept", "over a stop");
  writing.close();
  const pids = [...small.pods().values()].flatMap(({ pid }) => pid ?? []);
  t.is(pids.filter(isAlive).length, 2);
  const startMs = systemClock.nowMs();
  await small.stop();
  const tookMs = systemClock.nowMs() - startMs;
  t.log(`stopped in ${Math.round(tookMs)} ms`);
  t.true(tookMs < 5_000);
  t.deepEqual(pids.filter(isAlive), []);

  const again = await startLocalWorld(clusterYaml(1, 1), { folder: small.folder });
  ends.push(again.stop);
  await again.ready(1);
  const reading = await connect({ info: again.running.infoUrl });
  ends.push(reading.close);
  t.is(await reading.getText("kept"), "over a stop");
  t.false(again.events.some(({ reason }) => reason === "DataLost"));
});
