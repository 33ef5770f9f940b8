import { slotCount } from "../../core/ids.ts";
import { nobody, type SlotMap } from "./slots.ts";

export type BalanceInput = {
  /** Who owns which slot now; every slot is owned. */
  readonly map: SlotMap;
  /** Entry s is what slot s weighs, above 0. */
  readonly weights: Float64Array;
  /** Shards from this one on are to have none. At least 1. */
  readonly writers: number;
};

/**
 * What the map should be: as level as whole slots allow, with the fewest that change their shard, in few ranges. At rest: of
 * its own outcome it changes nothing. First it is decided which slots are given away and how much each shard is to get; then
 * the slots are dealt out in runs.
 */
export const balance = (input: BalanceInput): SlotMap => {
  const { map, weights } = input;
  const { givenAway, wanted } = release(input);
  if (givenAway.length === 0) return map;
  const wished = map.slice();
  for (const s of givenAway) wished[s] = nobody;
  const [first = 0] = weights;
  const isEven = weights.every((weight) => weight === first);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // Where slots weigh differently nothing is level to the byte anyway: rests that hardly count stay with their neighbours.
  deal(wished, { weights, wanted, sliver: isEven ? 0 : (total / input.writers) * sliverShare });
  return wished;
};

const sliverShare = 0.005;

type Released = {
  readonly givenAway: readonly number[];
  /** How much each shard is to get. */
  readonly wanted: Float64Array;
};

/**
 * One slot after another goes from the shard with the most to the one with the least, as long as the giver stays above what
 * the taker had. Where all slots weigh the same, no way to level them moves fewer.
 */
const release = ({ map, weights, writers }: BalanceInput): Released => {
  const loads = loadsOf(map, weights, writers);
  const wanted = new Float64Array(loads.length);
  const givenAway: number[] = [];
  const give = (s: number, taker: number): void => {
    const weight = weights[s] ?? 0;
    givenAway.push(s);
    wanted[taker] = (wanted[taker] ?? 0) + weight;
    loads[taker] = (loads[taker] ?? 0) + weight;
  };
  for (let s = 0; s < slotCount; s++) {
    if ((map[s] ?? nobody) >= writers)
      give(
        s,
        least(loads, writers, () => true),
      );
  }
  const queues = Array.from({ length: writers }, (_, id) => givingOrder(map, weights, id));
  const gave = new Set<number>();
  const lightest = weights.reduce((min, weight) => Math.min(min, weight), Infinity);
  for (;;) {
    // A shard that was given something keeps what it has, else a slot might go on from where it has just come to.
    const giver = most(loads, writers, (id) => wanted[id] === 0 && (queues[id]?.length ?? 0) > 0);
    const taker = least(loads, writers, (id) => !gave.has(id));
    if (giver === nobody || taker === nobody) break;
    const above = (loads[giver] ?? 0) - (loads[taker] ?? 0);
    if (above <= lightest) break;
    const s = queues[giver]?.pop();
    // Too heavy to go now is too heavy later: the least never gets less, nor the most more.
    if (s === undefined || above <= (weights[s] ?? 0)) continue;
    gave.add(giver);
    loads[giver] = (loads[giver] ?? 0) - (weights[s] ?? 0);
    give(s, taker);
  }
  return { givenAway, wanted };
};

/** The weight of what each shard has. */
export const loadsOf = (map: SlotMap, weights: Float64Array, writers: number): Float64Array => {
  const loads = new Float64Array(map.reduce((max, id) => Math.max(max, id + 1), writers));
  for (let s = 0; s < slotCount; s++) {
    const id = map[s] ?? nobody;
    if (id >= 0) loads[id] = (loads[id] ?? 0) + (weights[s] ?? 0);
  }
  return loads;
};

type Eligible = (id: number) => boolean;
const most = (loads: Float64Array, writers: number, eligible: Eligible): number => {
  let best = nobody;
  for (let id = 0; id < writers; id++) {
    if (eligible(id) && (best === nobody || (loads[id] ?? 0) > (loads[best] ?? 0))) best = id;
  }
  return best;
};
/** Of several the last, as in the map of a new cluster: what was taken from it goes back to where it was. */
const least = (loads: Float64Array, writers: number, eligible: Eligible): number => {
  let best = nobody;
  for (let id = 0; id < writers; id++) {
    if (eligible(id) && (best === nobody || (loads[id] ?? 0) <= (loads[best] ?? 0))) best = id;
  }
  return best;
};

/** The slots of a shard, the first to go last: whole small ranges go before the end of a large one, so that ranges stay few. */
const givingOrder = (map: SlotMap, weights: Float64Array, shard: number): number[] => {
  const runs = runsOf(map, shard).map(({ from, to }) => ({ from, to, weight: weightOf(weights, from, to) }));
  runs.sort((a, b) => b.weight - a.weight || a.from - b.from);
  return runs.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
};

type Run = { readonly from: number; readonly to: number };

const runsOf = (map: SlotMap, shard: number): readonly Run[] => {
  const runs: Run[] = [];
  for (let from = map.indexOf(shard); from >= 0;) {
    let to = from;
    while (map[to + 1] === shard) to++;
    runs.push({ from, to });
    from = map.indexOf(shard, to + 1);
  }
  return runs;
};

const weightOf = (weights: Float64Array, from: number, to: number): number => {
  let sum = 0;
  for (let s = from; s <= to; s++) sum += weights[s] ?? 0;
  return sum;
};

type Dealing = {
  readonly weights: Float64Array;
  /** How much each shard is still to get; goes below 0 by less than half a slot, and a sliver. */
  readonly wanted: Float64Array;
  readonly sliver: number;
};

/** Gives out what nobody has: to a shard whose range goes on into it, else to the one that wants most. */
const deal = (wished: SlotMap, dealing: Dealing): void => {
  for (const run of runsOf(wished, nobody)) {
    let { from, to } = run;
    while (from <= to) {
      const left = wished[from - 1] ?? nobody;
      const right = wished[to + 1] ?? nobody;
      if (wantsMore(dealing, left, from)) from = dealForward(wished, dealing, { shard: left, from, to });
      else if (wantsMore(dealing, right, to)) to = dealBackward(wished, dealing, { shard: right, from, to });
      else {
        const shard = dealing.wanted.indexOf(Math.max(...dealing.wanted));
        from = dealForward(wished, dealing, { shard, from, to });
      }
    }
  }
};

type Piece = Run & { readonly shard: number };

/** Whether the shard comes closer to what it is to get by one more slot. */
const wantsMore = ({ weights, wanted }: Dealing, shard: number, s: number): boolean =>
  shard !== nobody && (wanted[shard] ?? 0) > (weights[s] ?? 0) / 2;

/** At least one slot, so that it ends. Returns where the rest begins. */
const dealForward = (wished: SlotMap, dealing: Dealing, { shard, from, to }: Piece): number => {
  let at = from;
  do take(wished, dealing, { shard, s: at++ });
  while (at <= to && (wantsMore(dealing, shard, at) || isSliver(dealing, at, to)));
  return at;
};
const dealBackward = (wished: SlotMap, dealing: Dealing, { shard, from, to }: Piece): number => {
  let at = to;
  do take(wished, dealing, { shard, s: at-- });
  while (at >= from && (wantsMore(dealing, shard, at) || isSliver(dealing, from, at)));
  return at;
};

const take = (
  wished: SlotMap,
  { weights, wanted }: Dealing,
  { shard, s }: { readonly shard: number; readonly s: number },
): void => {
  wished[s] = shard;
  wanted[shard] = (wanted[shard] ?? 0) - (weights[s] ?? 0);
};

const isSliver = ({ weights, sliver }: Dealing, from: number, to: number): boolean => {
  let sum = 0;
  for (let s = from; s <= to && sum <= sliver; s++) sum += weights[s] ?? 0;
  return sum <= sliver;
};
