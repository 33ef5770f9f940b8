import { bytesOfQuantity } from "./quantity.ts";

/** What must hold of a ShardCluster beyond its schema: for the API server in CEL, for the local runtime as functions. */

/** Where nothing else is said. Not a default of the schema, as ephemeral storage has no size. */
export const storageSizeDefault = "1Gi";
/** `<name>-write-<hash of 10>`, a label of every pod, must stay below 64 characters. */
export const nameCharactersMax = 40;
/** Less than this is no use to anybody. */
export const memoryMaxLeast = "16Mi";
/** Slower than this a move of slots would never end. */
export const moveBytesLeast = "64Ki";

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
const memory = ["spec", "memory"];
const rebalance = ["spec", "rebalance"];
const template = ["spec", "template"];

// The API server tries rules on defaults of the schema before it has filled in what lies below them.
const celText = (field: string, otherwise: string): string => `(has(${field}) ? ${field} : '${otherwise}')`;
const celEphemeral = (self: string): string => `(has(${self}.ephemeral) && ${self}.ephemeral)`;
const celQuantity = (self: string, least: string): string =>
  `quantity(${self}).compareTo(quantity('${least}'))`;
const isAtLeast = (max: string, least: string): boolean =>
  new RegExp(quantityPattern).test(max) && (bytesOfQuantity(max) ?? 0) >= (bytesOfQuantity(least) ?? 0);
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

/** Every shard needs so many readers, and readers are shared out evenly. */
const holdsInSync = (self: Fields): boolean => {
  const durability = at(self, ["durability"]);
  const [writers, readers, least] = [self["writers"], self["readers"], durability?.["minInSync"] ?? 0];
  if (durability?.["acks"] !== "inSync" || typeof least !== "number") return true;
  return typeof writers !== "number" || typeof readers !== "number" || readers >= writers * least;
};

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
    path: ["spec"],
    cel: "!has(self.durability) || !has(self.durability.acks) || self.durability.acks != 'inSync' || !has(self.durability.minInSync) || self.readers >= self.writers * self.durability.minInSync",
    message:
      "with durability.acks: inSync, readers must be at least writers times durability.minInSync: a shard with fewer readers than minInSync takes no writes",
    fieldPath: ".readers",
    holds: holdsInSync,
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
    path: memory,
    cel: `!has(self.max) || (self.max.matches('${quantityPattern}') && ${celQuantity("self.max", memoryMaxLeast)} >= 0)`,
    message: `max must be a quantity of at least ${memoryMaxLeast}, such as 512Mi`,
    fieldPath: ".max",
    holds: (self) => self["max"] === undefined || isAtLeast(text(self["max"]), memoryMaxLeast),
  },
  {
    path: rebalance,
    cel: `!has(self.bytesPerSecondMax) || (self.bytesPerSecondMax.matches('${quantityPattern}') && ${celQuantity("self.bytesPerSecondMax", moveBytesLeast)} >= 0)`,
    message: `bytesPerSecondMax must be a quantity of at least ${moveBytesLeast}, such as 50Mi; leave it out for no bound`,
    fieldPath: ".bytesPerSecondMax",
    holds: ({ bytesPerSecondMax: max }) => max === undefined || isAtLeast(text(max), moveBytesLeast),
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
export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
