import { slotCount } from "../../core/ids.ts";
import { allocate, createArena, free, unitBytes, type Arena } from "./arena.ts";

/**
 * Where each key's entry lies: a small table per slot, open addressing with pairs of (hash, reference), in an arena of
 * its own. A table grows alone. All 32 bits of the hash stand in it, so that another key's entry is hardly ever looked
 * at, and growing looks at none.
 *
 * A pair's home is its hash as a fraction of the table, so pairs stand in about the order of their hashes: that is the order
 * of a walk, and no growing or shrinking changes it.
 */
export type SlotIndex = {
  readonly arena: Arena;
  /** By slot: the table (0 for none), how many pairs it has room for, how many there are. */
  readonly tables: Int32Array;
  readonly capacities: Int32Array;
  readonly counts: Int32Array;
  /** Pairs in each group of 128 slots, so that one of all can be drawn. */
  readonly groups: Int32Array;
  /** Pairs that a new table has room for. */
  firstCapacity: number;
};

export const groupBits = 7;

/** One pair, and where it stands in its slot's table. */
export type Spot = { slot: number; hash: number; ref: number; at: number };

export const createSlotIndex = (unitBits: number): SlotIndex => {
  const tables = new Int32Array(slotCount);
  // A table is a header (capacity, negative once it is freed; slot) and a unit for each pair.
  const arena: Arena = createArena(unitBits, {
    unitsAt: (words, word) => {
      const capacity = words[word] ?? 0;
      return capacity < 0 ? capacity - 1 : capacity + 1;
    },
    moved: (_from, to) => {
      const slot = arena.words[to >>> unitBits]?.[((to & arena.unitMask) << 1) + 1] ?? 0;
      tables[slot] = to;
    },
  });
  return {
    arena,
    tables,
    capacities: new Int32Array(slotCount),
    counts: new Int32Array(slotCount),
    groups: new Int32Array(slotCount >> groupBits),
    firstCapacity: capacityMin,
  };
};

/** New tables have room for their share of so many pairs; most of them need not grow then. */
export const expectPairs = (index: SlotIndex, pairs: number): void => {
  const share = pairs / slotCount;
  // Shares differ about as much as their root.
  const capacity = Math.ceil(((share + Math.sqrt(share)) * 16) / 13);
  index.firstCapacity = Math.min(Math.max(capacity, capacityMin), expectedCapacityMax);
};

export const clearSlotIndex = (index: SlotIndex): void => {
  const { tables, capacities, counts, groups } = index;
  index.firstCapacity = capacityMin;
  groups.fill(0);
  tables.fill(0);
  capacities.fill(0);
  counts.fill(0);
};

/** The position where a hash belongs in a table; it never falls as the (unsigned) hash rises. */
export const homeOf = (hash: number, capacity: number): number => ((hash >>> 0) * capacity * 2 ** -32) >>> 0;

const noWords = new Int32Array(0);
export const wordsOf = ({ arena }: SlotIndex, table: number): Int32Array =>
  arena.words[table >>> arena.unitBits] ?? noWords;
/** The word of a table's first pair. */
export const firstPair = ({ arena }: SlotIndex, table: number): number => ((table & arena.unitMask) << 1) + 2;

/** Adds a pair whose key is not there yet; tells it where it stands. */
export const insert = (index: SlotIndex, spot: Spot): void => {
  const { tables, capacities, counts } = index;
  const { slot } = spot;
  const count = (counts[slot] ?? 0) + 1;
  const capacity = capacities[slot] ?? 0;
  if (count * 16 > capacity * 13) resize(index, slot, capacity === 0 ? index.firstCapacity : grown(capacity));
  counts[slot] = count;
  changeGroup(index, slot, 1);
  const table = tables[slot] ?? 0;
  spot.at = place(
    { words: wordsOf(index, table), first: firstPair(index, table), capacity: capacities[slot] ?? 0 },
    spot.hash,
    spot.ref,
  );
};

/** The entry lies elsewhere now. */
export const redirect = (index: SlotIndex, { slot, at }: Spot, ref: number): void => {
  const table = index.tables[slot] ?? 0;
  wordsOf(index, table)[firstPair(index, table) + at * 2 + 1] = ref;
};

/** Finds the pair of a reference by its hash. */
export const locate = (index: SlotIndex, spot: Spot): void => {
  const table = index.tables[spot.slot] ?? 0;
  const capacity = index.capacities[spot.slot] ?? 0;
  const words = wordsOf(index, table);
  const first = firstPair(index, table);
  let at = homeOf(spot.hash, capacity);
  while (words[first + at * 2 + 1] !== spot.ref) if (++at === capacity) at = 0;
  spot.at = at;
};

/** Unsigned hashes from `from` to before `until`. */
export type HashRange = { readonly from: number; readonly until: number };

/** The reference of every pair of a slot whose hash lies in the range. */
export const refsBetween = (
  index: SlotIndex,
  slot: number,
  { from, until }: HashRange,
): readonly number[] => {
  const refs: number[] = [];
  const capacity = index.capacities[slot] ?? 0;
  const table = index.tables[slot] ?? 0;
  const words = wordsOf(index, table);
  const first = firstPair(index, table);
  const start = homeOf(from, capacity);
  const end = homeOf(until - 1, capacity);
  let position = start;
  for (let passed = 0; passed < capacity; passed++) {
    const word = first + position * 2;
    const ref = words[word + 1] ?? 0;
    // Pairs stand at their home or behind it with no gap between.
    if (ref === 0 && start + passed >= end) return refs;
    const hash = (words[word] ?? 0) >>> 0;
    if (ref !== 0 && hash >= from && hash < until) refs.push(ref);
    if (++position === capacity) position = 0;
  }
  return refs;
};

/** Takes a pair out; those that stand behind it for want of room move up, so that no mark is left. */
export const takeOut = (index: SlotIndex, { slot, at }: Spot): void => {
  const { tables, capacities, counts } = index;
  const table = tables[slot] ?? 0;
  const capacity = capacities[slot] ?? 0;
  const words = wordsOf(index, table);
  const first = firstPair(index, table);
  let hole = at;
  for (let next = at; ;) {
    if (++next === capacity) next = 0;
    const word = first + next * 2;
    const ref = words[word + 1] ?? 0;
    if (ref === 0) break;
    const hash = words[word] ?? 0;
    const home = homeOf(hash, capacity);
    // It stays where its home lies behind the hole.
    if (hole <= next ? hole < home && home <= next : hole < home || home <= next) continue;
    words[first + hole * 2] = hash;
    words[first + hole * 2 + 1] = ref;
    hole = next;
  }
  words[first + hole * 2 + 1] = 0;
  const count = (counts[slot] ?? 0) - 1;
  counts[slot] = count;
  changeGroup(index, slot, -1);
  if (count === 0) dropTable(index, slot);
  else if (capacity > capacityMin && count * 4 < capacity) resize(index, slot, shrunk(count));
};

export const dropTable = (index: SlotIndex, slot: number): void => {
  freeTable(index, slot);
  changeGroup(index, slot, -(index.counts[slot] ?? 0));
  index.tables[slot] = 0;
  index.capacities[slot] = 0;
  index.counts[slot] = 0;
};

/** What each pair of a slot's table takes, the free ones shared out. */
export const bytesPerPair = ({ counts, capacities }: SlotIndex, slot: number): number => {
  const count = counts[slot] ?? 0;
  return count === 0 ? 0 : Math.ceil((((capacities[slot] ?? 0) + 1) * unitBytes) / count);
};

const changeGroup = ({ groups }: SlotIndex, slot: number, by: number): void => {
  const group = slot >> groupBits;
  groups[group] = (groups[group] ?? 0) + by;
};

const capacityMin = 4;
/** Whatever is expected: 512 KiB for a slot. */
const expectedCapacityMax = 65_536;
/** 4, 5, 6, 7, 8, 10, 12, 14, 16, 20…: the smaller the step, the fuller the tables. */
const grown = (capacity: number): number => {
  if (capacity < capacityMin) return capacityMin;
  return capacity + (1 << (29 - Math.clz32(capacity)));
};

const shrunk = (count: number): number => {
  let capacity = capacityMin;
  while (count * 16 > capacity * 10) capacity = grown(capacity);
  return capacity;
};

const freeTable = ({ arena, tables, capacities }: SlotIndex, slot: number): void => {
  const table = tables[slot] ?? 0;
  const capacity = capacities[slot] ?? 0;
  const words = arena.words[table >>> arena.unitBits];
  if (capacity === 0 || words === undefined) return;
  words[(table & arena.unitMask) << 1] = -capacity;
  free(arena, table, capacity + 1);
};

const resize = (index: SlotIndex, slot: number, capacity: number): void => {
  const { arena, tables, capacities } = index;
  const before = tables[slot] ?? 0;
  const capacityBefore = capacities[slot] ?? 0;
  const source = wordsOf(index, before);
  const sourceFirst = firstPair(index, before);
  const table = allocate(arena, capacity + 1);
  const words = wordsOf(index, table);
  const first = firstPair(index, table);
  words[first - 2] = capacity;
  words[first - 1] = slot;
  words.fill(0, first, first + capacity * 2);
  const target = { words, first, capacity };
  for (let at = 0; at < capacityBefore; at++) {
    const ref = source[sourceFirst + at * 2 + 1] ?? 0;
    if (ref !== 0) place(target, source[sourceFirst + at * 2] ?? 0, ref);
  }
  freeTable(index, slot);
  tables[slot] = table;
  capacities[slot] = capacity;
};

type Table = { readonly words: Int32Array; readonly first: number; readonly capacity: number };

/** The position it got: the first free one from its home on. */
const place = ({ words, first, capacity }: Table, hash: number, ref: number): number => {
  let at = homeOf(hash, capacity);
  while (words[first + at * 2 + 1] !== 0) if (++at === capacity) at = 0;
  words[first + at * 2] = hash;
  words[first + at * 2 + 1] = ref;
  return at;
};
