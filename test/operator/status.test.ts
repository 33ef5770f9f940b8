import test from "ava";
import { epoch, revision, term } from "../../core/ids.ts";
import type { Shard } from "../../core/topology.ts";
import { topologyOf } from "../../operator/info/publish.ts";
import type { Observed, Pod } from "../../operator/plan/model.ts";
import { plan } from "../../operator/plan/plan.ts";
import type { ShardClusterStatus } from "../../operator/shardCluster.ts";
import { differsInKind, statusOf } from "../../operator/status.ts";
import {
  carriedOut,
  clusterOf,
  observedOf,
  owning,
  podOf,
  reading,
  sessionOf,
} from "../support/planWorld.ts";
import { usualSettings } from "../../core/settings.ts";

/** A cluster that runs as it was planned. */
const running = (writers: number, readers: number): Observed => {
  let observed = observedOf(clusterOf(writers, readers));
  for (let round = 0; round < 4; round++) observed = carriedOut(observed, plan(observed), () => ["", ""]);
  return observed;
};
const statusWith = (observed: Observed): ShardClusterStatus => {
  const planned = plan(observed);
  const view = {
    clusterId: "uid-1",
    cluster: "default/demo",
    lagMsMax: 2_000,
    settings: usualSettings,
    ownership: planned.ownership,
  };
  const topology = topologyOf(view, observed.sessions, {
    before: null,
    term: term(1),
    revision: revision(1),
  });
  return statusOf({ ...observed, ...planned, topology });
};
const conditionsOf = ({ conditions }: ShardClusterStatus): string[] =>
  conditions.map(({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`);

test("a cluster that runs is Ready, and says who serves what", (t) => {
  const status = statusWith(running(2, 2));
  t.deepEqual(conditionsOf(status), [
    "Ready True AllServing: All 16384 slots are served by 2 writers; 2 readers serve",
    "Progressing False Settled: Everything is as it is wanted",
    "Degraded False AsWanted: Nothing is wrong",
    "Rebalancing False Balanced: Every slot is where it is to be",
  ]);
  t.deepEqual(
    [
      status.writersReady,
      status.readersReady,
      status.slotsServed,
      status.replicas,
      status.observedGeneration,
    ],
    ["2/2", "2/2", 16384, 2, 1],
  );
  t.deepEqual(status.shards[1], {
    ...{ id: 1, epoch: 1, owner: "demo-write-1", slots: 8192, keys: 0 },
    ...{ inSync: [], phase: "stable" },
    ...{ readers: ["demo-read-1"], lagMs: 0 },
  });
});

test("a cluster that starts says what it waits for, and names the problem of a pod", (t) => {
  const pods: Pod[] = [
    podOf("demo-write-0"),
    { ...podOf("demo-read-0"), problem: "ImagePullBackOff: no such image" },
  ];
  t.deepEqual(conditionsOf(statusWith(observedOf(clusterOf(1, 1), { pods }))), [
    "Ready False SlotsNotServed: 16384 of 16384 slots are not served: demo-write-0 (not connected) does not serve yet",
    "Progressing True Starting: Waiting for demo-write-0 (not connected) and demo-read-0 (ImagePullBackOff: no such image) to serve",
    "Degraded True PodProblem: demo-read-0: ImagePullBackOff: no such image",
    "Rebalancing False Balanced: Every slot is where it is to be",
  ]);
});

test("a writer that is gone is Degraded, with what a person can do", (t) => {
  const whole = running(2, 2);
  const without = whole.sessions.filter(({ pod }) => pod !== "demo-write-1");
  t.deepEqual(conditionsOf(statusWith({ ...whole, sessions: without })).slice(0, 1), [
    "Ready False SlotsNotServed: 8192 of 16384 slots are not served: demo-write-1 (not connected) does not serve yet",
  ]);
  t.regex(
    conditionsOf(statusWith({ ...whole, sessions: without }))[2] ?? "",
    /^Degraded True NothingToPromote: shard 1 has no owner until demo-write-1 is back with its data; .* edis failover 1 --force/,
  );
});

test("while a shard is failed over or handed over, that is said", (t) => {
  const whole = running(2, 2);
  const with1 = (fields: Partial<Shard>): Observed => {
    const { ownership } = whole;
    if (ownership === null) throw new Error("there is no ownership");
    const shards = ownership.shards.map((shard) => (shard.id === 1 ? { ...shard, ...fields } : shard));
    return { ...whole, ownership: { ...ownership, shards } };
  };
  const without = whole.sessions.filter(({ pod }) => pod !== "demo-write-1");
  const fencing = with1({ inSync: ["demo-read-1"], phase: { kind: "fencing", epoch: epoch(2) } });
  t.regex(
    conditionsOf(statusWith({ ...fencing, sessions: without }))[2] ?? "",
    /^Degraded True FailingOver: shard 1 gets another owner than demo-write-1/,
  );
  const to = { pod: "demo-read-1", incarnation: "first" };
  const handover = with1({ inSync: ["demo-read-1"], phase: { kind: "handover", to } });
  const sessions = whole.sessions.map((session) =>
    session.pod === "demo-write-1"
      ? sessionOf("demo-write-1", {
          version: 7,
          serving: { ...owning(1, 1), sync: { seq: 1, members: [to.pod] } },
        })
      : session,
  );
  t.is(
    conditionsOf(statusWith({ ...handover, sessions }))[1],
    "Progressing True HandingOver: demo-write-1 hands shard 1 over to demo-read-1",
  );
});

test("a refused wish is Degraded with the reason; the cluster stays Ready", (t) => {
  const whole = running(3, 3);
  const { spec, ...cluster } = clusterOf(4, 3);
  const durability = { fsync: "everysec", acks: "inSync", minInSync: 1 } as const;
  const status = statusWith({
    ...whole,
    cluster: { ...cluster, spec: { ...spec, durability }, generation: 2 },
  });
  t.deepEqual(
    status.conditions.slice(0, 3).map(({ type, status: is, reason }) => [type, is, reason]),
    [
      ["Ready", "True", "AllServing"],
      ["Progressing", "False", "Settled"],
      ["Degraded", "True", "NotEnoughReaders"],
    ],
  );
  t.is(status.writersReady, "3/3");
  t.is(status.observedGeneration, 2);
});

test("a new writer without slots is nothing settled, before it is known which slots are to move; paused, it is", (t) => {
  const spec = clusterOf(3, 2).spec;
  const grown = (paused: boolean): Observed => {
    const cluster = { ...clusterOf(2, 2), spec: { ...spec, rebalance: { paused, bytesPerSecondMax: "" } } };
    let observed: Observed = { ...running(2, 2), cluster, leadingMs: 0 };
    for (let round = 0; round < 4; round++) observed = carriedOut(observed, plan(observed), () => ["", ""]);
    return { ...observed, leadingMs: 0 };
  };
  t.deepEqual(conditionsOf(statusWith(grown(false))), [
    "Ready True AllServing: All 16384 slots are served by 3 writers; 2 readers serve",
    "Progressing True Rebalancing: Slots are to move; the owners have not told yet what each holds",
    "Degraded False AsWanted: Nothing is wrong",
    "Rebalancing True Waiting: Slots are to move; the owners have not told yet what each holds",
  ]);
  t.deepEqual(conditionsOf(statusWith(grown(true))).slice(1), [
    "Progressing False RebalancePaused: Slots are to move; stopped by spec.rebalance.paused",
    "Degraded False AsWanted: Nothing is wrong",
    "Rebalancing False Paused: Slots are to move; stopped by spec.rebalance.paused",
  ]);
});

test("pods that are to go are waited for", (t) => {
  const whole = running(1, 3);
  const status = statusWith({ ...whole, cluster: clusterOf(1, 1) });
  t.regex(
    conditionsOf(status)[1] ?? "",
    /^Progressing True ScalingDown: Waiting for demo-read-1 and demo-read-2 to end/,
  );
  t.is(status.conditions[0]?.status, "True");
});

test("lag and keys alone are no difference in kind", (t) => {
  const whole = running(1, 1);
  const at = (lagMs: number, epoch: number): ShardClusterStatus =>
    statusWith({
      ...whole,
      sessions: [
        sessionOf("demo-write-0", { version: 7, serving: owning(0, epoch) }),
        sessionOf("demo-read-0", { version: 7, serving: reading(0, "streaming", lagMs) }),
      ],
    });
  t.false(differsInKind(at(0, 1), at(90, 1)));
  t.true(differsInKind(at(0, 1), at(0, 2)));
});
