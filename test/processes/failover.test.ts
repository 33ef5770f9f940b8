import test from "ava";
import { connect, type Client } from "../../client/index.ts";
import { systemClock } from "../../core/clock.ts";
import { startLocalWorld, type LocalWorld } from "../support/localCluster.ts";
import { until } from "../support/net.ts";

const content = `apiVersion: edis.dev/v1alpha1
kind: ShardCluster
metadata:
  name: demo
spec:
  writers: 1
  readers: 2
  durability:
    acks: inSync
`;

type Load = {
  /** Times of acknowledged writes. */
  readonly acks: readonly number[];
  readonly failures: readonly string[];
  /** Stops, and gives what was acknowledged last. */
  readonly stop: () => Promise<number>;
};

/** Writes growing numbers to one key, as fast as they are answered. */
const startLoad = (client: Client): Load => {
  const acks: number[] = [];
  const failures: string[] = [];
  let running = true;
  let acked = 0;
  const isRunning = (): boolean => running;
  const done = (async () => {
    // Until it is stopped.
    for (let n = 1; isRunning(); n++) {
      try {
        await client.set("n", String(n));
        acked = n;
        acks.push(systemClock.nowMs());
      } catch (error) {
        failures.push(String(error));
      }
    }
  })();
  return {
    acks,
    failures,
    stop: async () => {
      running = false;
      await done;
      return acked;
    },
  };
};

/** The longest time between two acknowledged writes after an instant. */
const longestGap = ({ acks }: Load, fromMs: number): number => {
  const after = acks.filter((ms) => ms >= fromMs - 100);
  return after.slice(1).reduce((longest, ms, i) => Math.max(longest, ms - (after[i] ?? ms)), 0);
};

const ownerOf = ({ cluster }: LocalWorld): string => cluster().shards[0]?.owner?.pod ?? "";
const pidOf = ({ pods }: LocalWorld, pod: string): number => {
  const pid = pods().get(pod)?.pid ?? null;
  if (pid === null) throw new Error(`${pod} does not run`);
  return pid;
};

test("an owner that is killed is replaced by a reader that is in sync, loses nothing, and gets its shard back", async (t) => {
  const world = await startLocalWorld(content);
  t.teardown(world.stop);
  await world.ready(2);
  const client = await connect({ info: world.running.infoUrl });
  const load = startLoad(client);
  await until("it writes", () => load.acks.length > 100);
  t.is(ownerOf(world), "demo-write-0");
  const killedMs = systemClock.nowMs();
  process.kill(pidOf(world, "demo-write-0"), "SIGKILL");
  await until("a reader owns", () => ownerOf(world).includes("-read-"));
  await until("it writes again", () => (load.acks.at(-1) ?? 0) > killedMs + 1_500, 20_000);
  t.log(`without an acknowledged write for ${longestGap(load, killedMs).toFixed(0)} ms`);
  await until("the home pod owns again", () => ownerOf(world) === "demo-write-0", 30_000);
  const backMs = systemClock.nowMs();
  await until("it writes there", () => (load.acks.at(-1) ?? 0) > backMs + 500, 20_000);
  t.log(`home again; longest gap since then ${longestGap(load, backMs - 1_000).toFixed(0)} ms`);
  const acked = await load.stop();
  t.is(Number(await client.get("n", { consistency: "linearizable" })), acked);
  // What was under way when the process was killed may have been done.
  t.true(
    load.failures.length <= 1 && load.failures.every((text) => text.includes("Cannot tell whether")),
    load.failures.join("; "),
  );
  client.close();
});

test("an owner that is frozen is replaced when its lease is over; callers are not kept until their time is over", async (t) => {
  const world = await startLocalWorld(content);
  t.teardown(world.stop);
  await world.ready(2);
  const client = await connect({ info: world.running.infoUrl });
  const load = startLoad(client);
  await until("it writes", () => load.acks.length > 100);
  const pid = pidOf(world, ownerOf(world));
  const frozenMs = systemClock.nowMs();
  process.kill(pid, "SIGSTOP");
  await until("a reader owns", () => ownerOf(world).includes("-read-"), 20_000);
  t.log(`another owner after ${(systemClock.nowMs() - frozenMs).toFixed(0)} ms`);
  await until("it writes again", () => (load.acks.at(-1) ?? 0) > frozenMs + 1_000, 20_000);
  const gapMs = longestGap(load, frozenMs);
  t.log(`without an acknowledged write for ${gapMs.toFixed(0)} ms`);
  process.kill(pid, "SIGCONT");
  t.true(gapMs < 4_500, `${gapMs} ms`);
  const acked = await load.stop();
  t.is(Number(await client.get("n", { consistency: "linearizable" })), acked);
  client.close();
});
