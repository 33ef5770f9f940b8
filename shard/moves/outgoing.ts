import { createRecordCursor, dropOpcode } from "../../core/recordCursor.ts";
import { slot as slotFrom, slotCount } from "../../core/ids.ts";
import { slotOfRange } from "../../core/slot.ts";
import { entryBytesMax, writeEntry } from "../replication/recordEncoder.ts";
import type { SlotSet } from "../route.ts";
import type { Store } from "../store/store.ts";

/** What leaves a shard with some of its slots: their keys, slot by slot, and the records that touch them. */

/** How far a walk over the keys of some slots has come; it goes on whatever is written meanwhile. */
export type Walk = {
  readonly store: Store;
  /** 1 where a slot belongs to it. */
  readonly slots: SlotSet;
  /** The slot that it is in; `slotCount` at its end. */
  slot: number;
  /** Where in the order of the hashes it goes on. */
  hash: number;
};

export const walkOf = (store: Store, slots: SlotSet): Walk => ({ store, slots, slot: 0, hash: 0 });

/** Entries of the next keys: at most twice `bytesMax` bytes, and what encodes them, more only where a single one has more. */
export const nextEntries = (walk: Walk, bytesMax: number): Uint8Array => {
  const { store, slots } = walk;
  let target = Buffer.allocUnsafeSlow(bytesMax + spareBytes);
  let at = 0;
  while (at < bytesMax && walk.slot < slotCount) {
    const slot = slotFrom(walk.slot);
    if (slots[slot] !== 1 || store.slotKeys(slot) === 0) {
      walk.slot++;
      walk.hash = 0;
      continue;
    }
    const next = store.visitSlot(slot, { hash: walk.hash, bytesMax }, (entry) => {
      const size = entryBytesMax(entry);
      if (target.length - at < size) target = Buffer.concat([target.subarray(0, at)], at + size + spareBytes);
      at = writeEntry(target, at, entry);
    });
    walk.hash = next ?? 0;
    if (next === null) walk.slot++;
  }
  return target.subarray(0, at);
};

/** What is told together usually fits without moving the frame. */
const spareBytes = 16 * 1024;

export const isOver = ({ slot }: Walk): boolean => slot >= slotCount;

// Used within one call only.
const cursor = createRecordCursor();

/** Those of some records that touch these slots, as they are; the very bytes where all do. */
export const recordsOf = (records: Uint8Array, slots: SlotSet): Uint8Array => {
  const kept = Buffer.allocUnsafe(records.length);
  let bytes = 0;
  for (let at = 0; at < records.length;) {
    const from = at;
    at = cursor.next(records, at);
    if (!touches(records, slots)) continue;
    kept.set(records.subarray(from, at), bytes);
    bytes += at - from;
  }
  return bytes === records.length ? records : kept.subarray(0, bytes);
};

const touches = (records: Uint8Array, slots: SlotSet): boolean => {
  const { opcode, keyStart, keyEnd, slot } = cursor;
  if (opcode === dropOpcode) return slots[slot] === 1;
  return keyEnd > keyStart && slots[slotOfRange(records, keyStart, keyEnd)] === 1;
};
