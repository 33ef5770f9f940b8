import type { Version } from "../core/ids.ts";
import { journalBatchBytesMax } from "../core/limits.ts";

/**
 * Memory that records are made in, used again once nobody needs them: the same memory, turn after turn, stays in the
 * processor's cache, and V8 has none to collect.
 */
export type Slabs = {
  /** One with room for so many bytes at least; it is the newest from now on. */
  readonly begin: (bytes: number) => Buffer;
  /** The newest one holds records up to here. */
  readonly filled: (last: Version) => void;
  /** Records up to here are needed no more. Answers whether that is all that the newest one holds, and it may be written over. */
  readonly reuse: (through: Version) => boolean;
  /** What was begun so far is left alone for good. */
  readonly leave: () => void;
};

type Slab = { readonly bytes: Buffer; last: Version | null };

/** Those that are kept: what a turn of many full pipelines brings is less. */
const slabsMax = 8;

export const createSlabs = (): Slabs => {
  /** Oldest first. */
  let used: Slab[] = [];
  const free: Buffer[] = [];
  return {
    begin: (bytes) => {
      const isUsual = bytes <= journalBatchBytesMax;
      const slab =
        (isUsual ? free.pop() : null) ?? Buffer.allocUnsafeSlow(Math.max(journalBatchBytesMax, bytes));
      used.push({ bytes: slab, last: null });
      return slab;
    },
    filled: (last) => {
      const newest = used.at(-1);
      if (newest !== undefined) newest.last = last;
    },
    reuse: (through) => {
      for (;;) {
        const oldest = used[0];
        if (oldest === undefined || oldest.last === null || oldest.last > through) return false;
        const isUsual = oldest.bytes.length === journalBatchBytesMax;
        // One of a large record is full, and goes with the next.
        if (used.length === 1) return isUsual;
        used.shift();
        if (isUsual && free.length < slabsMax) free.push(oldest.bytes);
      }
    },
    leave: () => {
      used = [];
    },
  };
};
