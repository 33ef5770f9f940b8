import * as v from "valibot";
import { epoch, mapVersion, shardId, shardsMax, version } from "../core/ids.ts";
import { EdisError } from "../core/errors.ts";
import { inSyncMax, readersMax } from "../core/limits.ts";
import { branded, movesShape, shardShape, slotRanges } from "../core/shape.ts";
import type { Ownership } from "./plan/model.ts";
import { wholeNames } from "./storedOwnership.ts";
import type { Schema } from "./schema.ts";

const count: Schema = { type: "integer", format: "int64", minimum: 0 };
const slots: Schema = {
  description: "Ranges of slots, both ends included.",
  type: "array",
  items: { type: "array", minItems: 2, maxItems: 2, items: { type: "integer" } },
};
const podRef: Schema = {
  type: "object",
  required: ["pod", "incarnation"],
  properties: { pod: { type: "string" }, incarnation: { type: "string" } },
};

/**
 * The schema of a ShardTopology's `spec`. Fields that it does not name are kept: a CRD that is older than its operator
 * must never drop a part of who owns what.
 */
export const ownershipSchema: Schema = {
  description: "Who owns which slots, in which epoch. Written by the operator only.",
  type: "object",
  required: ["clusterId", "mapVersion", "shards", "assignments"],
  "x-kubernetes-preserve-unknown-fields": true,
  properties: {
    clusterId: { description: "UID of the ShardCluster.", type: "string" },
    mapVersion: { ...count, description: "Raised whenever slots change hands." },
    shardCount: { ...count, description: "How many shards there are, for the printer column." },
    shards: {
      description: "Entry i is shard i.",
      type: "array",
      maxItems: shardsMax,
      items: {
        type: "object",
        required: ["id", "epoch", "phase", "slots"],
        "x-kubernetes-preserve-unknown-fields": true,
        properties: {
          id: count,
          epoch: { ...count, description: "Raised at every change of owner and every start of an owner." },
          owner: { ...podRef, description: "The process that orders the shard's writes.", nullable: true },
          phase: {
            type: "object",
            required: ["kind"],
            "x-kubernetes-preserve-unknown-fields": true,
            properties: { kind: { type: "string" } },
          },
          inSync: {
            description:
              "Pods, without the cluster's name, that hold everything acknowledged in this epoch: who may take over.",
            type: "array",
            maxItems: inSyncMax,
            items: { type: "string" },
          },
          syncSeq: { ...count, description: "Which of the owner's statements inSync is." },
          slots,
          mapVersion: { ...count, description: "The version of the map in which slots last changed." },
        },
      },
    },
    name: { description: "Of the ShardCluster: pods are called by what follows it.", type: "string" },
    assignments: {
      description: "Which readers, by their ordinals, replicate which shard.",
      type: "array",
      maxItems: readersMax,
      items: {
        type: "object",
        required: ["shard"],
        "x-kubernetes-preserve-unknown-fields": true,
        properties: { shard: count, readers: { type: "array", maxItems: readersMax, items: count } },
      },
    },
    moves: {
      description: "Slots on their way from one shard to another.",
      type: "array",
      maxItems: shardsMax,
      items: {
        type: "object",
        required: ["id", "from", "fromEpoch", "to", "toEpoch", "slots", "stage"],
        "x-kubernetes-preserve-unknown-fields": true,
        properties: {
          id: count,
          ...{ from: count, fromEpoch: count, to: count, toEpoch: count },
          slots,
          stage: { type: "string" },
        },
      },
    },
    lastMove: { ...count, description: "The id of the newest move there ever was." },
    rebalance: {
      description: "Which slots are to have another owner. Null while every slot is where it is to be.",
      type: "object",
      nullable: true,
      required: ["writers", "goals"],
      "x-kubernetes-preserve-unknown-fields": true,
      properties: {
        writers: { ...count, description: "For how many writers the slots are levelled." },
        sinceMs: { type: "number", description: "When it began, in milliseconds since 1970." },
        goals: {
          type: "array",
          maxItems: shardsMax,
          items: { type: "object", required: ["to", "slots"], properties: { to: count, slots } },
        },
        done: {
          type: "object",
          description: "What has arrived.",
          properties: { keys: count, bytes: count },
        },
        problem: { type: "string", nullable: true, description: "Why the last move that failed did." },
      },
    },
    epochFloor: { ...count, description: "No shard that is added begins below this epoch." },
    processes: {
      description: "What tells the owners' processes from others of the same pods.",
      type: "array",
      maxItems: shardsMax,
      items: {
        type: "object",
        required: ["shard", "epoch", "uid", "startedAtMs"],
        "x-kubernetes-preserve-unknown-fields": true,
        properties: { shard: count, epoch: count, uid: { type: "string" }, startedAtMs: { type: "number" } },
      },
    },
  },
};

const decoded = v.object({
  clusterId: v.string(),
  mapVersion: branded(mapVersion),
  shards: v.array(shardShape),
  assignments: v.array(v.object({ pod: v.string(), shard: branded(shardId) })),
  moves: movesShape,
  lastMove: v.optional(v.number(), 0),
  rebalance: v.nullish(
    v.object({
      writers: v.number(),
      sinceMs: v.optional(v.number(), 0),
      goals: v.array(v.object({ to: branded(shardId), slots: slotRanges })),
      done: v.optional(v.object({ keys: v.number(), bytes: v.number() }), { keys: 0, bytes: 0 }),
      problem: v.nullish(v.string(), null),
    }),
    null,
  ),
  epochFloor: v.optional(branded(epoch), 0),
  processes: v.optional(
    v.array(
      v.object({
        ...{ shard: branded(shardId), epoch: branded(epoch), uid: v.string(), startedAtMs: v.number() },
        held: v.nullish(v.object({ epoch: branded(epoch), version: branded(version) }), null),
      }),
    ),
    [],
  ),
});

/** Reads what is stored in a ShardTopology's `spec`. Throws `bad-argument`: nothing is decided on half an ownership. */
export const ownershipFrom = (spec: unknown): Ownership => {
  const parsed = v.safeParse(decoded, wholeNames(spec), { abortEarly: true });
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const where = v.getDotPath(issue) ?? "spec";
  throw new EdisError("bad-argument", `Cannot read a ShardTopology: ${where}: ${issue.message}`);
};
