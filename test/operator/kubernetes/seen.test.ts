import test from "ava";
import { seenCluster, seenPod, seenStatefulSet } from "../../../operator/kubernetes/seen.ts";

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
    name: "demo-read-12",
    ordinal: 12,
    node: "node-1",
    deleting: false,
    problem: null,
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

test("a pod under deletion is seen as such; one without our labels is not seen", (t) => {
  t.true(seenPod(pod({}, { deletionTimestamp: "2026-01-01T00:00:00Z" }))?.deleting);
  t.is(seenPod(pod({}, { labels: {} })), undefined);
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
