import * as v from "valibot";
import { shardsMax } from "../core/ids.ts";
import { EdisError } from "../core/errors.ts";
import { readersMax } from "../core/limits.ts";
import type { ShardCluster, ShardClusterSpec } from "./shardCluster.ts";

/**
 * What a ShardCluster may say: the one source of the CRD that the API server checks with, and of the check that the local
 * runtime makes of its file. `specSchema` is a structural OpenAPI v3 schema; what a schema cannot say is in `rules`.
 */
export const group = "edis.dev";
export const version = "v1alpha1";
export const apiVersion = `${group}/${version}`;

/** Where nothing else is said. Not a default of the schema, as ephemeral storage has no size. */
export const storageSizeDefault = "1Gi";
/** `<name>-write-<hash of 10>`, a label of every pod, must stay below 64 characters. */
export const nameCharactersMax = 40;

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
    template: templateSchema,
  },
};

/** A part of an API object. */
export type Fields = Readonly<Record<string, unknown>>;

/** What must hold beyond the schema. `cel` is what the API server evaluates, `holds` the same for the local runtime. */
export type Rule = {
  /** From the object's root; what `self` is. A rule holds where there is nothing at its path. */
  readonly path: readonly string[];
  readonly cel: string;
  readonly message: string;
  /** Where the API server is to say the fault lies, below `path`. */
  readonly fieldPath?: string;
  /** `old` is undefined while the object is made; CEL rules that name `oldSelf` are not evaluated then. */
  readonly holds: (self: Fields, old: Fields | undefined) => boolean;
};

const namePattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$";
const quantityPattern = "^[1-9][0-9]*([.][0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$";
const labelPattern = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
const storage = ["spec", "storage"];
const template = ["spec", "template"];

// The API server tries rules on defaults of the schema before it has filled in what lies below them.
const celText = (field: string, otherwise: string): string => `(has(${field}) ? ${field} : '${otherwise}')`;
const celEphemeral = (self: string): string => `(has(${self}.ephemeral) && ${self}.ephemeral)`;
const isName = (name: unknown): boolean =>
  typeof name === "string" && name.length <= nameCharactersMax && new RegExp(namePattern).test(name);
const text = (field: unknown): string => (typeof field === "string" ? field : "");
const keptStorage = (self: Fields): string =>
  JSON.stringify([
    self["ephemeral"] === true,
    self["size"] ?? storageSizeDefault,
    self["storageClassName"] ?? "",
  ]);
const startsWithNone = (self: Fields, prefixes: readonly string[]): boolean =>
  !Object.keys(self).some((key) => prefixes.some((prefix) => key.startsWith(prefix)));

export const rules: readonly Rule[] = [
  {
    path: [],
    cel: `size(self.metadata.name) <= ${nameCharactersMax} && self.metadata.name.matches('${namePattern}')`,
    message: `metadata.name must have at most ${nameCharactersMax} characters, begin with a letter, and hold only lower-case letters, digits and '-': Services and pods are named after it`,
    holds: (self) => isName(at(self, ["metadata"])?.["name"]),
  },
  {
    path: [],
    cel: "!self.metadata.name.matches('-(read|write|pods)$')",
    message:
      "metadata.name must not end with -read, -write or -pods: the Services of a cluster without that ending have this name",
    holds: (self) => !/-(read|write|pods)$/.test(text(at(self, ["metadata"])?.["name"])),
  },
  {
    path: storage,
    cel: `!${celEphemeral("self")} || (!has(self.size) && !has(self.storageClassName))`,
    message: "ephemeral storage has no size and no storageClassName: leave them out, or set ephemeral: false",
    holds: (self) =>
      self["ephemeral"] !== true || (self["size"] === undefined && self["storageClassName"] === undefined),
  },
  {
    path: storage,
    cel: `!has(self.size) || self.size.matches('${quantityPattern}')`,
    message: "size must be a quantity above zero, such as 10Gi",
    fieldPath: ".size",
    holds: (self) => self["size"] === undefined || new RegExp(quantityPattern).test(text(self["size"])),
  },
  {
    path: storage,
    cel: [
      `${celEphemeral("self")} == ${celEphemeral("oldSelf")}`,
      `${celText("self.size", storageSizeDefault)} == ${celText("oldSelf.size", storageSizeDefault)}`,
      `${celText("self.storageClassName", "")} == ${celText("oldSelf.storageClassName", "")}`,
    ].join(" && "),
    message:
      "storage cannot be changed once the cluster is there (whenDeleted can): make a new ShardCluster with the storage wanted",
    holds: (self, old) => old === undefined || keptStorage(self) === keptStorage(old),
  },
  {
    path: [...template, "labels"],
    cel: "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('edis.dev/'))",
    message: "labels app.kubernetes.io/* and edis.dev/* are set by the operator: choose other names",
    holds: (self) => startsWithNone(self, ["app.kubernetes.io/", "edis.dev/"]),
  },
  {
    path: [...template, "labels"],
    cel: `self.all(key, self[key].matches('${labelPattern}'))`,
    message:
      "a label's value must be empty, or begin and end with a letter or digit with only letters, digits, '-', '_' and '.' between",
    holds: (self) => Object.values(self).every((value) => new RegExp(labelPattern).test(text(value))),
  },
  {
    path: [...template, "annotations"],
    cel: "self.all(key, !key.startsWith('edis.dev/'))",
    message: "annotations edis.dev/* are set by the operator: choose other names",
    holds: (self) => startsWithNone(self, ["edis.dev/"]),
  },
];

/** The rules that a defaulted object breaks; `old` is what it replaces. */
export const brokenRules = (object: Fields, old: Fields | undefined): readonly Rule[] =>
  rules.filter((rule) => {
    const self = at(object, rule.path);
    return self !== undefined && !rule.holds(self, old === undefined ? undefined : at(old, rule.path));
  });

const at = (object: Fields, path: readonly string[]): Fields | undefined => {
  let value: unknown = object;
  for (const name of path) value = isFields(value) ? value[name] : undefined;
  return isFields(value) ? value : undefined;
};
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

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
  return { ...metadata, spec: { ...spec, storage: storageFrom(spec.storage) } };
};

const storageFrom = ({
  ephemeral,
  ...kept
}: v.InferOutput<typeof decoded>["spec"]["storage"]): ShardClusterSpec["storage"] =>
  ephemeral ? { ephemeral } : { ephemeral, ...kept };
