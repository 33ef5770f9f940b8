import { slot, type Epoch, type ShardId } from "../../core/ids.ts";
import { isSameRanges, type Move, type SlotRange, type Topology } from "../../core/topology.ts";
import { frozenSlot, slotSetOf, type SlotSet } from "../route.ts";
import type { Store } from "../store/store.ts";

/** Which slots a shard serves, and which moves it takes part in, as a topology says. */

/** What a shard serves, and of that what is frozen. */
export type Served = { readonly slots: readonly SlotRange[]; readonly frozen: readonly SlotRange[] };

/** The shard's slots; of its owner in `epoch`, null for who only follows, those frozen that are about to leave it. */
export const servedNow = (topology: Topology, shard: ShardId, epoch: Epoch | null): Served => {
  const moves = epoch === null ? [] : leaving(topology, shard, epoch);
  return {
    slots: topology.shards[shard]?.slots ?? [],
    frozen: moves.flatMap(({ stage, slots }) => (stage === "freezing" ? slots : [])),
  };
};

export const isSameServed = (a: Served, b: Served): boolean =>
  isSameRanges(a.slots, b.slots) && isSameRanges(a.frozen, b.frozen);

export const slotsServed = ({ slots: own, frozen }: Served): SlotSet => {
  const slots = slotSetOf(own);
  for (const [from, to] of frozen)
    for (let i: number = from; i <= to; i++) if (slots[i] === 1) slots[i] = frozenSlot;
  return slots;
};

/** Moves from the shard, as long as it has the owner that they began with. */
export const leaving = ({ moves }: Topology, shard: ShardId, epoch: Epoch): readonly Move[] =>
  moves.filter(({ from, fromEpoch }) => from === shard && fromEpoch === epoch);

/** Moves to the shard, as long as both have the owners that they began with; of slots that are not its own yet. */
export const coming = ({ moves, shards }: Topology, shard: ShardId, epoch: Epoch): readonly Move[] =>
  moves.filter(
    ({ from, fromEpoch, to, toEpoch }) =>
      to === shard && toEpoch === epoch && from !== to && shards[from]?.epoch === fromEpoch,
  );

/** How much there is of some slots. Asked with each report: it looks at these slots alone. */
export const keysIn = (
  store: Store,
  slots: readonly SlotRange[],
): { readonly keys: number; readonly bytes: number } => {
  let keys = 0;
  let bytes = 0;
  for (const [from, to] of slots)
    for (let i: number = from; i <= to; i++) {
      keys += store.slotKeys(slot(i));
      bytes += store.slotBytes(slot(i));
    }
  return { keys, bytes };
};
