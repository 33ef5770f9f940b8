import { messageOf } from "../core/errors.ts";
import { slot } from "../core/ids.ts";
import { foreseenKeysMax } from "../core/limits.ts";
import {
  createRecordCursor,
  deleteOpcode,
  dropOpcode,
  epochOpcode,
  mapOpcode,
  type RecordCursor,
} from "../core/recordCursor.ts";
import { slotOfRange } from "../core/slot.ts";
import type { Piece } from "./store/bytes.ts";
import type { KeyBatch, Store } from "./store/store.ts";

/** How far records, or entries, were carried out. */
export type Carried = {
  /** Offset behind the last one that was. */
  readonly end: number;
  /** Why the one there was not; null where all were. */
  readonly problem: string | null;
};

/** Asked of each item before it is carried out: null, or why it must not be. What it is told of is good within the call. */
export type Accept = (item: RecordCursor) => string | null;

// All used within one call only.
const cursor = createRecordCursor();
const keys: KeyBatch = {
  ...{ bytes: new Uint8Array(), count: 0 },
  ...{ froms: new Int32Array(foreseenKeysMax), tos: new Int32Array(foreseenKeysMax) },
  ...{ slots: new Int32Array(foreseenKeysMax), hashes: new Int32Array(foreseenKeysMax) },
};
/** What is to be done with each key: it is deleted, or else gets a value. */
const opcodes = new Uint8Array(foreseenKeysMax);
const valueFroms = new Int32Array(foreseenKeysMax);
const valueTos = new Int32Array(foreseenKeysMax);
const expiries = new Float64Array(foreseenKeysMax);
const walk = { bytes: keys.bytes, at: 0, to: 0 };
const key = { bytes: keys.bytes, from: 0, to: 0, slot: slot(0), hash: 0 };
const value = { bytes: keys.bytes, from: 0, to: 0 };

/**
 * Carries out the items of a stream, a log or a copy, in order. Some are read ahead, so that the store can fetch the memory of
 * their keys together: where it holds many, the waiting for memory is most of the work. An item that is not sound ends it.
 */
export const applyItems = (store: Store, { bytes, from, to }: Piece, accept: Accept): Carried => {
  walk.bytes = keys.bytes = key.bytes = value.bytes = bytes;
  walk.at = from;
  walk.to = to;
  let problem: string | null = null;
  while (problem === null && walk.at < to) {
    keys.count = 0;
    try {
      problem = readAhead(store, accept);
    } catch (error) {
      problem = messageOf(error);
    }
    // Outside of what is caught: a store that cannot take what was accepted is no flaw of the bytes.
    carryOut(store);
  }
  walk.bytes = keys.bytes = key.bytes = value.bytes = nothing;
  return { end: walk.at, problem };
};

const nothing = new Uint8Array();

const readAhead = (store: Store, accept: Accept): string | null => {
  while (keys.count < foreseenKeysMax && walk.at < walk.to) {
    const end = cursor.next(walk.bytes, walk.at);
    // What was read ahead comes first.
    if (cursor.opcode === dropOpcode && keys.count > 0) return null;
    const problem = end > walk.to ? "it is cut off" : accept(cursor);
    if (problem !== null) return problem;
    walk.at = end;
    if (cursor.opcode === dropOpcode) store.dropSlot(cursor.slot);
    else if (cursor.opcode !== epochOpcode && cursor.opcode !== mapOpcode) note(keys.count++);
  }
  return null;
};

const note = (place: number): void => {
  const { opcode, keyStart, keyEnd, valueStart, valueEnd, expiresAtMs } = cursor;
  opcodes[place] = opcode;
  keys.froms[place] = keyStart;
  keys.tos[place] = keyEnd;
  keys.slots[place] = slotOfRange(walk.bytes, keyStart, keyEnd);
  valueFroms[place] = valueStart;
  valueTos[place] = valueEnd;
  expiries[place] = expiresAtMs;
};

const carryOut = (store: Store): void => {
  store.foresee(keys);
  for (let i = 0; i < keys.count; i++) {
    key.from = keys.froms[i] ?? 0;
    key.to = keys.tos[i] ?? 0;
    key.slot = slot(keys.slots[i] ?? 0);
    key.hash = keys.hashes[i] ?? 0;
    store.seekRange(key);
    if (opcodes[i] === deleteOpcode) {
      store.remove();
      continue;
    }
    const expiresAtMs = expiries[i] ?? 0;
    value.from = valueFroms[i] ?? 0;
    value.to = valueTos[i] ?? 0;
    store.putPiece(value, expiresAtMs === 0 ? null : expiresAtMs);
  }
};
