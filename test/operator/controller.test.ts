import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../core/clock.ts";
import { term } from "../../core/ids.ts";
import { systemNetwork } from "../../net/network.ts";
import { startInfo } from "../../operator/info/info.ts";
import { startController } from "../../operator/controller.ts";
import type { Ownership, Workload } from "../../operator/plan/model.ts";
import { ConflictError, type Platform, type StoredOwnership } from "../../operator/platform.ts";
import { keyOf, type ShardCluster, type ShardClusterStatus } from "../../operator/shardCluster.ts";
import { silent, until } from "../support/net.ts";
import { clusterOf } from "../support/planWorld.ts";

/** A platform that keeps everything in memory and writes down what it was asked, in order. */
const startWorld = async (t: ExecutionContext, fail: (call: string) => void = () => undefined) => {
  const calls: string[] = [];
  const state = {
    cluster: clusterOf(2, 2) as ShardCluster | undefined,
    stored: null as StoredOwnership | null,
    workload: null as Workload | null,
    statuses: [] as ShardClusterStatus[],
    reads: 0,
    changed: (_: string): void => undefined,
  };
  const called = (call: string): void => {
    calls.push(call);
    fail(call);
  };
  const store = (ownership: Ownership): StoredOwnership => {
    const resourceVersion = String(Number(state.stored?.resourceVersion ?? 0) + 1);
    state.stored = { ownership, resourceVersion };
    return state.stored;
  };
  const platform: Platform = {
    watch: async (changed, signal) => {
      state.changed = changed;
      changed("default/demo");
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => {
          resolve();
        });
      });
    },
    cluster: (key) =>
      state.cluster !== undefined && keyOf(state.cluster) === key ? state.cluster : undefined,
    observe: () => Promise.resolve({ pods: [], workload: state.workload, ended: new Set(), outdated: null }),
    restart: async (_, { name }) => {
      called(`restart ${name}`);
      return Promise.resolve();
    },
    apply: async (_, workload) => {
      called(`apply ${workload.writers} ${workload.readers}`);
      state.workload = workload;
      return Promise.resolve();
    },
    remade: () => new Set(),
    token: () => Promise.resolve(Buffer.from("token")),
    readOwnership: () => {
      state.reads++;
      return Promise.resolve(state.stored);
    },
    writeOwnership: async (_, ownership, expected) => {
      called("writeOwnership");
      if ((state.stored?.resourceVersion ?? null) !== expected) throw new ConflictError("the topology");
      return Promise.resolve(store(ownership));
    },
    writeStatus: async (_, status) => {
      called("writeStatus");
      state.statuses.push(status);
      return Promise.resolve();
    },
    event: async (_, { reason }) => {
      called(`event ${reason}`);
      return Promise.resolve();
    },
    forget: async (key) => {
      called(`forget ${key}`);
      return Promise.resolve();
    },
  };
  const info = await startInfo({
    self: { pod: "operator-0", incarnation: "o1" },
    ...{
      host: "127.0.0.1",
      infoPort: 0,
      httpPort: 0,
      network: systemNetwork,
      clock: systemClock,
      logger: silent,
    },
  });
  info.lead(term(1), () => true);
  const ending = new AbortController();
  const done = startController({
    ...{ platform, info, clock: systemClock, logger: silent, random: () => 0, signal: ending.signal },
  });
  t.teardown(async () => {
    ending.abort();
    await done;
    await info.close();
  });
  return { calls, state, info, store };
};

test("ownership is written first, then events, then the pods; nothing is written twice", async (t) => {
  const { calls, state } = await startWorld(t);
  await until("it was carried out", () => state.workload !== null);
  t.deepEqual(calls.slice(0, 3), ["writeOwnership", "event Created", "apply 2 2"]);
  const written = calls.filter((call) => call === "writeOwnership").length;
  state.changed("default/demo");
  await until("it was looked at again", () => calls.filter((call) => call.startsWith("apply")).length === 2);
  t.is(calls.filter((call) => call === "writeOwnership").length, written);
});

test("an ownership that somebody else changed meanwhile is read again, and theirs is gone on from", async (t) => {
  let interfere: () => void = () => undefined;
  const { calls, state, store } = await startWorld(t, (call) => {
    if (call === "writeOwnership") interfere();
  });
  await until("it was carried out", () => state.workload !== null);
  const theirs = state.stored?.ownership;
  if (theirs === undefined) throw new Error("nothing is stored");
  interfere = () => {
    interfere = () => undefined;
    store(theirs);
  };
  state.cluster = { ...clusterOf(3, 2), generation: 2 };
  state.changed("default/demo");
  await until("the third shard is there", () => state.stored?.ownership.shards.length === 3);
  t.is(calls.filter((call) => call === "writeOwnership").length, 3);
  await until("it is carried out", () => state.workload?.writers === 3);
});

test("looks that change nothing read nothing; what is written is decided on what is there by then", async (t) => {
  const { calls, state, store } = await startWorld(t);
  await until("it was carried out", () => state.workload !== null);
  const { reads } = state;
  state.changed("default/demo");
  await until("it was looked at again", () => calls.filter((call) => call.startsWith("apply")).length === 2);
  t.is(state.reads, reads);
  const before = state.stored?.ownership;
  if (before === undefined) throw new Error("nothing is stored");
  store({ ...before, lastMove: 7 });
  const written = calls.filter((call) => call === "writeOwnership").length;
  state.cluster = { ...clusterOf(3, 2), generation: 2 };
  state.changed("default/demo");
  await until("the third shard is there", () => state.stored?.ownership.shards.length === 3);
  t.is(state.stored?.ownership.lastMove, 7);
  // The first one was refused, as it was decided on what was there before.
  t.is(calls.filter((call) => call === "writeOwnership").length, written + 2);
  t.is(state.reads, reads + 1);
});

test("where it is not known how a write ended, what is there is read before anything else", async (t) => {
  let interfere: () => void = () => undefined;
  const { calls, state, store } = await startWorld(t, (call) => {
    if (call === "writeOwnership") interfere();
  });
  await until("it was carried out", () => state.workload !== null);
  const before = state.stored?.ownership;
  if (before === undefined) throw new Error("nothing is stored");
  const seen = { reads: 0, calls: 0 };
  interfere = () => {
    interfere = () => undefined;
    store({ ...before, lastMove: 7 });
    Object.assign(seen, { reads: state.reads, calls: calls.length });
    throw new Error("the connection was reset");
  };
  state.cluster = { ...clusterOf(3, 2), generation: 2 };
  state.changed("default/demo");
  await until("the third shard is there", () => state.stored?.ownership.shards.length === 3);
  t.is(state.stored?.ownership.lastMove, 7);
  t.is(calls[seen.calls], "writeOwnership");
  t.true(state.reads > seen.reads);
});

test("what fails is repeated, and its events are not told twice", async (t) => {
  let failures = 2;
  const { calls, state } = await startWorld(t, (call) => {
    if (call.startsWith("apply") && failures-- > 0) throw new Error("the API is away");
  });
  await until("it was carried out", () => state.workload !== null);
  t.is(calls.filter((call) => call.startsWith("apply")).length, 3);
  t.is(calls.filter((call) => call === "event Created").length, 1);
});

test("a refusal is told once; there are as many pods as before", async (t) => {
  const { calls, state } = await startWorld(t);
  await until("it was carried out", () => state.workload !== null);
  const { spec, ...cluster } = clusterOf(4, 2);
  const durability = { fsync: "everysec", acks: "inSync", minInSync: 1 } as const;
  state.cluster = { ...cluster, spec: { ...spec, durability }, generation: 2 };
  for (const times of [2, 3]) {
    state.changed("default/demo");
    await until("it was looked at", () => calls.filter((call) => call === "apply 2 2").length === times);
  }
  t.is(calls.filter((call) => call === "event NotEnoughReaders").length, 1);
});

test("a cluster that is gone is forgotten, and info knows it no more", async (t) => {
  const { calls, state, info } = await startWorld(t);
  await until("it was carried out", () => state.workload !== null);
  t.is(info.views().length, 1);
  state.cluster = undefined;
  state.changed("default/demo");
  await until("it is forgotten", () => calls.includes("forget default/demo"));
  t.deepEqual(info.views(), []);
});
