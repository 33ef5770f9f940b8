import { createArena, allocate, free, unitBytes, type Arena, type Objects } from "./arena.ts";
import { copyInto, isSame, type Piece } from "./bytes.ts";

/**
 * The layout of an entry in its arena, in words of 4 bytes:
 *
 * | word | bits |
 * | --- | --- |
 * | 0 | 0–26 bytes of the value, 27–30 units to spare behind it, 31 freed |
 * | 1 | 0–15 bytes of the key less one, 16–30 last use in seconds (see eviction.ts), 31 expires |
 * | 2, 3 | the instant at which it expires, low and high half: only where it does |
 * | 4 | its place among the deadlines: only where it expires |
 *
 * then the key, then the value. Values up to 2^27 - 1 bytes, keys from 1 byte to 64 KiB.
 */
export type Entries = Arena;

const valueMask = 0x7ffffff;
const spareShift = 27;
const spareMax = 15;
const freed = 1 << 31;
const keyMask = 0xffff;
const usedShift = 16;
/** Seconds that a last use counts to; then it begins again. */
export const usedMask = 0x7fff;
const expires = 1 << 31;
const headerBytes = 8;
const deadlineBytes = 12;
const halfRange = 2 ** 32;
const noBytes = new Uint8Array(0);
const noWords = new Int32Array(0);

export const createEntries = (unitBits: number, moved: Objects["moved"]): Entries =>
  createArena(unitBits, {
    moved,
    unitsAt: (words, word) => {
      const first = words[word] ?? 0;
      const units = unitsOf(first, words[word + 1] ?? 0);
      return first < 0 ? -units : units;
    },
  });

const unitsOf = (first: number, second: number): number =>
  neededUnits((first & valueMask) + (second & keyMask) + 1, second < 0) + ((first >>> spareShift) & spareMax);

const neededUnits = (bytes: number, isExpiring: boolean): number =>
  (bytes + headerBytes + (isExpiring ? deadlineBytes : 0) + unitBytes - 1) >>> 3;

const wordOf = (entries: Entries, ref: number, word: number): number =>
  entries.words[ref >>> entries.unitBits]?.[((ref & entries.unitMask) << 1) + word] ?? 0;

const setWord = (entries: Entries, ref: number, [word, to]: readonly [word: number, to: number]): void => {
  const words = entries.words[ref >>> entries.unitBits];
  if (words !== undefined) words[((ref & entries.unitMask) << 1) + word] = to;
};

export const valueBytesOf = (entries: Entries, ref: number): number => wordOf(entries, ref, 0) & valueMask;
/** Touches the first 128 bytes, whatever they are: a usual entry, whole. */
export const glance = (entries: Entries, ref: number): number => {
  const words = entries.words[ref >>> entries.unitBits];
  const word = (ref & entries.unitMask) << 1;
  return words?.[word] ?? 0;
};
export const keyBytesOf = (entries: Entries, ref: number): number => (wordOf(entries, ref, 1) & keyMask) + 1;
/** When it was last used, in seconds, as `use` was told. */
export const usedAt = (entries: Entries, ref: number): number =>
  (wordOf(entries, ref, 1) >>> usedShift) & usedMask;
/** Writes it only where it says something new: most uses come soon after another. */
export const use = (entries: Entries, ref: number, seconds: number): void => {
  const words = entries.words[ref >>> entries.unitBits];
  const at = ((ref & entries.unitMask) << 1) + 1;
  const second = words?.[at] ?? 0;
  const changed = ((second >>> usedShift) ^ seconds) & usedMask;
  if (changed !== 0 && words !== undefined) words[at] = second ^ (changed << usedShift);
};
export const isExpiring = (entries: Entries, ref: number): boolean => wordOf(entries, ref, 1) < 0;
/** Only of an entry that expires. */
export const placeOf = (entries: Entries, ref: number): number => wordOf(entries, ref, 4);
export const setPlace = (entries: Entries, ref: number, place: number): void => {
  setWord(entries, ref, [4, place]);
};
export const instantOf = (entries: Entries, ref: number): number | null =>
  isExpiring(entries, ref) ? wordOf(entries, ref, 3) * halfRange + (wordOf(entries, ref, 2) >>> 0) : null;

const segmentOf = (entries: Entries, ref: number): Uint8Array =>
  entries.bytes[ref >>> entries.unitBits] ?? new Uint8Array(0);

/** Where the key lies in its segment. */
const keyStart = (entries: Entries, ref: number): number =>
  (ref & entries.unitMask) * unitBytes + headerBytes + (isExpiring(entries, ref) ? deadlineBytes : 0);

/** Views: good until the entry is overwritten, freed or moved. */
export const keyOf = (entries: Entries, ref: number): Uint8Array => {
  const start = keyStart(entries, ref);
  return segmentOf(entries, ref).subarray(start, start + keyBytesOf(entries, ref));
};
export const valueOf = (entries: Entries, ref: number): Uint8Array => {
  const start = keyStart(entries, ref) + keyBytesOf(entries, ref);
  return new Uint8Array(segmentOf(entries, ref).buffer, start, valueBytesOf(entries, ref));
};

/** Where an entry lies, for who reads it at once. */
export type EntryRange = {
  bytes: Uint8Array;
  keyFrom: number;
  /** The end of the key and the beginning of the value. */
  valueFrom: number;
  valueTo: number;
  expiresAtMs: number | null;
};

export const noRange = (): EntryRange => ({
  ...{ bytes: new Uint8Array(0), keyFrom: 0, valueFrom: 0, valueTo: 0, expiresAtMs: null },
});

export const tellRange = (entries: Entries, ref: number, range: EntryRange): void => {
  const first = wordOf(entries, ref, 0);
  const second = wordOf(entries, ref, 1);
  const start = (ref & entries.unitMask) * unitBytes + headerBytes;
  range.bytes = segmentOf(entries, ref);
  range.keyFrom = second < 0 ? start + deadlineBytes : start;
  range.valueFrom = range.keyFrom + (second & keyMask) + 1;
  range.valueTo = range.valueFrom + (first & valueMask);
  range.expiresAtMs = second < 0 ? instantOf(entries, ref) : null;
};

export const hasKey = (entries: Entries, ref: number, key: Piece): boolean => {
  const id = ref >>> entries.unitBits;
  const words = entries.words[id];
  const bytes = entries.bytes[id];
  if (words === undefined || bytes === undefined) return false;
  const second = words[((ref & entries.unitMask) << 1) + 1] ?? 0;
  if ((second & keyMask) + 1 !== key.to - key.from) return false;
  const start = (ref & entries.unitMask) * unitBytes + headerBytes + (second < 0 ? deadlineBytes : 0);
  return isSame({ bytes, words, offset: 0 }, start, key);
};

/** Copies a value out; answers where it ends. */
export const copyValueOut = (
  entries: Entries,
  ref: number,
  [target, at]: readonly [Uint8Array, number],
): number => {
  const length = valueBytesOf(entries, ref);
  const start = keyStart(entries, ref) + keyBytesOf(entries, ref);
  const source = segmentOf(entries, ref);
  if (length > copyByByteMax) target.set(source.subarray(start, start + length), at);
  else for (let i = 0; i < length; i++) target[at + i] = source[start + i] ?? 0;
  return at + length;
};

export type NewEntry = {
  readonly usedAt: number;
  readonly key: Piece;
  readonly value: Piece;
  readonly expiresAtMs: number | null;
};

/** Writes a new entry; its place among the deadlines is still to be told. */
export const writeEntry = (entries: Entries, { usedAt, key, value, expiresAtMs }: NewEntry): number => {
  const isExpiring = expiresAtMs !== null;
  const keyBytes = key.to - key.from;
  const valueBytes = value.to - value.from;
  const ref = allocate(entries, neededUnits(keyBytes + valueBytes, isExpiring));
  const words = entries.words[ref >>> entries.unitBits];
  const bytes = entries.bytes[ref >>> entries.unitBits];
  if (words === undefined || bytes === undefined) return 0;
  const word = (ref & entries.unitMask) << 1;
  words[word] = valueBytes;
  words[word + 1] = (keyBytes - 1) | (usedAt << usedShift) | (isExpiring ? expires : 0);
  if (isExpiring) setInstant(entries, ref, expiresAtMs);
  const start = (word << 2) + headerBytes + (isExpiring ? deadlineBytes : 0);
  const target = { bytes, words, offset: 0 };
  copyInto(target, start, key);
  copyInto(target, start + keyBytes, value);
  return ref;
};

/** Puts another value in place of an entry's. Answers whether that was possible: it needs about the same room. */
export const overwrite = (entries: Entries, ref: number, value: Piece): boolean => {
  const valueBytes = value.to - value.from;
  const id = ref >>> entries.unitBits;
  const word = (ref & entries.unitMask) << 1;
  const words = entries.words[id] ?? noWords;
  const first = words[word] ?? 0;
  const second = words[word + 1] ?? 0;
  const units = unitsOf(first, second);
  const keyBytes = (second & keyMask) + 1;
  const spare = units - neededUnits(keyBytes + valueBytes, second < 0);
  // Not more than a quarter of an entry lies idle.
  if (spare < 0 || spare > spareMax || spare * 4 > units) return false;
  const start = (word << 2) + headerBytes + (second < 0 ? deadlineBytes : 0);
  copyInto({ bytes: entries.bytes[id] ?? noBytes, words, offset: 0 }, start + keyBytes, value);
  words[word] = valueBytes | (spare << spareShift);
  return true;
};

export const setInstant = (entries: Entries, ref: number, atMs: number): void => {
  setWord(entries, ref, [2, atMs | 0]);
  setWord(entries, ref, [3, Math.floor(atMs / halfRange)]);
};

/** With its header, what it has to spare, and its place among the deadlines. */
export const bytesOfEntry = (entries: Entries, ref: number): number =>
  unitsOf(wordOf(entries, ref, 0), wordOf(entries, ref, 1)) * unitBytes +
  (isExpiring(entries, ref) ? deadlineBytes : 0);

export const freeEntry = (entries: Entries, ref: number): void => {
  const first = wordOf(entries, ref, 0);
  setWord(entries, ref, [0, first | freed]);
  free(entries, ref, unitsOf(first, wordOf(entries, ref, 1)));
};

/** Below this a loop is faster than a call. */
const copyByByteMax = 64;
