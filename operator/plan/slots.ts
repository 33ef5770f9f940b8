import { slot, slotCount } from "../../core/ids.ts";
import { countSlots, type SlotRange } from "../../core/topology.ts";

/** The slots of a new cluster, shared out evenly: one range for each shard, none more than one slot longer than another. */
export const splitSlots = (shards: number): readonly (readonly SlotRange[])[] =>
  Array.from({ length: shards }, (_, i) => {
    const from = Math.floor((i * slotCount) / shards);
    const to = Math.floor(((i + 1) * slotCount) / shards) - 1;
    return [[slot(from), slot(to)]];
  });

/** Whether a shard owns any slot at all. */
export const ownsSlots = ({ slots }: { readonly slots: readonly SlotRange[] }): boolean =>
  countSlots(slots) > 0;
