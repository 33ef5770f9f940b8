import type { ServerResponse } from "node:http";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../../core/clock.ts";
import { createLogger } from "../../../core/logger.ts";
import { createKubernetesPlatform } from "../../../operator/kubernetes/platform.ts";
import type { Ownership } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import type { Platform, Seen } from "../../../operator/platform.ts";
import type { ShardCluster } from "../../../operator/shardCluster.ts";
import { carriedOut, clusterOf, observedOf } from "../../support/planWorld.ts";
import { answer, eventually, serve } from "./apiServer.ts";

const cluster = clusterOf(1, 1);
const labels = (component: string): object => ({
  "app.kubernetes.io/managed-by": "edis",
  "app.kubernetes.io/instance": "demo",
  "app.kubernetes.io/component": component,
});
const meta = (name: string, fields: object = {}): object => ({
  ...{ name, namespace: "default", uid: `uid of ${name}`, resourceVersion: "5" },
  ...fields,
});
const shardCluster = {
  metadata: { ...meta("demo"), uid: cluster.uid, generation: 1 },
  spec: { writers: 1, readers: 1, reads: { lagMsMax: 2000 }, storage: { ephemeral: true }, template: {} },
};
const statefulSet = (component: string, revision: string, observedGeneration = 1): object => ({
  metadata: meta(`demo-${component === "writer" ? "write" : "read"}`, {
    ...{ labels: labels(component), generation: 1, ownerReferences: [{ uid: cluster.uid }] },
  }),
  spec: { replicas: 1 },
  status: { observedGeneration, updateRevision: revision },
});
const pod = (fields: object = {}, status: object = {}): object => ({
  metadata: meta("demo-write-0", {
    labels: { ...labels("writer"), "controller-revision-hash": "w1" },
    ...fields,
  }),
  spec: { nodeName: "node-1" },
  status,
});
const budget = (shard: number): object => ({
  metadata: meta(`demo-shard-${shard}`, { labels: labels("") }),
});

type World = {
  readonly platform: Platform;
  readonly seen: () => Promise<Seen>;
  /** Sends an event to whoever watches the plural. */
  readonly tell: (plural: string, type: string, object: object) => void;
  /** Requests that change something. */
  readonly calls: string[];
};

/** The platform on an API server that has these objects, and then what the test tells. */
const start = async (
  t: ExecutionContext,
  objects: Readonly<Record<string, readonly object[]>>,
): Promise<World> => {
  const streams = new Map<string, ServerResponse>();
  const calls: string[] = [];
  const server = await serve((request, response) => {
    const url = new URL(request.url ?? "", "http://localhost");
    const plural = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
    if (request.method !== "GET") {
      calls.push(`${request.method ?? ""} ${url.pathname}`);
      answer(response, 200, { metadata: meta("any") });
    } else if (url.searchParams.has("watch")) {
      response.writeHead(200);
      response.flushHeaders();
      streams.set(plural, response);
    } else if (plural.endsWith("-edis")) {
      const ownerReferences = [{ uid: cluster.uid }];
      const data = { token: Buffer.alloc(32).toString("base64") };
      answer(response, 200, { metadata: meta("demo-edis", { ownerReferences }), data });
    } else {
      answer(response, 200, { metadata: { resourceVersion: "5" }, items: objects[plural] ?? [] });
    }
  });
  const platform = createKubernetesPlatform({
    ...{ api: server.api, namespace: "", pod: "operator-0", clock: systemClock, random: () => 0 },
    ...{ logger: createLogger("silent", {}), surroundings: { image: "edis:1", infoUrl: "ws://info:7378" } },
  });
  const ending = new AbortController();
  const running = platform.watch(() => undefined, ending.signal);
  t.teardown(async () => {
    ending.abort();
    await running.catch(() => undefined);
    await server.close();
  });
  await eventually("it watches", () => streams.size === 6);
  return {
    ...{ platform, calls },
    seen: () => platform.observe(cluster),
    tell: (plural, type, object) => {
      streams.get(plural)?.write(`${JSON.stringify({ type, object })}\n`);
    },
  };
};

/** Waits until what the platform sees is as it should be. */
const until = async ({ seen }: World, what: string, holds: (now: Seen) => boolean): Promise<Seen> => {
  let now = await seen();
  for (const startMs = performance.now(); !holds(now); now = await seen()) {
    if (performance.now() - startMs > 5_000) throw new Error(`${what}: ${JSON.stringify(now)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return now;
};

const there = {
  shardclusters: [shardCluster],
  statefulsets: [statefulSet("writer", "w1"), statefulSet("reader", "r1")],
  pods: [pod()],
};
const deleted = { deletionTimestamp: "2026-01-01T00:00:00Z" };
const terminated = { name: "shard", state: { terminated: { finishedAt: "2026-01-01T00:00:09Z" } } };

test("a pod that goes gracefully is remembered as ended by its last word, which may come with its removal", async (t) => {
  const world = await start(t, there);
  world.tell("pods", "DELETED", pod(deleted, { phase: "Succeeded", containerStatuses: [terminated] }));
  const { pods, ended } = await until(world, "it is gone", (now) => now.pods.length === 0);
  t.deepEqual([pods, [...ended]], [[], ["uid of demo-write-0"]]);
});

test("a pod that was removed by force, or replaced meanwhile, is not", async (t) => {
  const world = await start(t, there);
  world.tell("pods", "MODIFIED", pod({ uid: "another" }));
  await until(world, "another pod", ({ pods }) => pods[0]?.uid === "another");
  world.tell("pods", "DELETED", pod({ uid: "another", ...deleted }, { phase: "Running" }));
  const { ended } = await until(world, "it is gone", (now) => now.pods.length === 0);
  t.deepEqual([...ended], []);
});

test("a pod under deletion is dead as soon as somebody vouches for its node", async (t) => {
  const world = await start(t, there);
  world.tell("pods", "MODIFIED", pod(deleted));
  await until(world, "under deletion", ({ pods }) => pods[0]?.deleting === true);
  t.is((await world.seen()).pods[0]?.deadBeforeMs, 0);
  const taints = [{ key: "node.kubernetes.io/out-of-service", effect: "NoExecute" }];
  world.tell("nodes", "ADDED", { metadata: { name: "node-1" }, spec: { taints } });
  await until(world, "dead", ({ pods }) => (pods[0]?.deadBeforeMs ?? 0) > 0);
  t.pass();
});

test("pods are outdated that were made from an older template, once the controller has seen the newest", async (t) => {
  const world = await start(t, there);
  t.deepEqual((await world.seen()).outdated, new Set());
  world.tell("statefulsets", "MODIFIED", statefulSet("writer", "w1", 0));
  await until(world, "not known", ({ outdated }) => outdated === null);
  world.tell("statefulsets", "MODIFIED", statefulSet("writer", "w2"));
  const { outdated } = await until(world, "outdated", (now) => now.outdated?.size === 1);
  t.deepEqual(outdated, new Set(["demo-write-0"]));
});

const owned = (wanted: ShardCluster): Ownership => {
  const first = observedOf(wanted);
  return plan(carriedOut(first, plan(first), () => ["", ""])).ownership;
};

test("pods are labelled with their shard, and budgets of shards that are gone are taken away", async (t) => {
  const world = await start(t, { ...there, poddisruptionbudgets: [budget(0), budget(1)] });
  await world.platform.apply(cluster, { writers: 1, readers: 1 }, owned(cluster));
  const budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  t.true(world.calls.includes(`PATCH ${budgets}/demo-shard-0`));
  t.true(world.calls.includes("PATCH /api/v1/namespaces/default/pods/demo-write-0"));
  t.deepEqual(
    world.calls.filter((call) => call.startsWith("DELETE")),
    [`DELETE ${budgets}/demo-shard-1`],
  );
});
