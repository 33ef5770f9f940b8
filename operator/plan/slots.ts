import { slot, slotCount, type ShardId } from "../../core/ids.ts";
import { countSlots, type Shard, type SlotRange } from "../../core/topology.ts";

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

/** For each slot the shard that has it; -1 where none has. */
export type SlotMap = Int16Array;

export const nobody = -1;

/** Entry s is the shard that owns slot s. */
export const slotMapOf = (shards: readonly Pick<Shard, "id" | "slots">[]): SlotMap => {
  const map = new Int16Array(slotCount).fill(nobody);
  for (const { id, slots } of shards) fillSlots(map, slots, id);
  return map;
};

export const fillSlots = (map: SlotMap, slots: readonly SlotRange[], shard: ShardId | -1): void => {
  for (const [from, to] of slots) map.fill(shard, from, to + 1);
};

/** What `shard` has in `map`. */
export const rangesIn = (map: SlotMap, shard: number): readonly SlotRange[] => {
  const ranges: SlotRange[] = [];
  for (let from = map.indexOf(shard); from >= 0;) {
    let to = from;
    while (map[to + 1] === shard) to++;
    ranges.push([slot(from), slot(to)]);
    from = map.indexOf(shard, to + 1);
  }
  return ranges;
};

export { rangesOf, rangesText } from "../../core/topology.ts";
