import { createHash } from "node:crypto";
import { keyOf, type ShardCluster } from "../shardCluster.ts";
import type { Workload } from "../plan/model.ts";
import type { Fields } from "../rules.ts";
import { apiVersion } from "../schema.ts";
import { shardNodeArguments } from "../shardProgram.ts";
import type { Manifest } from "./crds.ts";

/** What the operator adds to every cluster's wishes. */
export type Surroundings = {
  /** Image of shards where the cluster names none. */
  readonly image: string;
  /** Where shards find info. */
  readonly infoUrl: string;
};

export type Role = "writer" | "reader";

/** The container of a pod that runs the shard process; others may have been put beside it. */
export const shardContainer = "shard";
/** Says of a pod to which shard it belongs. Put on by the operator, as a template cannot know. */
export const shardLabel = "edis.dev/shard";

export const managedBy = "edis";
/** Every object that belongs to a cluster, whichever. */
export const ownedSelector = `app.kubernetes.io/managed-by=${managedBy}`;
/** On both StatefulSets: what they are to make pods from, so that it is seen whether both have been told of a change. */
export const templatesAnnotation = "edis.dev/templates";
export const tokenSecret = (name: string): string => `${name}-edis`;
export const tokenKey = "token";

const uid = 65_532;
const ports = { client: 7379, replication: 7380, http: 8080, resp: 6379 };
const suffix = { writer: "write", reader: "read" } as const;

/** Labels of what belongs to a cluster, or to its writers or readers. */
export const labelsFor = (name: string, role?: Role): Readonly<Record<string, string>> => ({
  "app.kubernetes.io/name": "edis",
  "app.kubernetes.io/instance": name,
  "app.kubernetes.io/managed-by": managedBy,
  ...(role === undefined ? {} : { "app.kubernetes.io/component": role }),
});

/** Which cluster and role an object is for, by its labels; undefined where it is none of ours. */
export const belongsTo = (
  labels: Readonly<Record<string, unknown>>,
): { readonly name: string; readonly role: Role } | undefined => {
  const name = labels["app.kubernetes.io/instance"];
  const role = labels["app.kubernetes.io/component"];
  return typeof name === "string" && (role === "writer" || role === "reader") ? { name, role } : undefined;
};

/** What the scale subresource selects pods by. */
export const readerSelector = (name: string): string =>
  Object.entries(selectorFor(name, "reader"))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");

export const selectorFor = (name: string, role: Role): Readonly<Record<string, string>> => ({
  "app.kubernetes.io/name": "edis",
  "app.kubernetes.io/instance": name,
  "app.kubernetes.io/component": role,
});

/** The owner that takes everything with it when it is deleted. */
export const ownerOf = ({ name, uid }: ShardCluster): Fields => ({
  apiVersion,
  kind: "ShardCluster",
  name,
  uid,
  controller: true,
  blockOwnerDeletion: true,
});

/** Everything a cluster consists of but its token, in the order in which it is of use. */
export const resourcesFor = (
  cluster: ShardCluster,
  workload: Workload,
  surroundings: Surroundings,
): readonly Manifest[] => {
  const made = { writer: workload.writers, reader: workload.readers };
  return (["writer", "reader"] as const).flatMap((role) => [
    headlessService(cluster, role),
    statefulSet({ cluster, role, replicas: made[role], surroundings }),
    clientService(cluster, role),
  ]);
};

const metadata = (cluster: ShardCluster, name: string, role: Role): Manifest["metadata"] => ({
  name,
  namespace: cluster.namespace,
  labels: labelsFor(cluster.name, role),
  ownerReferences: [ownerOf(cluster)],
});

/** `demo-write`, `demo-read`. */
export const statefulSetName = (name: string, role: Role): string => `${name}-${suffix[role]}`;
const headlessName = (name: string, role: Role): string => `${statefulSetName(name, role)}-pods`;

/** A name for each pod, also before it is ready. */
const headlessService = (cluster: ShardCluster, role: Role): Manifest => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: metadata(cluster, headlessName(cluster.name, role), role),
  spec: {
    clusterIP: "None",
    publishNotReadyAddresses: true,
    selector: selectorFor(cluster.name, role),
    ports: [servicePort("client"), servicePort("replication"), servicePort("resp")],
  },
});

/** Where clients begin: `demo` for the writers, `demo-read` for the readers. */
const clientService = (cluster: ShardCluster, role: Role): Manifest => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: metadata(cluster, role === "writer" ? cluster.name : `${cluster.name}-read`, role),
  spec: { selector: selectorFor(cluster.name, role), ports: [servicePort("client"), servicePort("resp")] },
});

const servicePort = (name: keyof typeof ports): Fields => ({
  name,
  port: ports[name],
  targetPort: name,
  protocol: "TCP",
});

type Wanted = {
  readonly cluster: ShardCluster;
  readonly role: Role;
  readonly replicas: number;
  readonly surroundings: Surroundings;
};

const statefulSet = (wanted: Wanted): Manifest => {
  const { cluster, role, replicas } = wanted;
  const { storage } = cluster.spec;
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: {
      ...metadata(cluster, statefulSetName(cluster.name, role), role),
      annotations: { [templatesAnnotation]: templatesOf(cluster, wanted.surroundings) },
    },
    spec: {
      replicas,
      serviceName: headlessName(cluster.name, role),
      podManagementPolicy: "Parallel",
      // The plan says which pod goes when (plan/rollout.ts).
      updateStrategy: { type: "OnDelete" },
      revisionHistoryLimit: 5,
      selector: { matchLabels: selectorFor(cluster.name, role) },
      template: podTemplate(wanted),
      ...(storage.ephemeral
        ? {}
        : {
            volumeClaimTemplates: [
              {
                metadata: { name: "data", labels: labelsFor(cluster.name, role) },
                spec: {
                  accessModes: ["ReadWriteOnce"],
                  ...(storage.storageClassName === "" ? {} : { storageClassName: storage.storageClassName }),
                  resources: { requests: { storage: storage.size } },
                },
              },
            ],
            persistentVolumeClaimRetentionPolicy: {
              whenDeleted: storage.whenDeleted,
              // What a reader holds is a copy of what its writer holds.
              whenScaled: role === "reader" ? "Delete" : "Retain",
            },
          }),
    },
  };
};

const templatesOf = (cluster: ShardCluster, surroundings: Surroundings): string => {
  const templates = (["writer", "reader"] as const).map((role) =>
    podTemplate({ cluster, role, surroundings, replicas: 0 }),
  );
  return createHash("sha256").update(JSON.stringify(templates)).digest("hex").slice(0, 16);
};

/** Whose pods are made from something else after a change of the cluster. */
export const remadeRoles = (
  before: ShardCluster,
  after: ShardCluster,
  surroundings: Surroundings,
): ReadonlySet<Role> =>
  new Set(
    (["writer", "reader"] as const).filter((role) => {
      const [had, has] = [before, after].map((cluster) =>
        JSON.stringify(podTemplate({ cluster, role, surroundings, replicas: 0 })),
      );
      return had !== has;
    }),
  );

const podTemplate = ({ cluster, role, surroundings }: Wanted): Fields => {
  const { template, storage } = cluster.spec;
  const spread = (topologyKey: string): Fields => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: "ScheduleAnyway",
    labelSelector: { matchLabels: selectorFor(cluster.name, role) },
  });
  return {
    metadata: {
      labels: { ...template.labels, ...labelsFor(cluster.name, role) },
      annotations: { ...template.annotations, "kubectl.kubernetes.io/default-container": "shard" },
    },
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      // Handing over takes an owner 10 s at most, ending 5 s after that.
      terminationGracePeriodSeconds: 30,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: uid,
        runAsGroup: uid,
        fsGroup: uid,
        fsGroupChangePolicy: "OnRootMismatch",
        seccompProfile: { type: "RuntimeDefault" },
      },
      topologySpreadConstraints: [spread("kubernetes.io/hostname"), spread("topology.kubernetes.io/zone")],
      containers: [container(cluster, role, surroundings)],
      volumes: [
        {
          name: "token",
          secret: {
            secretName: tokenSecret(cluster.name),
            defaultMode: 0o440,
            items: [{ key: tokenKey, path: tokenKey }],
          },
        },
        ...(storage.ephemeral ? [{ name: "data", emptyDir: {} }] : []),
      ],
      ...present("nodeSelector", template.nodeSelector),
      ...present("tolerations", template.tolerations),
      ...present("affinity", template.affinity),
      ...present("imagePullSecrets", template.imagePullSecrets),
      ...present("priorityClassName", template.priorityClassName),
    },
  };
};

const container = (cluster: ShardCluster, role: Role, surroundings: Surroundings): Fields => {
  const { template, image } = cluster.spec;
  const probe = (path: string, timing: Fields): Fields => ({ httpGet: { path, port: "http" }, ...timing });
  return {
    name: shardContainer,
    image: image === "" ? surroundings.image : image,
    command: ["node", ...shardNodeArguments, "/edis/shard.cjs"],
    ...present("imagePullPolicy", template.imagePullPolicy),
    env: environment(cluster, role, surroundings),
    ports: Object.entries(ports).map(([name, containerPort]) => ({ name, containerPort, protocol: "TCP" })),
    startupProbe: probe("/livez", { periodSeconds: 1, failureThreshold: 600 }),
    readinessProbe: probe("/readyz", { periodSeconds: 1, failureThreshold: 2 }),
    livenessProbe: probe("/livez", { periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 6 }),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    resources: template.resources ?? { requests: { cpu: "50m", memory: "128Mi" } },
    volumeMounts: [
      { name: "data", mountPath: "/data" },
      { name: "token", mountPath: "/etc/edis", readOnly: true },
    ],
  };
};

const environment = (cluster: ShardCluster, role: Role, { infoUrl }: Surroundings): readonly Fields[] => {
  const from = (name: string, fieldPath: string): Fields => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  return [
    from("EDIS_POD", "metadata.name"),
    from("EDIS_POD_UID", "metadata.uid"),
    from("EDIS_ADVERTISE_HOST", "status.podIP"),
    from("EDIS_NODE", "spec.nodeName"),
    { name: "EDIS_ROLE", value: role },
    { name: "EDIS_OWN_CONTAINER", value: "1" },
    { name: "EDIS_CLUSTER_ID", value: cluster.uid },
    { name: "EDIS_CLUSTER", value: keyOf(cluster) },
    { name: "EDIS_INFO", value: infoUrl },
    { name: "EDIS_TOKEN_FILE", value: `/etc/edis/${tokenKey}` },
  ];
};

/** The field where it says something. */
const present = (field: string, value: unknown): Fields =>
  value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0)
    ? {}
    : { [field]: value };
