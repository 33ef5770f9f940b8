import { foreseenKeysMax } from "../../core/limits.ts";
import { check } from "../../core/check.ts";
import { slot as slotFrom, slotCount, type Slot } from "../../core/ids.ts";
import type { Entry } from "../../core/record.ts";
import { slotOf } from "../../core/slot.ts";
import { beginSweep, clearArena, compactArena, unitBytes, usualUnitBits } from "./arena.ts";
import {
  addDeadline,
  changeDeadline,
  clearDeadlines,
  createDeadlines,
  deadlineBytes,
  dueEntries,
  heldByDeadlines,
  moveDeadline,
  removeDeadline,
  usualChunkBits,
  type Deadlines,
} from "./deadlines.ts";
import type { Piece } from "./bytes.ts";
import * as layout from "./entries.ts";
import { createAges, drawOf, idleOf, moveHand, victimOf, type Ages } from "./eviction.ts";
import { hashOf, hashOfRange, type HashSeed } from "./hash.ts";
import * as slots from "./slotIndex.ts";
import type { KeyBatch, KeyRange, Store, Sweep } from "./store.ts";
import { endSweep, nextObject } from "./sweep.ts";

export type SegmentStoreOptions = {
  readonly seed: HashSeed;
  /** log2 of the 8-byte units in a segment; 22 (32 MiB) where it is not given. */
  readonly unitBits?: number;
  /** log2 of the deadlines in a chunk; 22 where it is not given. */
  readonly chunkBits?: number;
  /** Dead bytes that are not worth compacting; 2 MiB where it is not given. */
  readonly slackBytes?: number;
};

const usualSlackBytes = 2 * 1024 * 1024;

type State = {
  readonly seed: HashSeed;
  readonly slackBytes: number;
  readonly entries: layout.Entries;
  readonly index: slots.SlotIndex;
  readonly deadlines: Deadlines;
  readonly ages: Ages;
  /** Bytes of keys and values, by slot. */
  readonly slotBytes: Float64Array;
  keys: number;
  /** Their sum. In an array, as a field that is an integer at first and a double later makes V8 compile all anew that touches the state. */
  readonly bytes: Float64Array;
  /** What was sought: its pair (reference 0 where it is not there) and its key; null where that no longer holds. */
  readonly spot: slots.Spot;
  key: Uint8Array | null;
  /** Where the key lies in it. */
  keyFrom: number;
  keyTo: number;
  /** The entry that a visitor is told of. */
  readonly visited: layout.EntryRange;
  /** Where the entries of foreseen keys probably lie. */
  readonly refs: Int32Array;
  /** What foresight read, so that reading it is not for nothing. */
  foreseen: number;
};

/** A store outside the JavaScript heap: entries (entries.ts), an index of slots (slotIndex.ts) and deadlines (deadlines.ts). */
export const createSegmentStore = (options: SegmentStoreOptions): Store => {
  const state = createState(options);
  const { entries, index, deadlines, spot, slotBytes } = state;
  const there = (): number => {
    check(state.key !== null && spot.ref !== 0, "the sought key is there");
    return spot.ref;
  };
  return {
    get: (key) =>
      seek(state, key, slotOf(key))
        ? { value: layout.valueOf(entries, spot.ref), expiresAtMs: layout.instantOf(entries, spot.ref) }
        : undefined,
    expiryOf: (key) => (find(state, key, slotOf(key)) ? layout.instantOf(entries, spot.ref) : undefined),
    set: (key, value, expiresAtMs) => {
      seek(state, key, slotOf(key));
      put(state, whole(value), expiresAtMs);
    },
    delete: (key) => {
      seek(state, key, slotOf(key));
      return remove(state);
    },
    clear: () => {
      clear(state);
    },
    keys: () => state.keys,
    bytes: () => sumOf(state),
    expired: (wallMs, max) =>
      dueEntries(deadlines, wallMs, max).map((ref) => layout.keyOf(entries, ref).slice()),
    walk: () => walk(state),
    sweep: () => sweep(state),
    seek: (key, slot) => seek(state, key, slot),
    seekRange: (key) => seekRange(state, key),
    foresee: (keys) => {
      state.foreseen = foresee(state, keys);
    },
    expect: (keys) => {
      slots.expectPairs(index, keys);
    },
    value: () => layout.valueOf(entries, there()),
    valueBytes: () => layout.valueBytesOf(entries, there()),
    copyValue: (target, at) => layout.copyValueOut(entries, there(), [target, at]),
    expiresAtMs: () => (spot.ref === 0 ? null : layout.instantOf(entries, there())),
    put: (value, expiresAtMs) => {
      check(state.key !== null, "a key was sought");
      put(state, whole(value), expiresAtMs);
    },
    putPiece: (value, expiresAtMs) => {
      check(state.key !== null, "a key was sought");
      put(state, value, expiresAtMs);
    },
    remove: () => remove(state),
    slotKeys: (slot) => index.counts[slot] ?? 0,
    slotBytes: (slot) => slotBytes[slot] ?? 0,
    walkSlot: (slot) => walkSlot(state, slot),
    visitSlot: (slot, next, visit) => visitSlot(state, { slot, ...next }, visit),
    dropSlot: (slot) => {
      dropSlot(state, slot);
    },
    expiring: () => deadlines.count,
    ...usesOf(state),
    compact: (bytesMax) => {
      state.key = null;
      const more = compactArena(index.arena, bytesMax, state.slackBytes);
      return compactArena(entries, bytesMax, state.slackBytes) || more;
    },
  };
};

/** What is asked and told of how keys are used, and of memory. */
const usesOf = (
  state: State,
): Pick<Store, "tick" | "idleSeconds" | "entryBytes" | "draw" | "victim" | "usedBytes" | "memory"> => {
  const { entries, index, deadlines, spot } = state;
  return {
    tick: (seconds) => {
      moveHand(state, seconds, state.keys);
    },
    idleSeconds: (key) => (find(state, key, slotOf(key)) ? idleOf(state, spot.ref) : undefined),
    entryBytes: (key) =>
      find(state, key, slotOf(key))
        ? layout.bytesOfEntry(entries, spot.ref) + slots.bytesPerPair(index, spot.slot)
        : undefined,
    draw: () => copyOfKey(state, drawOf(state, state.keys)),
    victim: (eviction) => copyOfKey(state, victimOf(state, eviction, state.keys)),
    usedBytes: () => usedBytes(state),
    memory: () => ({
      heldBytes: entries.heldBytes + index.arena.heldBytes + heldByDeadlines(deadlines),
      liveBytes: usedBytes(state),
      deadBytes: (entries.deadUnits + index.arena.deadUnits) * unitBytes,
    }),
  };
};

const createState = ({
  seed,
  unitBits = usualUnitBits,
  chunkBits = usualChunkBits,
  slackBytes = usualSlackBytes,
}: SegmentStoreOptions): State => {
  const index = slots.createSlotIndex(unitBits);
  const moving: slots.Spot = { slot: 0, hash: 0, ref: 0, at: 0 };
  const entries: layout.Entries = layout.createEntries(unitBits, (from, to) => {
    const key = layout.keyOf(entries, to);
    moving.slot = slotOf(key);
    moving.hash = hashOf(key, seed);
    moving.ref = from;
    slots.locate(index, moving);
    slots.redirect(index, moving, to);
    if (layout.isExpiring(entries, to)) moveDeadline(deadlines, layout.placeOf(entries, to), to);
  });
  const deadlines = createDeadlines(chunkBits, (ref, place) => {
    layout.setPlace(entries, ref, place);
  });
  return {
    ...{ seed, slackBytes, entries, index, deadlines, slotBytes: new Float64Array(slotCount) },
    ages: createAges(seed.low ^ seed.high),
    ...{ keys: 0, bytes: new Float64Array(1), spot: { slot: 0, hash: 0, ref: 0, at: 0 } },
    ...{ key: null, keyFrom: 0, keyTo: 0, foreseen: 0 },
    refs: new Int32Array(foreseenKeysMax),
    visited: layout.noRange(),
  };
};

const usedBytes = ({ entries, index, deadlines }: State): number =>
  (entries.liveUnits + index.arena.liveUnits) * unitBytes + deadlines.count * deadlineBytes;

const copyOfKey = ({ entries }: State, ref: number): Uint8Array | undefined =>
  ref === 0 ? undefined : layout.keyOf(entries, ref).slice();

const rangeOf = (key: Uint8Array, slot: Slot): KeyRange => ({
  ...{ bytes: key, from: 0, to: key.length, slot },
  hash: undefined,
});

const seek = (state: State, key: Uint8Array, slot: Slot): boolean => seekRange(state, rangeOf(key, slot));

const find = (state: State, key: Uint8Array, slot: Slot): boolean => findRange(state, rangeOf(key, slot));

/** Finds the key; that is a use of it. */
const seekRange = (state: State, range: KeyRange): boolean => {
  const isThere = findRange(state, range);
  if (isThere) layout.use(state.entries, state.spot.ref, state.ages.now);
  return isThere;
};

const findRange = (state: State, range: KeyRange): boolean => {
  const { index, spot, entries } = state;
  const { slot } = range;
  const hash = range.hash ?? hashOfRange(range, state.seed);
  state.key = range.bytes;
  state.keyFrom = range.from;
  state.keyTo = range.to;
  spot.slot = slot;
  spot.hash = hash;
  spot.ref = 0;
  const capacity = index.capacities[slot] ?? 0;
  if (capacity === 0) return false;
  const table = index.tables[slot] ?? 0;
  const words = slots.wordsOf(index, table);
  const first = slots.firstPair(index, table);
  for (let at = slots.homeOf(hash, capacity); ;) {
    const ref = words[first + at * 2 + 1] ?? 0;
    if (ref === 0) return false;
    if (words[first + at * 2] === hash && layout.hasKey(entries, ref, range)) {
      spot.ref = ref;
      spot.at = at;
      return true;
    }
    if (++at === capacity) at = 0;
  }
};

/** In rounds, so that each holds nothing but loads that do not wait for one another: tables first, then entries. */
const foresee = (state: State, { bytes, count, froms, tos, slots: slotOfKey, hashes }: KeyBatch): number => {
  const { index, entries, seed } = state;
  for (let i = 0; i < count; i++)
    hashes[i] = hashOfRange({ bytes, from: froms[i] ?? 0, to: tos[i] ?? 0 }, seed);
  const { refs } = state;
  for (let i = 0; i < count; i++) {
    const slot = slotOfKey[i] ?? 0;
    const table = index.tables[slot] ?? 0;
    const at = slots.homeOf(hashes[i] ?? 0, index.capacities[slot] ?? 0);
    refs[i] = slots.wordsOf(index, table)[slots.firstPair(index, table) + at * 2 + 1] ?? 0;
  }
  let seen = 0;
  for (let i = 0; i < count; i++) seen ^= layout.glance(entries, refs[i] ?? 0);
  return seen;
};

/** The sought key by itself. */
const soughtKey = ({ key, keyFrom, keyTo }: State): Piece => {
  check(key !== null, "a key was sought");
  return { bytes: key, from: keyFrom, to: keyTo };
};

const whole = (bytes: Uint8Array): Piece => ({ bytes, from: 0, to: bytes.length });

const put = (state: State, value: Piece, expiresAtMs: number | null): void => {
  const { entries, index, deadlines, spot, ages } = state;
  const before = spot.ref;
  const valueBytes = value.to - value.from;
  if (before === 0) {
    const key = soughtKey(state);
    spot.ref = layout.writeEntry(entries, { usedAt: ages.now, key, value, expiresAtMs });
    slots.insert(index, spot);
    state.keys++;
    count(state, spot.slot, key.to - key.from + valueBytes);
  } else {
    count(state, spot.slot, valueBytes - layout.valueBytesOf(entries, before));
    if (replaceInPlace(state, value, expiresAtMs)) return;
    // The new one first: the value may be a view of the old one.
    const key = soughtKey(state);
    spot.ref = layout.writeEntry(entries, { usedAt: ages.now, key, value, expiresAtMs });
    slots.redirect(index, spot, spot.ref);
    free(state, before);
  }
  if (expiresAtMs !== null) addDeadline(deadlines, spot.ref, expiresAtMs);
};

/** Where it goes on to expire, or not to. */
const replaceInPlace = (
  { entries, deadlines, spot: { ref } }: State,
  value: Piece,
  expiresAtMs: number | null,
): boolean => {
  if (layout.isExpiring(entries, ref) !== (expiresAtMs !== null)) return false;
  if (!layout.overwrite(entries, ref, value)) return false;
  if (expiresAtMs !== null && layout.instantOf(entries, ref) !== expiresAtMs) {
    layout.setInstant(entries, ref, expiresAtMs);
    changeDeadline(deadlines, layout.placeOf(entries, ref), expiresAtMs);
  }
  return true;
};

const remove = (state: State): boolean => {
  const { entries, index, spot, key } = state;
  check(key !== null, "a key was sought");
  const { ref } = spot;
  if (ref === 0) return false;
  state.keys--;
  count(state, spot.slot, -layout.keyBytesOf(entries, ref) - layout.valueBytesOf(entries, ref));
  slots.takeOut(index, spot);
  free(state, ref);
  spot.ref = 0;
  return true;
};

const sumOf = ({ bytes }: State): number => bytes[0] ?? 0;

const count = (state: State, slot: number, bytes: number): void => {
  state.bytes[0] = sumOf(state) + bytes;
  state.slotBytes[slot] = (state.slotBytes[slot] ?? 0) + bytes;
};

const free = ({ entries, deadlines }: State, ref: number): void => {
  if (layout.isExpiring(entries, ref)) removeDeadline(deadlines, layout.placeOf(entries, ref));
  layout.freeEntry(entries, ref);
};

const dropSlot = (state: State, slot: Slot): void => {
  const { index, slotBytes } = state;
  const table = index.tables[slot] ?? 0;
  const capacity = index.capacities[slot] ?? 0;
  state.key = null;
  state.keys -= index.counts[slot] ?? 0;
  state.bytes[0] = sumOf(state) - (slotBytes[slot] ?? 0);
  slotBytes[slot] = 0;
  for (let at = 0; at < capacity; at++) {
    const ref = slots.wordsOf(index, table)[slots.firstPair(index, table) + at * 2 + 1] ?? 0;
    if (ref !== 0) free(state, ref);
  }
  slots.dropTable(index, slot);
};

const clear = (state: State): void => {
  state.key = null;
  state.keys = 0;
  state.bytes[0] = 0;
  state.slotBytes.fill(0);
  clearDeadlines(state.deadlines);
  slots.clearSlotIndex(state.index);
  clearArena(state.index.arena);
  clearArena(state.entries);
};

function* walk(state: State): Iterator<Entry, undefined> {
  for (let slot = 0; slot < slotCount; slot++)
    if ((state.index.counts[slot] ?? 0) > 0) yield* iterable(walkSlot(state, slotFrom(slot)));
}

const sweep = ({ entries }: State): Sweep => {
  const cursor = beginSweep(entries);
  const entry = layout.noRange();
  return {
    entry,
    next: () => {
      const ref = nextObject(entries, cursor);
      if (ref === 0) return false;
      layout.tellRange(entries, ref, entry);
      return true;
    },
    end: () => {
      endSweep(entries, cursor);
    },
  };
};

const iterable = <T>(iterator: Iterator<T, undefined>): Iterable<T, undefined> => ({
  [Symbol.iterator]: () => iterator,
});

const hashRange = 2 ** 32;
/** Keys that are copied at a time. */
const walkedAtOnce = 32;

/**
 * In the order of the hashes, by ranges of them: whatever is written between two steps, a key keeps its range. The keys of
 * one range are copied and looked up again one by one.
 */
function* walkSlot(state: State, slot: Slot): Iterator<Entry, undefined> {
  const { entries, index, spot } = state;
  for (let from = 0; from < hashRange && (index.counts[slot] ?? 0) > 0;) {
    const width = Math.ceil((hashRange / (index.capacities[slot] ?? 1)) * walkedAtOnce);
    const until = Math.min(from + width, hashRange);
    for (const key of keysBetween(state, slot, { from, until })) {
      if (!find(state, key, slot)) continue;
      yield {
        key,
        value: layout.valueOf(entries, spot.ref),
        expiresAtMs: layout.instantOf(entries, spot.ref),
      };
    }
    from = until;
  }
}

/** Copies of the keys whose unsigned hash lies in a range. */
const keysBetween = ({ entries, index }: State, slot: Slot, range: slots.HashRange): readonly Uint8Array[] =>
  slots.refsBetween(index, slot, range).map((ref) => layout.keyOf(entries, ref).slice());

/** Entries that are told at a time. */
const visitedAtOnce = 128;

const visitSlot = (
  state: State,
  { slot, hash, bytesMax }: { readonly slot: Slot; readonly hash: number; readonly bytesMax: number },
  visit: (entry: Readonly<layout.EntryRange>) => void,
): number | null => {
  const { entries, index, visited } = state;
  let width = Math.ceil((hashRange / Math.max(index.capacities[slot] ?? 0, 1)) * visitedAtOnce);
  for (;;) {
    const until = Math.min(hash + width, hashRange);
    const refs = slots.refsBetween(index, slot, { from: hash, until });
    // The processor waits for the memory of all of them at once.
    let bytes = 0;
    for (const ref of refs) bytes += layout.keyBytesOf(entries, ref) + layout.valueBytesOf(entries, ref);
    if (bytes > bytesMax && refs.length > 1 && width > 1) {
      width = Math.ceil(width / 2);
      continue;
    }
    for (const ref of refs) {
      layout.tellRange(entries, ref, visited);
      visit(visited);
    }
    return until < hashRange && (index.counts[slot] ?? 0) > 0 ? until : null;
  }
};
