import * as v from "valibot";
import { epoch, shardId, version } from "./ids.ts";
import { digestBytesPerSlot, planTextBytesMax } from "./limits.ts";
import { branded, count, slotRanges, text } from "./shape.ts";

/** What tools ask processes for, beside what clients do: each question has an `id` that its answer bears. */

const place = v.object({ epoch: branded(epoch), version: branded(version) });

/** To a shard: what do these slots hold, once everything up to `after` is there? Null: as it is now. */
export const digestMessage = v.object({
  kind: v.literal("digest"),
  id: count,
  slots: slotRanges,
  after: v.nullable(place),
});
/**
 * Each slot was gone through somewhere between the places `from` and `to`: where they are one, that is what was there at that
 * place. `slots` has `digestBytesPerSlot` bytes for each slot, in the order of the slots: keys (32-bit integer), bytes of keys
 * and values (64-bit float), digest (64 bits), little-endian.
 */
export const digestedMessage = v.object({
  kind: v.literal("digested"),
  id: count,
  shard: branded(shardId),
  from: place,
  to: place,
  /** Keys that this process holds and that are not where the map says: of slots of others, or misfiled in those asked for. */
  strays: count,
  slots: v.custom<Uint8Array>(
    (field) => field instanceof Uint8Array && field.length % digestBytesPerSlot === 0,
    `must be ${digestBytesPerSlot} bytes for each slot`,
  ),
});
/** Why there is no answer. */
export const unansweredMessage = v.object({
  kind: v.literal("unanswered"),
  id: count,
  code: text,
  message: v.string(),
});

/** To info: what would a change do? `object` is the ShardCluster as it is wished, as JSON; empty: as it is wished now. */
export const planMessage = v.object({
  kind: v.literal("plan"),
  id: count,
  object: v.pipe(v.string(), v.maxLength(planTextBytesMax)),
  /** Instead of those of the object; null: those. */
  writers: v.nullish(count, null),
  readers: v.nullish(count, null),
});

const figures = v.object({ slots: count, keys: count, bytes: count });
const counts = v.object({ from: count, to: count });
const why = v.object({ reason: text, message: v.string() });
const pods = v.array(text);
/** What a change would do. Keys and bytes are as far as is known. */
export const forecastShape = v.object({
  /** `namespace/name`. */
  cluster: text,
  writers: counts,
  readers: counts,
  /** Wishes that would not be carried out. */
  refusals: v.array(why),
  /** What else is to be known: it is paused, or waits for something. */
  notes: v.array(why),
  podsAdded: pods,
  podsRemoved: pods,
  /** About in the order in which they would be made anew: readers first. */
  podsRestarted: pods,
  /** So many shards have a pod made anew at a time. */
  restartsAtOnce: count,
  /** Slots that would move, by pair of shards. */
  moves: v.array(v.object({ from: branded(shardId), to: branded(shardId), ...figures.entries })),
  /** What each shard has, before and after. */
  shards: v.array(v.object({ id: branded(shardId), before: figures, after: figures })),
  /** How long the moves would take, and what that is reckoned from; null where nothing moves. */
  estimate: v.nullable(
    v.object({
      seconds: count,
      bytesPerSecond: count,
      basis: v.picklist(["bound", "measured", "assumed"]),
    }),
  ),
  /** Readers that would follow another shard than now; null: none. */
  readersMoved: v.array(
    v.object({
      pod: text,
      from: v.nullable(branded(shardId)),
      to: v.nullable(branded(shardId)),
    }),
  ),
});
export type Forecast = v.InferOutput<typeof forecastShape>;

export const plannedMessage = v.object({ kind: v.literal("planned"), id: count, forecast: forecastShape });

export type DigestAsked = v.InferOutput<typeof digestMessage>;
export type Digested = v.InferOutput<typeof digestedMessage>;
export type PlanAsked = v.InferOutput<typeof planMessage>;
