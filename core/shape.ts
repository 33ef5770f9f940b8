import * as v from "valibot";
import { epoch, mapVersion, shardId, shardsMax, slot } from "./ids.ts";
import { inSyncMax, textBytesMax } from "./limits.ts";
import { acksModes, evictions, fsyncs, usualSettings } from "./settings.ts";

/** The pieces that schemas of messages and of stored objects are made of: each is a type and the check of what comes in. */
export const text = v.pipe(v.string(), v.maxLength(textBytesMax));
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const ms = v.pipe(v.number(), v.finite(), v.minValue(0));
/** A number that its maker in ids.ts accepts. */
export const branded = <T>(make: (n: number) => T): v.GenericSchema<number, T> =>
  v.pipe(
    count,
    v.rawTransform<number, T>(({ dataset, addIssue, NEVER }) => {
      try {
        return make(dataset.value);
      } catch (error) {
        addIssue({ message: error instanceof Error ? error.message : "out of range" });
        return NEVER;
      }
    }),
  );
/** A byte string of one of these lengths. */
export const bytesOf = (...lengths: readonly number[]): v.GenericSchema<Uint8Array> =>
  v.custom<Uint8Array>(
    (field) => field instanceof Uint8Array && lengths.includes(field.length),
    `must be ${lengths.join(" or ")} bytes`,
  );

export const podRefFields = { pod: text, incarnation: text };
const podRefShape = v.object(podRefFields);

export const slotRanges = v.pipe(v.array(v.tuple([branded(slot), branded(slot)])), v.maxLength(16_384));

/** `Move`s of topology.ts. */
export const movesShape = v.optional(
  v.pipe(
    v.array(
      v.object({
        id: count,
        from: branded(shardId),
        fromEpoch: branded(epoch),
        to: branded(shardId),
        toEpoch: branded(epoch),
        slots: slotRanges,
        stage: v.picklist(["copying", "freezing"]),
      }),
    ),
    v.maxLength(shardsMax),
  ),
  [],
);

/** `Shard` of topology.ts. */
export const shardShape = v.object({
  id: branded(shardId),
  epoch: branded(epoch),
  // The Kubernetes API drops fields that are null.
  owner: v.nullish(podRefShape, null),
  phase: v.variant("kind", [
    v.object({ kind: v.literal("stable") }),
    v.object({ kind: v.literal("fencing"), epoch: branded(epoch) }),
    v.object({ kind: v.literal("handover"), to: podRefShape }),
  ]),
  inSync: v.optional(v.pipe(v.array(text), v.maxLength(inSyncMax)), []),
  syncSeq: v.optional(count, 0),
  slots: slotRanges,
  mapVersion: v.optional(branded(mapVersion), 1),
});

/** `Settings` of settings.ts. A peer older than they are says none; what a newer one calls by a name unknown here is taken for the safest. */
export const settingsShape = v.optional(
  v.object({
    fsync: v.fallback(v.picklist(fsyncs), "always"),
    memoryMaxBytes: v.nullish(count, null),
    eviction: v.fallback(v.picklist(evictions), "noeviction"),
    acks: v.optional(v.fallback(v.picklist(acksModes), "inSync"), usualSettings.acks),
    minInSync: v.optional(count, usualSettings.minInSync),
    leaseMs: v.optional(ms, usualSettings.leaseMs),
    moveBytesPerSecondMax: v.optional(count, usualSettings.moveBytesPerSecondMax),
  }),
  usualSettings,
);
