import { shardId, slotCount, type ShardId } from "../../core/ids.ts";
import type { Shard } from "../../core/topology.ts";
import { mebibytes } from "../../core/words.ts";
import { balance, loadsOf } from "./balance.ts";
import { counted } from "./events.ts";
import { slotBaseBytes, type Loads } from "./loads.ts";
import type { Goal, PlannedEvent, Rebalance } from "./model.ts";
import { fillSlots, nobody, ownsSlots, rangesOf, slotMapOf, type SlotMap } from "./slots.ts";

/** By itself, without another number of writers, levelling begins only where one shard has this much more than the mean… */
const unevenShare = 0.3;
/** …and this many bytes… */
const unevenBytes = 256 * 1024 * 1024;
/** …and so much of the mean, at least, comes off the fullest: nothing is moved to no end, nor back. */
const gainShare = 0.15;

export type GoalsInput = {
  readonly shards: readonly Shard[];
  /** How many shards are to have slots. */
  readonly writers: number;
  readonly before: Rebalance | null;
  /** Costs something: asked only where it counts. */
  readonly loads: () => Loads;
  /** What the fullest shard holds. */
  readonly bytesMost: () => number;
  readonly paused: boolean;
  /** Enough is known of what the slots hold to decide on it. */
  readonly isKnown: boolean;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
};
export type GoalsPlan = { readonly rebalance: Rebalance | null; readonly events: readonly PlannedEvent[] };

/** Whether slots are to have other owners, and which. What was decided stays until it is done, or another number of writers is wished for. */
export const planGoals = (input: GoalsInput): GoalsPlan => {
  const { shards, before, writers, paused, isKnown } = input;
  const map = slotMapOf(shards);
  if (before !== null && before.writers === writers) {
    if (isAnyDue(before, map)) return { rebalance: before, events: [] };
    const message = `All ${counted(slotsIn(before), "slot")} are where they are to be: ${counted(before.done.keys, "key")}, ${mebibytes(before.done.bytes)} moved`;
    return { rebalance: null, events: [{ type: "Normal", reason: "RebalanceFinished", message }] };
  }
  if (before === null && (paused || !needsLevelling(input, map))) return { rebalance: null, events: [] };
  // Less is known now than will be in a moment; what goes on meanwhile goes on.
  if (!isKnown) return { rebalance: before, events: [] };
  const goals = goalsOf(map, balance({ map, weights: input.loads().weights, writers }));
  if (goals.length === 0) return { rebalance: null, events: [] };
  const rebalance = { writers, sinceMs: input.wallMs, goals, done: { keys: 0, bytes: 0 }, problem: null };
  const left = amountOf(remaining(rebalance, map), input.loads());
  const turned = before === null ? "" : ` instead of to ${counted(before.writers, "writer")}`;
  const message = `Moves ${counted(slotsIn(rebalance), "slot")} (about ${counted(Math.round(left.keys), "key")}, ${mebibytes(left.bytes)}) so that ${counted(writers, "writer")} have as much each${turned}`;
  return { rebalance, events: [{ type: "Normal", reason: "RebalanceStarted", message }] };
};

/** A shard that is to have slots has none, or one that is to have none has some. */
export const isUnlevelled = (shards: readonly Shard[], writers: number): boolean =>
  shards.some((shard) => ownsSlots(shard) !== shard.id < writers);

const needsLevelling = (input: GoalsInput, map: SlotMap): boolean => {
  const { shards, writers, isKnown, bytesMost } = input;
  if (isUnlevelled(shards, writers)) return true;
  // Of what has this little nothing is that much above the mean, whichever slots it lies in.
  if (!isKnown || bytesMost() + slotCount * slotBaseBytes < unevenBytes) return false;
  const { weights } = input.loads();
  const now = loadsOf(map, weights, writers);
  const mean = now.reduce((sum, weight) => sum + weight, 0) / writers;
  const above = Math.max(...now) - mean;
  if (above < unevenBytes || above < mean * unevenShare) return false;
  const wished = loadsOf(balance({ map, weights, writers }), weights, writers);
  return Math.max(...now) - Math.max(...wished) > mean * gainShare;
};

const goalsOf = (map: SlotMap, wished: SlotMap): readonly Goal[] => {
  const byTaker = new Map<number, number[]>();
  for (const [s, to] of wished.entries()) {
    if (map[s] === to) continue;
    const slots = byTaker.get(to);
    if (slots === undefined) byTaker.set(to, [s]);
    else slots.push(s);
  }
  return [...byTaker]
    .sort(([a], [b]) => a - b)
    .map(([to, slots]) => ({ to: shardId(to), slots: rangesOf(slots) }));
};

export type Due = { readonly slot: number; readonly from: ShardId; readonly to: ShardId };

/** Slots that are not yet where they are to be, in order; without those that are `taken` (1), where that is given. */
export const remaining = ({ goals }: Rebalance, map: SlotMap, taken?: Uint8Array): readonly Due[] => {
  const wished = new Int16Array(slotCount).fill(nobody);
  for (const { to, slots } of goals) fillSlots(wished, slots, to);
  const due: Due[] = [];
  for (let s = 0; s < slotCount; s++) {
    const to = wished[s] ?? nobody;
    const from = map[s] ?? nobody;
    if (to === nobody || from === nobody || from === to || taken?.[s] === 1) continue;
    due.push({ slot: s, from: shardId(from), to: shardId(to) });
  }
  return due;
};

const isAnyDue = ({ goals }: Rebalance, map: SlotMap): boolean =>
  goals.some(({ to, slots }) =>
    slots.some(([first, last]) => map.subarray(first, last + 1).some((from) => from >= 0 && from !== to)),
  );

/** How many slots it is about in all. */
export const slotsIn = ({ goals }: Rebalance): number =>
  goals.reduce((sum, { slots }) => sum + slots.reduce((n, [from, to]) => n + to - from + 1, 0), 0);

export const amountOf = (due: readonly Due[], { keys, bytes }: Loads): { keys: number; bytes: number } => ({
  keys: due.reduce((sum, { slot }) => sum + (keys[slot] ?? 0), 0),
  bytes: due.reduce((sum, { slot }) => sum + (bytes[slot] ?? 0), 0),
});

export { mebibytes };
