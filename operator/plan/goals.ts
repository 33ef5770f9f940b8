import { shardId, slot, slotCount, type ShardId, type Slot } from "../../core/ids.ts";
import type { Shard, SlotRange } from "../../core/topology.ts";
import { mebibytes } from "../../core/words.ts";
import { balance, loadsOf } from "./balance.ts";
import { counted } from "./events.ts";
import { slotBaseBytes, type Loads } from "./loads.ts";
import type { Goal, PlannedEvent, Rebalance } from "./model.ts";
import { ownsSlots, rangesOf, slotMapOf, type SlotMap } from "./slots.ts";

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
  if (before !== null && before.writers === writers) {
    if (remaining(before, shards).length > 0) return { rebalance: before, events: [] };
    const message = `All ${counted(slotsIn(before), "slot")} are where they are to be: ${counted(before.done.keys, "key")}, ${mebibytes(before.done.bytes)} moved`;
    return { rebalance: null, events: [{ type: "Normal", reason: "RebalanceFinished", message }] };
  }
  if (before === null && (paused || !needsLevelling(input))) return { rebalance: null, events: [] };
  // Less is known now than will be in a moment; what goes on meanwhile goes on.
  if (!isKnown) return { rebalance: before, events: [] };
  const map = slotMapOf(shards);
  const goals = goalsOf(map, balance({ map, weights: input.loads().weights, writers }));
  if (goals.length === 0) return { rebalance: null, events: [] };
  const rebalance = { writers, sinceMs: input.wallMs, goals, done: { keys: 0, bytes: 0 }, problem: null };
  const left = amountOf(remaining(rebalance, shards), input.loads());
  const turned = before === null ? "" : ` instead of to ${counted(before.writers, "writer")}`;
  const message = `Moves ${counted(slotsIn(rebalance), "slot")} (about ${counted(Math.round(left.keys), "key")}, ${mebibytes(left.bytes)}) so that ${counted(writers, "writer")} have as much each${turned}`;
  return { rebalance, events: [{ type: "Normal", reason: "RebalanceStarted", message }] };
};

/** A shard that is to have slots has none, or one that is to have none has some. */
export const isUnlevelled = (shards: readonly Shard[], writers: number): boolean =>
  shards.some((shard) => ownsSlots(shard) !== shard.id < writers);

const needsLevelling = (input: GoalsInput): boolean => {
  const { shards, writers, isKnown, bytesMost } = input;
  if (isUnlevelled(shards, writers)) return true;
  if (writers === 1) return false;
  // Of what has this little nothing is that much above the mean, whichever slots it lies in.
  if (!isKnown || bytesMost() + slotCount * slotBaseBytes < unevenBytes) return false;
  const { weights } = input.loads();
  const map = slotMapOf(shards);
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

/** Slots next to each other that are to go the same way; first and last included. */
export type Due = { readonly first: Slot; readonly last: Slot; readonly from: ShardId; readonly to: ShardId };

/**
 * Slots that are not yet where they are to be, in order; without those that are `taken`, where that is given. From range to range,
 * as it is asked with every plan.
 */
export const remaining = (
  { goals }: Rebalance,
  shards: readonly Pick<Shard, "id" | "slots">[],
  taken: readonly Slots[] = [],
): readonly Due[] => {
  const wished = piecesOf(goals.map(({ to, slots }) => ({ id: to, slots })));
  const due = inBoth(piecesOf(shards), wished).flatMap(({ first, last, a, b }): readonly Due[] =>
    a === b ? [] : [{ first, last, from: a, to: b }],
  );
  const others = [...taken].flatMap(({ slots }) => slots).sort(([a], [b]) => a - b);
  return others.length === 0 ? due : due.flatMap((one) => without(one, others));
};

type Slots = { readonly slots: readonly SlotRange[] };
type Piece = { readonly first: Slot; readonly last: Slot; readonly id: ShardId };

const piecesOf = (shards: readonly (Slots & { readonly id: ShardId })[]): readonly Piece[] =>
  shards
    .flatMap(({ id, slots }) => slots.map(([first, last]): Piece => ({ first, last, id })))
    .sort((a, b) => a.first - b.first);

type Common = { readonly first: Slot; readonly last: Slot; readonly a: ShardId; readonly b: ShardId };
const inBoth = (ones: readonly Piece[], others: readonly Piece[]): readonly Common[] => {
  const common: Common[] = [];
  for (let i = 0, k = 0; ;) {
    const [one, other] = [ones[i], others[k]];
    if (one === undefined || other === undefined) return common;
    const first = one.first > other.first ? one.first : other.first;
    const last = one.last < other.last ? one.last : other.last;
    if (first <= last) common.push({ first, last, a: one.id, b: other.id });
    if (one.last < other.last) i++;
    else k++;
  }
};

/** What is left of it beside these ranges, which are in order. */
const without = (due: Due, taken: readonly SlotRange[]): readonly Due[] => {
  const left: Due[] = [];
  let first: number = due.first;
  for (const [from, to] of taken) {
    if (to < first || from > due.last) continue;
    if (from > first) left.push({ ...due, first: slot(first), last: slot(from - 1) });
    first = to + 1;
  }
  if (first <= due.last) left.push({ ...due, first: slot(first) });
  return left;
};

/** How many slots it is about in all. */
export const slotsIn = ({ goals }: Rebalance): number =>
  goals.reduce((sum, { slots }) => sum + slots.reduce((n, [from, to]) => n + to - from + 1, 0), 0);

export const slotsOf = (due: readonly Due[]): number =>
  due.reduce((sum, { first, last }) => sum + last - first + 1, 0);

export const amountOf = (due: readonly Due[], { keys, bytes }: Loads): { keys: number; bytes: number } => {
  const amount = { keys: 0, bytes: 0 };
  for (const { first, last } of due)
    for (let s: number = first; s <= last; s++) {
      amount.keys += keys[s] ?? 0;
      amount.bytes += bytes[s] ?? 0;
    }
  return amount;
};

export { mebibytes };
