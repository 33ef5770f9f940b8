import * as v from "valibot";
import { shardsMax } from "../core/ids.ts";
import { EdisError } from "../core/errors.ts";
import { readersMax, readersPerShardMax } from "../core/limits.ts";
import { acksModes, evictions, fsyncs, usualSettings } from "../core/settings.ts";
import { isFields, storageSizeDefault } from "./rules.ts";
import type { ShardCluster, ShardClusterSpec } from "./shardCluster.ts";

/**
 * What a ShardCluster may say: the one source of the CRD that the API server checks with, and of the check that the local
 * runtime makes of its file. `specSchema` is a structural OpenAPI v3 schema; what a schema cannot say is in rules.ts.
 */
export const group = "edis.dev";
export const version = "v1alpha1";
export const apiVersion = `${group}/${version}`;

/** A JSON Schema as the API server takes it. */
export type Schema = Readonly<Record<string, unknown>>;

const labelsOf = (description: string): Schema => ({
  description,
  type: "object",
  maxProperties: 64,
  additionalProperties: { type: "string", maxLength: 63 },
});

const quantities: Schema = {
  type: "object",
  maxProperties: 16,
  additionalProperties: {
    anyOf: [{ type: "integer" }, { type: "string" }],
    "x-kubernetes-int-or-string": true,
    maxLength: 32,
  },
};

const templateSchema: Schema = {
  description: "Laid over the pods of both StatefulSets. Taken as Kubernetes takes them in a pod.",
  type: "object",
  default: {},
  properties: {
    labels: labelsOf("Additional labels of the pods. Not app.kubernetes.io/* and not edis.dev/*."),
    annotations: {
      description: "Additional annotations of the pods. Not edis.dev/*.",
      type: "object",
      maxProperties: 64,
      additionalProperties: { type: "string", maxLength: 65_536 },
    },
    nodeSelector: labelsOf("Labels that a node must have."),
    tolerations: {
      description: "Taints that are tolerated.",
      type: "array",
      maxItems: 64,
      items: {
        type: "object",
        properties: {
          key: { type: "string" },
          operator: { type: "string", enum: ["Exists", "Equal"] },
          value: { type: "string" },
          effect: { type: "string", enum: ["NoSchedule", "PreferNoSchedule", "NoExecute"] },
          tolerationSeconds: { type: "integer" },
        },
      },
    },
    affinity: {
      description:
        "Affinity of the pods, as in a pod's spec. The spread over nodes and zones stays beside it.",
      type: "object",
      "x-kubernetes-preserve-unknown-fields": true,
    },
    resources: {
      description: "Requests and limits of the container.",
      type: "object",
      properties: { requests: quantities, limits: quantities },
    },
    imagePullPolicy: {
      description: "When the image is pulled; the default of Kubernetes where it is not said.",
      type: "string",
      enum: ["Always", "IfNotPresent", "Never"],
    },
    imagePullSecrets: {
      description: "Secrets of the namespace that open the image's registry.",
      type: "array",
      maxItems: 16,
      items: { type: "object", required: ["name"], properties: { name: { type: "string", minLength: 1 } } },
    },
    priorityClassName: { description: "PriorityClass of the pods.", type: "string", maxLength: 253 },
  },
};

const storageSchema: Schema = {
  description: "Where the pods keep their data. Cannot be changed later, but for whenDeleted.",
  type: "object",
  default: {},
  properties: {
    ephemeral: {
      description:
        "Keep the data with the pod only: it is gone when the pod is. Excludes size and storageClassName.",
      type: "boolean",
      default: false,
    },
    size: {
      description: `Size of each pod's volume, such as 10Gi. ${storageSizeDefault} where it is not said.`,
      type: "string",
      minLength: 1,
      maxLength: 32,
    },
    storageClassName: {
      description: "StorageClass of the volumes; the default class where it is not said.",
      type: "string",
      minLength: 1,
      maxLength: 253,
    },
    whenDeleted: {
      description: "What happens to the volumes when the ShardCluster is deleted.",
      type: "string",
      enum: ["Retain", "Delete"],
      default: "Retain",
    },
  },
};

const durabilitySchema: Schema = {
  description: "What an acknowledged write survives. May be changed at any time: running pods follow.",
  type: "object",
  default: {},
  properties: {
    fsync: {
      description:
        "always: a write is acknowledged once it is on the disk. everysec: a crash of the machine loses a second at most. never: the operating system decides when.",
      type: "string",
      enum: [...fsyncs],
      default: usualSettings.fsync,
    },
    acks: {
      description:
        "owner: a write is acknowledged once it is durable at the shard's owner; a failover may lose the last moments. inSync: once it is durable at all in-sync readers as well; a failover loses nothing acknowledged.",
      type: "string",
      enum: [...acksModes],
      default: usualSettings.acks,
    },
    minInSync: {
      description:
        "With acks: inSync, how many readers of a shard must be in sync; with fewer its writes are refused.",
      type: "integer",
      minimum: 0,
      maximum: readersPerShardMax,
      default: usualSettings.minInSync,
    },
  },
};

const failoverSchema: Schema = {
  description: "How a shard whose owner is gone gets another one. May be changed at any time.",
  type: "object",
  default: {},
  properties: {
    leaseSeconds: {
      description:
        "How long an owner that is cut off may go on. An owner that cannot be seen is replaced after this long; one that is known to have ended, at once.",
      type: "integer",
      minimum: 1,
      maximum: 60,
      default: usualSettings.leaseMs / 1000,
    },
    automatic: {
      description: "Promote an in-sync reader without asking. false: a person does, see edis failover.",
      type: "boolean",
      default: true,
    },
  },
};

const rebalanceSchema: Schema = {
  description: "How slots move between writers. May be changed at any time.",
  type: "object",
  default: {},
  properties: {
    paused: {
      description:
        "Begin no move of slots. What is being copied is given up, and begins anew later; what is about to change hands does.",
      type: "boolean",
      default: false,
    },
    bytesPerSecondMax: {
      description:
        "What moves may send from each writer in a second, such as 50Mi. Without it there is no bound.",
      type: "string",
      minLength: 1,
      maxLength: 32,
    },
  },
};

const memorySchema: Schema = {
  description: "How much each pod may hold. May be changed at any time: running pods follow.",
  type: "object",
  default: {},
  properties: {
    max: {
      description:
        "What each pod's keys and values may take, with their index, such as 512Mi. Where it is not said: what the container's memory limit leaves when the process has had its share; without a limit there is no maximum.",
      type: "string",
      minLength: 1,
      maxLength: 32,
    },
    eviction: {
      description:
        "What becomes of other keys when a write finds no room. noeviction: nothing, the write is refused. allkeys-lru, allkeys-random: those that were not used for long, or any, make room. volatile-lru, volatile-random, volatile-ttl: only those that expire, the last in the order in which they do.",
      type: "string",
      enum: [...evictions],
      default: usualSettings.eviction,
    },
  },
};

/** The schema of `spec`. */
export const specSchema: Schema = {
  description: "What is wanted.",
  type: "object",
  default: {},
  properties: {
    writers: {
      description:
        "Write shards: pods of the StatefulSet <name>-write. The slots are shared out among them when the cluster is made.",
      type: "integer",
      minimum: 1,
      maximum: shardsMax,
      default: 3,
    },
    readers: {
      description:
        "Read replicas in all: pods of the StatefulSet <name>-read, shared out evenly among the shards. kubectl scale sets this.",
      type: "integer",
      minimum: 0,
      maximum: readersMax,
      default: 3,
    },
    image: {
      description: "Image of the pods; the operator's own where it is not said.",
      type: "string",
      minLength: 1,
      maxLength: 512,
    },
    reads: {
      description: "Promises about reads.",
      type: "object",
      default: {},
      properties: {
        lagMsMax: {
          description:
            "A reader that is further behind its writer than this, in milliseconds, is not read from.",
          type: "integer",
          minimum: 100,
          maximum: 3_600_000,
          default: 2000,
        },
      },
    },
    storage: storageSchema,
    durability: durabilitySchema,
    failover: failoverSchema,
    rebalance: rebalanceSchema,
    memory: memorySchema,
    template: templateSchema,
  },
};

/**
 * The schema with unknown fields refused, which a CRD must not say: `kubectl` refuses them by itself, a local file needs
 * this to be told of a misspelt name.
 */
export const closed = (schema: Schema): Schema => {
  const { properties, items } = schema;
  if (isFields(properties)) {
    const inner = Object.entries(properties).map(([name, field]) => [
      name,
      isFields(field) ? closed(field) : field,
    ]);
    return { ...schema, properties: Object.fromEntries(inner) as Schema, additionalProperties: false };
  }
  return isFields(items) ? { ...schema, items: closed(items) } : schema;
};

const strings = v.optional(v.record(v.string(), v.string()), {});
const fields = v.optional(v.nullable(v.record(v.string(), v.unknown())), null);
const decoded = v.object({
  metadata: v.object({
    namespace: v.optional(v.string(), "default"),
    name: v.string(),
    uid: v.string(),
    generation: v.optional(v.number(), 1),
    annotations: strings,
  }),
  spec: v.object({
    writers: v.number(),
    readers: v.number(),
    image: v.optional(v.string(), ""),
    reads: v.object({ lagMsMax: v.number() }),
    storage: v.object({
      ephemeral: v.optional(v.boolean(), false),
      size: v.optional(v.string(), storageSizeDefault),
      storageClassName: v.optional(v.string(), ""),
      whenDeleted: v.optional(v.picklist(["Retain", "Delete"]), "Retain"),
    }),
    // Objects that were stored before these fields were there have them by default as well.
    durability: v.optional(
      v.object({
        fsync: v.optional(v.picklist(fsyncs), usualSettings.fsync),
        acks: v.optional(v.picklist(acksModes), usualSettings.acks),
        minInSync: v.optional(v.number(), usualSettings.minInSync),
      }),
      {},
    ),
    failover: v.optional(
      v.object({
        leaseSeconds: v.optional(v.number(), usualSettings.leaseMs / 1000),
        automatic: v.optional(v.boolean(), true),
      }),
      {},
    ),
    rebalance: v.optional(
      v.object({ paused: v.optional(v.boolean(), false), bytesPerSecondMax: v.optional(v.string(), "") }),
      {},
    ),
    memory: v.optional(
      v.object({
        max: v.optional(v.string(), ""),
        eviction: v.optional(v.picklist(evictions), usualSettings.eviction),
      }),
      {},
    ),
    template: v.object({
      labels: strings,
      annotations: strings,
      nodeSelector: strings,
      tolerations: v.optional(v.array(v.unknown()), []),
      affinity: fields,
      resources: fields,
      imagePullPolicy: v.optional(v.nullable(v.picklist(["Always", "IfNotPresent", "Never"])), null),
      imagePullSecrets: v.optional(v.array(v.object({ name: v.string() })), []),
      priorityClassName: v.optional(v.string(), ""),
    }),
  }),
});

/** A defaulted and validated API object as the operator's own type. Throws `bad-argument` where it is neither. */
export const clusterFrom = (object: unknown): ShardCluster => {
  const parsed = v.safeParse(decoded, object, { abortEarly: true });
  if (!parsed.success) {
    const issue = parsed.issues[0];
    const where = v.getDotPath(issue) ?? "the object";
    throw new EdisError("bad-argument", `Cannot read a ShardCluster: ${where}: ${issue.message}`);
  }
  const { metadata, spec } = parsed.output;
  const { annotations, ...named } = metadata;
  return {
    ...named,
    force: forceFrom(annotations[forceAnnotation]),
    spec: { ...spec, storage: storageFrom(spec.storage) },
  };
};

/** `<shard>@<epoch>`: the epoch that it is meant for, so that nothing is done twice. Anything else is no word at all. */
export const forceAnnotation = "edis.dev/force-failover";
export const forceFrom = (text: string | undefined): ShardCluster["force"] => {
  const [, shard, epoch] = /^(\d{1,6})@(\d{1,15})$/.exec(text ?? "") ?? [];
  return shard === undefined || epoch === undefined ? null : { shard: Number(shard), epoch: Number(epoch) };
};

const storageFrom = ({
  ephemeral,
  ...kept
}: v.InferOutput<typeof decoded>["spec"]["storage"]): ShardClusterSpec["storage"] =>
  ephemeral ? { ephemeral } : { ephemeral, ...kept };
