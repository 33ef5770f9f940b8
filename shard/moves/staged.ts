import { badMessage } from "../../core/cbor.ts";
import { epoch, slot, slotCount, version, type Slot } from "../../core/ids.ts";
import { droppedPerTurnMax } from "../../core/limits.ts";
import {
  createRecordCursor,
  deleteOpcode,
  dropOpcode,
  entryOpcode,
  epochOpcode,
  mapOpcode,
  setOpcode,
} from "../../core/recordCursor.ts";
import { slotOfRange } from "../../core/slot.ts";
import type { BodyRecord } from "../replication/recordEncoder.ts";
import type { SlotSet } from "../route.ts";
import { dropSlot, recordBody, write, type Turn } from "../turn.ts";

/** Writes of an owner to slots that are not its own: keys that come with a move, and their end where they have no place here. */

// Used within one call only.
const cursor = createRecordCursor();
const none: Uint8Array = new Uint8Array(0);
const key = { bytes: none, from: 0, to: 0, slot: slot(0), hash: undefined };
const value = { bytes: none, from: 0, to: 0 };
const body = { bytes: none, from: 0, to: 0 };
const record: BodyRecord = { opcode: setOpcode, epoch: epoch(0), version: version(0), body };

/** Writes entries and records of these slots, which were another shard's, as records of this one. Throws `bad-message`. */
export const takeItems = (turn: Turn, frame: Uint8Array, slots: SlotSet): void => {
  // Parts of a plain view are made faster than parts of a Buffer.
  const items = new Uint8Array(frame.buffer, frame.byteOffset, frame.length);
  try {
    for (let at = 0; at < items.length;) {
      at = cursor.next(items, at);
      takeItem(turn, items, slots);
    }
  } finally {
    key.bytes = none;
    value.bytes = none;
    body.bytes = none;
  }
};

const takeItem = (turn: Turn, items: Uint8Array, slots: SlotSet): void => {
  const { store } = turn.holding;
  switch (cursor.opcode) {
    case entryOpcode:
    case setOpcode:
      seek(turn, items, slots);
      value.bytes = items;
      value.from = cursor.valueStart;
      value.to = cursor.valueEnd;
      store.putPiece(value, cursor.expiresAtMs === 0 ? null : cursor.expiresAtMs);
      note(turn, items, setOpcode);
      return;
    case deleteOpcode:
      seek(turn, items, slots);
      if (store.remove()) note(turn, items, deleteOpcode);
      return;
    case dropOpcode:
      if (slots[cursor.slot] !== 1) throw otherSlot(cursor.slot);
      if (store.slotKeys(cursor.slot) > 0) dropSlot(turn, cursor.slot);
      return;
    case epochOpcode:
    case mapOpcode:
      throw badMessage("what a shard records of itself came with a move of slots");
  }
};

const seek = ({ holding }: Turn, items: Uint8Array, slots: SlotSet): void => {
  key.bytes = items;
  key.from = cursor.keyStart;
  key.to = cursor.keyEnd;
  key.slot = slotOfRange(items, key.from, key.to);
  if (slots[key.slot] !== 1) throw otherSlot(key.slot);
  holding.store.seekRange(key);
};

const otherSlot = (other: Slot): Error => badMessage(`a key of slot ${other} came with a move of others`);

/** The bytes of key, value and expiry are the same in an entry and in a record of any shard. */
const note = (turn: Turn, items: Uint8Array, opcode: BodyRecord["opcode"]): void => {
  body.bytes = items;
  body.from = cursor.bodyStart;
  body.to = cursor.end;
  record.opcode = opcode;
  recordBody(turn, record);
};

/** Deletes keys of these slots that are not the shard's own, as many as a turn allows. Answers whether there are none any more. */
export const dropKeys = (turn: Turn, slots: SlotSet): boolean => {
  const { store, slots: own } = turn.holding;
  let left = droppedPerTurnMax;
  for (let i = 0; i < slotCount; i++) {
    if (slots[i] !== 1 || own[i] !== 0) continue;
    const keys = store.slotKeys(slot(i));
    if (keys === 0) continue;
    if (left <= 0) return false;
    if (keys <= droppedPerTurnMax) dropSlot(turn, slot(i));
    else deleteSome(turn, slot(i), left);
    left -= keys;
  }
  return true;
};

/** Of a slot with so many that not all may go at once. */
const deleteSome = (turn: Turn, from: Slot, max: number): void => {
  const { store } = turn.holding;
  const keys: Uint8Array[] = [];
  for (let hash: number | null = 0; hash !== null && keys.length < max;)
    hash = store.visitSlot(from, { hash, bytesMax: Infinity }, ({ bytes, keyFrom, valueFrom }) => {
      keys.push(bytes.slice(keyFrom, valueFrom));
    });
  for (const one of keys) write(turn, { kind: "delete", key: one });
};
