import test from "ava";
import { createEndedPods, deletePod, labelPods, plannedPod } from "../../../operator/kubernetes/pods.ts";
import type { SeenPod } from "../../../operator/kubernetes/seen.ts";
import type { Ownership } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import { carriedOut, clusterOf, observedOf } from "../../support/planWorld.ts";
import { answer, serve } from "./apiServer.ts";

const seen = (fields: Partial<SeenPod> = {}): SeenPod => ({
  ...{ cluster: "default/demo", role: "writer", name: "demo-write-0", uid: "u1", ordinal: 0, node: "n1" },
  ...{ deleting: false, problem: null, deadBeforeMs: 7_000, stopped: false, revision: "r1", shard: "" },
  ...fields,
});
const node = { zone: "zone-a", outOfService: false };
const broken = { ...node, outOfService: true };

test("what is known of dead processes is passed on; of a pod that has stopped all are dead", (t) => {
  t.is(plannedPod(seen(), node).deadBeforeMs, 7_000);
  t.is(plannedPod(seen({ deleting: true, stopped: true }), node).deadBeforeMs, Number.MAX_SAFE_INTEGER);
  t.is(plannedPod(seen(), node).zone, "zone-a");
});

test("a pod under deletion on a node that is out of service is dead; one that is not under deletion is not", (t) => {
  t.is(plannedPod(seen({ deleting: true }), broken).deadBeforeMs, Number.MAX_SAFE_INTEGER);
  t.is(plannedPod(seen(), broken).deadBeforeMs, 7_000);
  t.is(plannedPod(seen({ deleting: true }), undefined).deadBeforeMs, 7_000);
});

test("of pods that are gone only those are remembered of which nothing runs", (t) => {
  const ended = createEndedPods();
  ended.gone(seen({ uid: "stopped", deleting: true, stopped: true }), node);
  ended.gone(seen({ uid: "forced", deleting: true }), node);
  ended.gone(seen({ uid: "vouched for", deleting: true }), broken);
  t.deepEqual([...ended.of("default/demo")], ["stopped", "vouched for"]);
  t.deepEqual([...ended.of("default/other")], []);
  ended.forget("default/demo");
  t.deepEqual([...ended.of("default/demo")], []);
});

test("the memory has a maximum: the oldest is forgotten first", (t) => {
  const ended = createEndedPods();
  for (let i = 0; i < 3_000; i++) ended.gone(seen({ uid: `u${i}`, deleting: true, stopped: true }), node);
  t.is(ended.of("default/demo").size, 2_048);
  t.true(ended.of("default/demo").has("u2999"));
  t.false(ended.of("default/demo").has("u0"));
});

const cluster = clusterOf(2, 2);
const owned = (): Ownership => {
  const first = observedOf(cluster);
  return plan(carriedOut(first, plan(first), () => ["", ""])).ownership;
};

test("pods are told their shard by a label, each only once and none under deletion", async (t) => {
  const calls: unknown[] = [];
  const server = await serve((request, response, body) => {
    calls.push([request.method, request.url, body]);
    answer(response, request.url?.endsWith("demo-read-1") === true ? 409 : 200, {});
  });
  t.teardown(server.close);
  const pods = [
    seen({ shard: "0" }),
    seen({ name: "demo-write-1", uid: "u2" }),
    seen({ name: "demo-read-0", uid: "u3", deleting: true }),
    seen({ name: "demo-read-1", uid: "u4", shard: "5" }),
    seen({ name: "demo-read-9", uid: "u5", shard: "1" }),
  ];
  await labelPods(server.api, cluster, { pods, ownership: owned() });
  const label = (uid: string, shard: string | null): unknown => ({
    metadata: { uid, labels: { "edis.dev/shard": shard } },
  });
  const path = "/api/v1/namespaces/default/pods";
  t.deepEqual(calls, [
    ["PATCH", `${path}/demo-write-1`, label("u2", "1")],
    ["PATCH", `${path}/demo-read-1`, label("u4", "1")],
    ["PATCH", `${path}/demo-read-9`, label("u5", null)],
  ]);
});

test("a pod is deleted by name and uid; that it is gone, or another one, is no failure", async (t) => {
  let status = 200;
  const bodies: unknown[] = [];
  const server = await serve((_, response, body) => {
    bodies.push(body);
    answer(response, status, {});
  });
  t.teardown(server.close);
  for (status of [200, 404, 409]) await deletePod(server.api, cluster, { name: "demo-read-0", uid: "u1" });
  t.deepEqual(bodies[0], { preconditions: { uid: "u1" } });
  status = 403;
  await t.throwsAsync(deletePod(server.api, cluster, { name: "demo-read-0", uid: "u1" }));
});
