import { slotCount } from "../../core/ids.ts";
import { countSlots, type Shard } from "../../core/topology.ts";
import type { Session } from "./model.ts";
import { slotsIn } from "./slots.ts";

/** What a slot weighs besides its bytes, so that those of an empty cluster are levelled by their number: about what a hundred small keys take. */
export const slotBaseBytes = 8 * 1024;

export type Loads = {
  /** Entry s is the bytes of slot s, as far as is known, else a share of what its owner holds. */
  readonly bytes: Float64Array;
  /** Entry s is the keys of slot s, by its share of its owner's bytes. */
  readonly keys: Float64Array;
  /** Bytes, and what a slot weighs by itself: what is levelled. */
  readonly weights: Float64Array;
};

/** What each slot holds. Where nobody has told of a slot, its owner's bytes are shared out evenly among those that it did not tell of. */
export const loadsBySlot = (
  shards: readonly Shard[],
  told: Float64Array,
  ownerOf: (shard: Shard) => Session | undefined,
): Loads => {
  const bytes = told.slice();
  const keys = new Float64Array(slotCount);
  for (const shard of shards) {
    if (countSlots(shard.slots) === 0) continue;
    const slots = slotsIn(shard.slots);
    const report = ownerOf(shard)?.report;
    const unknown = slots.filter((s) => Number.isNaN(bytes[s]));
    const known = slots.reduce((sum, s) => sum + sizeOf(bytes, s), 0);
    const share = unknown.length === 0 ? 0 : Math.max(0, (report?.bytes ?? 0) - known) / unknown.length;
    for (const s of unknown) bytes[s] = share;
    const total = known + share * unknown.length;
    for (const s of slots) {
      const part = total === 0 ? 1 / slots.length : (bytes[s] ?? 0) / total;
      keys[s] = (report?.keys ?? 0) * part;
    }
  }
  return { bytes, keys, weights: bytes.map((size) => (Number.isNaN(size) ? 0 : size) + slotBaseBytes) };
};

const sizeOf = (bytes: Float64Array, s: number): number => {
  const size = bytes[s] ?? 0;
  return Number.isNaN(size) ? 0 : size;
};
