import { slotCount } from "../../core/ids.ts";
import { countSlots, type Shard } from "../../core/topology.ts";
import type { Session } from "./model.ts";

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
    const slots = countSlots(shard.slots);
    if (slots === 0) continue;
    const report = ownerOf(shard)?.report;
    const { known, unknown } = toldOf(shard, told);
    const share = unknown === 0 ? 0 : Math.max(0, (report?.bytes ?? 0) - known) / unknown;
    const total = known + share * unknown;
    const owned = report?.keys ?? 0;
    for (const [from, to] of shard.slots)
      for (let s: number = from; s <= to; s++) {
        const size = bytes[s] ?? NaN;
        const own = Number.isNaN(size) ? share : size;
        bytes[s] = own;
        keys[s] = owned * (total === 0 ? 1 / slots : own / total);
      }
  }
  const weights = new Float64Array(slotCount);
  for (let s = 0; s < slotCount; s++) weights[s] = sizeOf(bytes, s) + slotBaseBytes;
  return { bytes, keys, weights };
};

/** What the fullest shard holds, as far as is known: quicker than the load of each slot. */
export const bytesMostOf = (
  shards: readonly Shard[],
  told: Float64Array,
  ownerOf: (shard: Shard) => Session | undefined,
): number =>
  shards.reduce(
    (most, shard) => Math.max(most, toldOf(shard, told).known, ownerOf(shard)?.report.bytes ?? 0),
    0,
  );

/** Bytes of those slots of the shard that somebody has told of, and how many the others are. */
const toldOf = (
  { slots }: Shard,
  told: Float64Array,
): { readonly known: number; readonly unknown: number } => {
  let known = 0;
  let unknown = 0;
  for (const [from, to] of slots)
    for (let s: number = from; s <= to; s++) {
      if (Number.isNaN(told[s] ?? NaN)) unknown++;
      else known += sizeOf(told, s);
    }
  return { known, unknown };
};

const sizeOf = (bytes: Float64Array, s: number): number => {
  const size = bytes[s] ?? 0;
  return Number.isNaN(size) ? 0 : size;
};
