import test from "ava";
import type { Manifest } from "../../../operator/kubernetes/crds.ts";
import { readerSelector, resourcesFor } from "../../../operator/kubernetes/resources.ts";
import type { Fields } from "../../../operator/rules.ts";
import { clusterFrom } from "../../../operator/schema.ts";
import type { ShardCluster } from "../../../operator/shardCluster.ts";

const cluster = (spec: Fields = {}): ShardCluster =>
  clusterFrom({
    metadata: { name: "demo", namespace: "shop", uid: "uid-1" },
    spec: {
      writers: 3,
      readers: 3,
      reads: { lagMsMax: 2000 },
      storage: { ephemeral: false, whenDeleted: "Retain" },
      template: {},
      ...spec,
    },
  });
const surroundings = { image: "edis:1", infoUrl: "ws://info:7378" };
const made = (spec: Fields = {}): readonly Manifest[] =>
  resourcesFor(cluster(spec), { writers: 3, readers: 6 }, surroundings);

type Container = {
  image: string;
  env: { name: string; value?: string; valueFrom?: unknown }[];
  securityContext: Fields;
  resources: Fields;
  volumeMounts: Fields[];
};
type StatefulSetSpec = {
  replicas: number;
  podManagementPolicy: string;
  updateStrategy: Fields;
  serviceName: string;
  volumeClaimTemplates?: { spec: Fields }[];
  persistentVolumeClaimRetentionPolicy?: Fields;
  template: {
    metadata: { labels: Record<string, string>; annotations: Record<string, string> };
    spec: Fields & { containers: Container[]; volumes: Fields[]; topologySpreadConstraints: Fields[] };
  };
};
const set = (name: string, spec: Fields = {}): StatefulSetSpec => {
  const found = made(spec).find((object) => object.kind === "StatefulSet" && object.metadata.name === name);
  if (found === undefined) throw new Error(`no StatefulSet ${name}`);
  return found["spec"] as StatefulSetSpec;
};
const shard = (spec: StatefulSetSpec): Container => {
  const [container] = spec.template.spec.containers;
  if (container === undefined) throw new Error("no container");
  return container;
};

test("a cluster is two StatefulSets, each with two Services, all owned by it", (t) => {
  const objects = made();
  t.deepEqual(
    objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    [
      "Service demo-write-pods",
      "StatefulSet demo-write",
      "Service demo",
      "Service demo-read-pods",
      "StatefulSet demo-read",
      "Service demo-read",
    ],
  );
  for (const { metadata } of objects) {
    t.is(metadata.namespace, "shop");
    t.like(metadata.ownerReferences?.[0], { kind: "ShardCluster", uid: "uid-1", controller: true });
    t.is(metadata.labels?.["app.kubernetes.io/managed-by"], "edis");
  }
});

test("the workload says how many pods there are, started in parallel", (t) => {
  t.like(set("demo-write"), { replicas: 3, podManagementPolicy: "Parallel", serviceName: "demo-write-pods" });
  t.like(set("demo-read"), { replicas: 6, podManagementPolicy: "Parallel", serviceName: "demo-read-pods" });
});

test("a change of the template restarts no pod by itself: the plan says which one goes when", (t) => {
  for (const name of ["demo-write", "demo-read"]) t.deepEqual(set(name).updateStrategy, { type: "OnDelete" });
});

test("the same cluster gives the same objects, byte by byte", (t) => {
  t.is(JSON.stringify(made()), JSON.stringify(made()));
});

test("pods are what the restricted Pod Security Standard asks for, without a token of the API server", (t) => {
  for (const name of ["demo-write", "demo-read"]) {
    const { spec } = set(name).template;
    t.like(spec, {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
    });
    t.deepEqual(shard(set(name)).securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    t.false(spec.volumes.some((volume) => "hostPath" in volume));
  }
});

test("pods are spread over nodes and zones, each StatefulSet by itself", (t) => {
  const constraints = set("demo-read").template.spec.topologySpreadConstraints;
  t.deepEqual(
    constraints.map(({ topologyKey, whenUnsatisfiable }) => [topologyKey, whenUnsatisfiable]),
    [
      ["kubernetes.io/hostname", "ScheduleAnyway"],
      ["topology.kubernetes.io/zone", "ScheduleAnyway"],
    ],
  );
  t.like(constraints[0]?.["labelSelector"], { matchLabels: { "app.kubernetes.io/component": "reader" } });
});

test("a shard is told who and where it is, and where info is", (t) => {
  const { env, image } = shard(set("demo-read"));
  t.is(image, "edis:1");
  const told = Object.fromEntries(env.map(({ name, value }) => [name, value ?? "from the pod"]));
  t.deepEqual(told, {
    EDIS_POD: "from the pod",
    EDIS_POD_UID: "from the pod",
    EDIS_ADVERTISE_HOST: "from the pod",
    EDIS_NODE: "from the pod",
    EDIS_OWN_CONTAINER: "1",
    EDIS_ROLE: "reader",
    EDIS_CLUSTER_ID: "uid-1",
    EDIS_CLUSTER: "shop/demo",
    EDIS_INFO: "ws://info:7378",
    EDIS_TOKEN_FILE: "/etc/edis/token",
  });
});

test("volumes are as the storage says; a reader's goes when its pod is scaled away", (t) => {
  const storage = { size: "10Gi", storageClassName: "fast", whenDeleted: "Delete" };
  const writers = set("demo-write", { storage });
  t.deepEqual(writers.volumeClaimTemplates?.[0]?.spec, {
    accessModes: ["ReadWriteOnce"],
    storageClassName: "fast",
    resources: { requests: { storage: "10Gi" } },
  });
  t.deepEqual(writers.persistentVolumeClaimRetentionPolicy, { whenDeleted: "Delete", whenScaled: "Retain" });
  t.deepEqual(set("demo-read").persistentVolumeClaimRetentionPolicy, {
    whenDeleted: "Retain",
    whenScaled: "Delete",
  });
});

test("ephemeral storage is a folder of the pod", (t) => {
  const spec = set("demo-write", { storage: { ephemeral: true } });
  t.is(spec.volumeClaimTemplates, undefined);
  t.true(spec.template.spec.volumes.some(({ name, emptyDir }) => name === "data" && emptyDir !== undefined));
});

test("the template is laid over the pods and cannot take the operator's labels away", (t) => {
  const template = {
    labels: { team: "a" },
    annotations: { note: "x" },
    nodeSelector: { disk: "ssd" },
    tolerations: [{ operator: "Exists" }],
    affinity: { nodeAffinity: {} },
    resources: { limits: { memory: "1Gi" } },
    imagePullSecrets: [{ name: "s" }],
    priorityClassName: "high",
  };
  const spec = set("demo-write", { template, image: "own:2" });
  t.like(spec.template.metadata.labels, { team: "a", "app.kubernetes.io/instance": "demo" });
  t.is(spec.template.metadata.annotations["note"], "x");
  const { nodeSelector, tolerations, affinity, imagePullSecrets, priorityClassName } = template;
  t.like(spec.template.spec, { nodeSelector, tolerations, affinity, imagePullSecrets, priorityClassName });
  t.is(shard(spec).image, "own:2");
  t.deepEqual(shard(spec).resources, template.resources);
});

test("the scale subresource selects the reader pods and no others", (t) => {
  const { labels } = set("demo-read").template.metadata;
  const wanted = readerSelector("demo").split(",");
  t.true(
    wanted.every((pair) => pair === `${pair.split("=")[0] ?? ""}=${labels[pair.split("=")[0] ?? ""] ?? ""}`),
  );
  t.true(wanted.includes("app.kubernetes.io/component=reader"));
});
