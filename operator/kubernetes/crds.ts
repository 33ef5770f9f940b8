import { rules, type Rule } from "../rules.ts";
import { apiVersion, group, specSchema, version, type Schema } from "../schema.ts";
import { ownershipSchema } from "../topologySchema.ts";

/** An API object in its whole, as it goes to the API server. */
export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly unknown[];
  };
  readonly [field: string]: unknown;
};

export const shardClusters = { kind: "ShardCluster", plural: "shardclusters", apiVersion } as const;
export const shardTopologies = { kind: "ShardTopology", plural: "shardtopologies", apiVersion } as const;

const integer: Schema = { type: "integer" };
const string: Schema = { type: "string" };
const readyOfWanted: Schema = { type: "object", properties: { wanted: integer, ready: integer } };

const done: Schema = { type: "integer", format: "int64" };
const moveSchema: Schema = {
  type: "object",
  properties: {
    ...{ from: integer, to: integer, slots: integer, stage: string },
    ...{ keys: done, keysInAll: done, bytes: done, bytesInAll: done },
  },
};
const rebalanceSchema: Schema = {
  description: "Slots on their way to other writers; null where every slot is where it is to be.",
  type: "object",
  nullable: true,
  properties: {
    writers: { ...integer, description: "For how many writers the slots are levelled." },
    since: { type: "string", format: "date-time" },
    ...{ slotsDone: integer, slotsInAll: integer, keysDone: done, keysInAll: done },
    ...{ bytesDone: done, bytesInAll: done },
    bytesPerSecond: { ...done, description: "Since it began." },
    etaSeconds: { ...integer, description: "-1 where it cannot be told." },
    moves: { type: "array", description: "Those under way.", items: moveSchema },
    waitingFor: { ...string, description: "Why nothing moves; empty where something does." },
    lastError: string,
  },
};

const statusSchema: Schema = {
  description: "How things are. Derived by the operator, never read back.",
  type: "object",
  properties: {
    observedGeneration: { ...integer, description: "The generation of the spec that the rest is about." },
    conditions: {
      type: "array",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["type"],
      items: {
        type: "object",
        required: ["type", "status", "lastTransitionTime", "reason", "message"],
        properties: {
          type: string,
          status: { type: "string", enum: ["True", "False", "Unknown"] },
          observedGeneration: integer,
          lastTransitionTime: { type: "string", format: "date-time" },
          reason: string,
          message: string,
        },
      },
    },
    writers: readyOfWanted,
    readers: readyOfWanted,
    writersReady: { ...string, description: "Writers ready/wanted." },
    readersReady: { ...string, description: "Readers ready/wanted." },
    slotsServed: { ...integer, description: "Slots whose owner serves, of 16384." },
    upToDate: { ...string, description: "Pods made from the template as it is now, of all." },
    replicas: { ...integer, description: "Reader pods, for the scale subresource." },
    selector: { ...string, description: "Label selector of the reader pods, for the scale subresource." },
    moving: { ...string, description: "How many of the slots that are to move have moved." },
    rebalance: rebalanceSchema,
    shards: {
      type: "array",
      items: {
        type: "object",
        properties: {
          id: integer,
          epoch: integer,
          owner: string,
          inSync: {
            type: "array",
            items: string,
            description: "Who would take over without losing anything.",
          },
          phase: { ...string, description: "What is under way: stable, fencing or handover." },
          slots: integer,
          keys: integer,
          readers: { type: "array", items: string },
          lagMs: { type: "number", description: "Of the reader furthest behind; -1 where none is known." },
        },
      },
    },
  },
};

/** The schema with each rule put where its path points. */
const withRules = (schema: Schema, all: readonly Rule[], path: readonly string[] = []): Schema => {
  const here = all.filter((rule) => rule.path.join(".") === path.join("."));
  const validations = here.map(({ cel, message, fieldPath }) => ({
    rule: cel,
    message,
    ...(fieldPath === undefined ? {} : { fieldPath }),
  }));
  const properties = schema["properties"] as Readonly<Record<string, Schema>> | undefined;
  return {
    ...schema,
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, field]) => [name, withRules(field, all, [...path, name])]),
          ),
        }),
    ...(validations.length === 0 ? {} : { "x-kubernetes-validations": validations }),
  };
};

const object = (description: string, properties: Schema): Schema => ({
  description,
  type: "object",
  properties: { apiVersion: string, kind: string, metadata: { type: "object" }, ...properties },
});

const age = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };
const ready = '.status.conditions[?(@.type=="Ready")]';

const crd = ({ kind, plural, shortName, served }: Definition): Manifest => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${plural}.${group}` },
  spec: {
    group,
    scope: "Namespaced",
    names: {
      kind,
      listKind: `${kind}List`,
      plural,
      singular: kind.toLowerCase(),
      shortNames: [shortName],
      categories: ["edis"],
    },
    versions: [{ name: version, served: true, storage: true, ...served }],
  },
});
type Definition = {
  readonly kind: string;
  readonly plural: string;
  readonly shortName: string;
  readonly served: Schema;
};

export const shardClusterCrd: Manifest = crd({
  ...shardClusters,
  shortName: "shc",
  served: {
    subresources: {
      status: {},
      scale: {
        specReplicasPath: ".spec.readers",
        statusReplicasPath: ".status.replicas",
        labelSelectorPath: ".status.selector",
      },
    },
    additionalPrinterColumns: [
      { name: "Ready", type: "string", jsonPath: `${ready}.status` },
      { name: "Writers", type: "string", jsonPath: ".status.writersReady", description: "ready/wanted" },
      { name: "Readers", type: "string", jsonPath: ".status.readersReady", description: "ready/wanted" },
      { name: "Slots", type: "integer", jsonPath: ".status.slotsServed", description: "served, of 16384" },
      {
        name: "Moving",
        type: "string",
        jsonPath: ".status.moving",
        description: "of the slots that are to move",
      },
      {
        name: "UpToDate",
        type: "string",
        jsonPath: ".status.upToDate",
        description: "pods as the template is now",
        priority: 1,
      },
      age,
      { name: "Message", type: "string", jsonPath: `${ready}.message`, priority: 1 },
    ],
    schema: {
      openAPIV3Schema: withRules(
        object("A sharded, replicated key-value store.", { spec: specSchema, status: statusSchema }),
        rules,
      ),
    },
  },
});

export const shardTopologyCrd: Manifest = crd({
  ...shardTopologies,
  shortName: "sht",
  served: {
    additionalPrinterColumns: [
      { name: "Shards", type: "integer", jsonPath: ".spec.shardCount" },
      { name: "Map", type: "integer", jsonPath: ".spec.mapVersion", description: "version of the slot map" },
      age,
    ],
    schema: {
      openAPIV3Schema: {
        ...object("Who owns which slots of the ShardCluster of the same name.", { spec: ownershipSchema }),
        required: ["spec"],
      },
    },
  },
});
