import type { Eviction } from "../../core/settings.ts";
import { entryAt, type Deadlines } from "./deadlines.ts";
import * as layout from "./entries.ts";
import * as slots from "./slotIndex.ts";

/**
 * Which entry is given up when there is no room, and how long each was not used.
 *
 * An entry has 15 bits for the second of its last use, counted by this process: nine hours until the count begins again.
 * So that an old entry never looks young, a hand goes round all of them in about an hour and holds every age at
 * `oldSecondsMax`. Beyond that one is as old as another.
 */
export type Ages = {
  /** Seconds, modulo 2^15. */
  now: number;
  /** Whole seconds since the beginning; the hand moves when they do. */
  seconds: number;
  /** Where the hand is: a slot, and a hash in it. */
  slot: number;
  hash: number;
  /** Of the generator that draws entries: nobody can tell which from what it has seen. */
  draws: number;
};

/** What is looked at. */
export type Held = {
  readonly entries: layout.Entries;
  readonly index: slots.SlotIndex;
  readonly deadlines: Deadlines;
  readonly ages: Ages;
};

export const oldSecondsMax = 24_576;
const roundSeconds = 3_600;
/** Entries drawn for one that goes, as many as Redis draws. */
export const drawn = 5;

export const createAges = (seed: number): Ages => ({ now: 0, seconds: 0, slot: 0, hash: 0, draws: seed | 1 });

/** Seconds since an entry was last used, `oldSecondsMax` at most. */
export const idleOf = ({ entries, ages }: Held, ref: number): number =>
  Math.min((ages.now - layout.usedAt(entries, ref)) & layout.usedMask, oldSecondsMax);

/** It is this second now: moves the hand on by so many pairs that a round takes an hour. */
export const moveHand = (held: Held, seconds: number, keys: number): void => {
  const { ages } = held;
  const passed = Math.max(0, seconds - ages.seconds);
  ages.seconds = seconds;
  ages.now = seconds & layout.usedMask;
  let left = Math.ceil((keys * passed * 2) / roundSeconds);
  const { counts } = held.index;
  for (let visited = 0; left > 0 && visited < counts.length;) {
    const empty = emptyFrom(held.index, ages.slot);
    if (empty > 0) ages.hash = 0;
    else left -= holdSlot(held, left);
    if (ages.hash !== 0) return;
    const passedBy = Math.max(1, empty);
    ages.slot = (ages.slot + passedBy) % counts.length;
    visited += passedBy;
  }
};

/** How many slots from this one on hold nothing, as far as is seen at a glance: with few keys nearly all do. */
const emptyFrom = ({ counts, groups }: slots.SlotIndex, slot: number): number => {
  const group = 1 << slots.groupBits;
  if (slot % group === 0 && groups[slot >> slots.groupBits] === 0) return group;
  return counts[slot] === 0 ? 1 : 0;
};

/** Goes on in the hand's slot; answers how many entries it looked at. The hash is 0 once the slot is done. */
const holdSlot = (held: Held, max: number): number => {
  const { index, entries, ages } = held;
  const capacity = index.capacities[ages.slot] ?? 0;
  const table = index.tables[ages.slot] ?? 0;
  const words = slots.wordsOf(index, table);
  const first = slots.firstPair(index, table);
  let seen = 0;
  for (let at = slots.homeOf(ages.hash, capacity); at < capacity; at++) {
    if (seen === max) {
      ages.hash = Math.ceil((at * 2 ** 32) / capacity);
      return seen;
    }
    const ref = words[first + at * 2 + 1] ?? 0;
    if (ref === 0) continue;
    seen++;
    if (idleOf(held, ref) === oldSecondsMax) layout.use(entries, ref, ages.now - oldSecondsMax);
  }
  ages.hash = 0;
  return seen;
};

/** The entry to give up, 0 where the policy gives up none. */
export const victimOf = (held: Held, eviction: Eviction, keys: number): number => {
  const { deadlines } = held;
  switch (eviction) {
    case "noeviction":
      return 0;
    case "allkeys-random":
      return drawOf(held, keys);
    case "allkeys-lru":
      return oldest(held, () => drawOf(held, keys));
    case "volatile-random":
      return drawExpiring(held);
    case "volatile-lru":
      return oldest(held, () => drawExpiring(held));
    case "volatile-ttl":
      return deadlines.count === 0 ? 0 : entryAt(deadlines, 0);
  }
};

const oldest = (held: Held, draw: () => number): number => {
  let found = draw();
  for (let i = 1; i < drawn && found !== 0; i++) {
    const other = draw();
    if (idleOf(held, other) > idleOf(held, found)) found = other;
  }
  return found;
};

const drawExpiring = ({ deadlines, ages }: Held): number =>
  deadlines.count === 0 ? 0 : entryAt(deadlines, below(ages, deadlines.count));

/** One of all entries, each as likely as any other; 0 where there is none. */
export const drawOf = ({ index, ages }: Held, keys: number): number => {
  if (keys === 0) return 0;
  const { groups, counts, capacities, tables } = index;
  let left = below(ages, keys);
  let group = 0;
  while (left >= (groups[group] ?? 0)) left -= groups[group++] ?? 0;
  let slot = group << slots.groupBits;
  while (left >= (counts[slot] ?? 0)) left -= counts[slot++] ?? 0;
  const capacity = capacities[slot] ?? 0;
  const table = tables[slot] ?? 0;
  const words = slots.wordsOf(index, table);
  const first = slots.firstPair(index, table);
  // A quarter of a table is taken at least.
  for (;;) {
    const ref = words[first + below(ages, capacity) * 2 + 1] ?? 0;
    if (ref !== 0) return ref;
  }
};

/** An integer from 0 to `limit` - 1: xorshift. */
const below = (ages: Ages, limit: number): number => {
  let n = ages.draws;
  n ^= n << 13;
  n ^= n >>> 17;
  n ^= n << 5;
  ages.draws = n;
  return ((n >>> 0) * limit * 2 ** -32) >>> 0;
};
