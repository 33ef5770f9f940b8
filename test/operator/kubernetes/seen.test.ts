import test from "ava";
import { seenCluster, seenNode, seenPod, seenStatefulSet } from "../../../operator/kubernetes/seen.ts";

const labels = {
  "app.kubernetes.io/name": "edis",
  "app.kubernetes.io/instance": "demo",
  "app.kubernetes.io/component": "reader",
};
const pod = (status: unknown, meta: object = {}): unknown => ({
  metadata: { name: "demo-read-12", namespace: "shop", labels, ...meta },
  spec: { nodeName: "node-1" },
  status,
});
const problem = (status: unknown): string | null | undefined => seenPod(pod(status))?.problem;

test("a pod that runs has no problem", (t) => {
  t.deepEqual(seenPod(pod({ phase: "Running", containerStatuses: [{ state: { running: {} } }] })), {
    cluster: "shop/demo",
    role: "reader",
    ...{ name: "demo-read-12", uid: "", ordinal: 12, node: "node-1" },
    ...{ deleting: false, problem: null, deadBeforeMs: 0, stopped: false, revision: "", shard: "" },
  });
});

test("a pod that comes up as usual has none either", (t) => {
  t.is(problem({ containerStatuses: [{ state: { waiting: { reason: "ContainerCreating" } } }] }), null);
  t.is(problem(undefined), null);
});

test("an image that cannot be pulled is said in Kubernetes' words", (t) => {
  const waiting = { reason: "ImagePullBackOff", message: 'Back-off pulling image "edis:none"' };
  t.is(
    problem({ containerStatuses: [{ state: { waiting } }] }),
    'ImagePullBackOff: Back-off pulling image "edis:none"',
  );
});

test("a container that ends again and again is said with how it ended", (t) => {
  const status = {
    state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s restarting" } },
    lastState: { terminated: { reason: "OOMKilled", exitCode: 137 } },
  };
  t.is(
    problem({ containerStatuses: [status] }),
    "CrashLoopBackOff: back-off 10s restarting (it ended with OOMKilled, exit code 137)",
  );
});

test("a pod that fits nowhere is said with the scheduler's reason", (t) => {
  const condition = {
    type: "PodScheduled",
    status: "False",
    reason: "Unschedulable",
    message: "0/3 nodes are available: 3 Insufficient memory.",
  };
  t.is(
    problem({ conditions: [condition] }),
    "Unschedulable: 0/3 nodes are available: 3 Insufficient memory.",
  );
});

test("a pod under deletion has no problem, however it ends", (t) => {
  const deleted = { deletionTimestamp: "2026-01-01T00:00:00Z" };
  t.is(seenPod(pod({ phase: "Failed" }))?.problem, "Failed");
  t.is(seenPod(pod({ phase: "Failed" }, deleted))?.problem, null);
});

test("a pod under deletion is seen as such; one without our labels is not seen", (t) => {
  t.true(seenPod(pod({}, { deletionTimestamp: "2026-01-01T00:00:00Z" }))?.deleting);
  t.is(seenPod(pod({}, { labels: {} })), undefined);
});

/** A container that runs after one that ended. */
const again = (startedAt: string, finishedAt: string): unknown => ({
  containerStatuses: [
    {
      name: "shard",
      state: { running: { startedAt } },
      lastState: { terminated: { reason: "Error", exitCode: 137, finishedAt } },
    },
  ],
});
const deadBeforeMs = (status: unknown): number | undefined => seenPod(pod(status))?.deadBeforeMs;

test("processes are dead that started before the container before this one ended", (t) => {
  t.is(deadBeforeMs(again("1970-01-01T00:01:20Z", "1970-01-01T00:01:10Z")), 70_000);
  t.is(deadBeforeMs({ containerStatuses: [{ name: "shard", state: { running: {} } }] }), 0);
  t.is(deadBeforeMs(undefined), 0);
});

test("the process that runs is never taken for the one that ended, whatever the clock did", (t) => {
  t.is(deadBeforeMs(again("1970-01-01T00:01:05Z", "1970-01-01T00:01:10Z")), 64_000);
});

test("a container that ended and is not there again says so; one beside it says nothing", (t) => {
  const state = { terminated: { reason: "Error", finishedAt: "1970-01-01T00:01:10Z" } };
  t.is(deadBeforeMs({ containerStatuses: [{ name: "shard", state }] }), 70_000);
  t.is(deadBeforeMs({ containerStatuses: [{ name: "sidecar", state }] }), 0);
});

test("a container that could not be found has no time at which it ended, and confirms nothing", (t) => {
  const state = { terminated: { reason: "ContainerStatusUnknown", exitCode: 137, finishedAt: null } };
  t.is(deadBeforeMs({ containerStatuses: [{ name: "shard", state }] }), 0);
});

test("a pod has stopped when it is under deletion, in its last phase, and its container has ended", (t) => {
  const ended = [{ name: "shard", state: { terminated: { finishedAt: "1970-01-01T00:01:10Z" } } }];
  const deleted = { deletionTimestamp: "2026-01-01T00:00:00Z" };
  const stopped = (status: object, meta: object): boolean | undefined => seenPod(pod(status, meta))?.stopped;
  t.true(stopped({ phase: "Succeeded", containerStatuses: ended }, deleted));
  t.false(stopped({ phase: "Succeeded", containerStatuses: ended }, {}));
  t.false(stopped({ phase: "Running", containerStatuses: ended }, deleted));
  t.false(
    stopped({ phase: "Failed", containerStatuses: [{ name: "shard", state: { running: {} } }] }, deleted),
  );
});

test("a node tells its zone, and whether it is out of service", (t) => {
  const labels = { "topology.kubernetes.io/zone": "zone-a" };
  const taint = { key: "node.kubernetes.io/out-of-service", effect: "NoExecute" };
  t.deepEqual(seenNode({ metadata: { name: "n", labels } }), { zone: "zone-a", outOfService: false });
  t.deepEqual(seenNode({ metadata: { name: "n" }, spec: { taints: [taint] } }), {
    zone: "",
    outOfService: true,
  });
  const other = { key: "node.kubernetes.io/unreachable", effect: "NoExecute" };
  t.false(seenNode({ metadata: { name: "n" }, spec: { taints: [other] } }).outOfService);
});

test("the newest template of a StatefulSet is not known before its controller has seen it", (t) => {
  const set = (observedGeneration: number): unknown => ({
    metadata: { name: "demo-read", namespace: "shop", generation: 3, labels },
    spec: { replicas: 4 },
    status: { observedGeneration, updateRevision: "demo-read-7" },
  });
  t.is(seenStatefulSet(set(3))?.revision, "demo-read-7");
  t.is(seenStatefulSet(set(2))?.revision, "");
});

test("a StatefulSet is known by its owner, and marked by its generation", (t) => {
  const object = {
    metadata: {
      name: "demo-read",
      namespace: "shop",
      uid: "s",
      generation: 3,
      resourceVersion: "99",
      labels,
      ownerReferences: [{ uid: "u" }],
    },
    spec: { replicas: 4 },
  };
  t.like(seenStatefulSet(object), {
    cluster: "shop/demo",
    role: "reader",
    ownerUid: "u",
    replicas: 4,
    mark: "generation 3",
  });
});

test("a ShardCluster that is none is refused, not half read", (t) => {
  t.throws(() => seenCluster({ metadata: { name: "demo" }, spec: {} }));
});
