import { crc32 } from "node:zlib";
import type { EntryRange } from "./store/entries.ts";

/**
 * What some keys hold, in 64 bits, whatever their order: the sum of a hash of each key with its value and expiry instant. The
 * same in every process. For copies that should be equal, not against who makes them equal on purpose.
 */
export type ContentDigest = { low: number; high: number };

export const noContent = (): ContentDigest => ({ low: 0, high: 0 });

const rotated = (n: number, bits: number): number => (n << bits) | (n >>> (32 - bits));

/** From here on a value's checksum stands for it: 64 MiB take some ten milliseconds so, not a hundred. */
const largeBytes = 1024;

/** Adds one entry. Another bit of an entry makes another hash for sure: each step can be undone, and a checksum tells one bit. */
export const addEntry = (digest: ContentDigest, entry: Readonly<EntryRange>): void => {
  const { bytes, keyFrom, valueFrom, valueTo, expiresAtMs } = entry;
  lanes.low = 0x243f6a88;
  lanes.high = 0x85a308d3 | 0;
  const isLarge = valueTo - valueFrom >= largeBytes;
  if (isLarge) mix(crc32(bytes.subarray(valueFrom, valueTo)));
  const end = isLarge ? valueFrom : valueTo;
  let at = keyFrom;
  for (; at + 4 <= end; at += 4)
    mix(
      (bytes[at] ?? 0) |
        ((bytes[at + 1] ?? 0) << 8) |
        ((bytes[at + 2] ?? 0) << 16) |
        ((bytes[at + 3] ?? 0) << 24),
    );
  let rest = 0;
  for (let i = 0; at + i < end; i++) rest |= (bytes[at + i] ?? 0) << (i * 8);
  mix(rest);
  mix(valueFrom - keyFrom);
  mix(valueTo - valueFrom);
  // No instant is -1.
  mix(expiresAtMs === null ? -1 : expiresAtMs | 0);
  mix(expiresAtMs === null ? -1 : Math.floor(expiresAtMs / 2 ** 32));
  digest.low = (digest.low + finished(lanes.low)) | 0;
  digest.high = (digest.high + finished(lanes.high)) | 0;
};

// Used within one call only.
const lanes = { low: 0, high: 0 };

/** Murmur3's step, with other numbers in each half. */
const mix = (word: number): void => {
  const low = Math.imul(rotated(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  lanes.low = (Math.imul(rotated(lanes.low ^ low, 13), 5) + 0xe6546b64) | 0;
  const high = Math.imul(rotated(Math.imul(word, 0x239b961b), 16), 0xab0e9789);
  lanes.high = (Math.imul(rotated(lanes.high ^ high, 17), 5) + 0x561ccd1b) | 0;
};

/** Murmur3's end: every bit of the outcome hangs on every bit. */
const finished = (lane: number): number => {
  let n = Math.imul(lane ^ (lane >>> 16), 0x85ebca6b);
  n = Math.imul(n ^ (n >>> 13), 0xc2b2ae35);
  return n ^ (n >>> 16);
};

export const isSameContent = (a: ContentDigest, b: ContentDigest): boolean =>
  a.low === b.low && a.high === b.high;
