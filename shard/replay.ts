import { messageOf } from "../core/errors.ts";
import {
  createRecordCursor,
  deleteOpcode,
  dropOpcode,
  entryOpcode,
  epochOpcode,
  mapOpcode,
  setOpcode,
  type RecordCursor,
} from "../core/recordCursor.ts";
import type { Holding } from "./holding.ts";
import { historyWith } from "./replication/history.ts";
import type { Store } from "./store/store.ts";

/** How far a piece of the stream of records could be applied. */
export type Replayed = {
  /** Offset behind the last record that was applied. */
  readonly end: number;
  /** Why the record there does not follow; null where all were applied. */
  readonly problem: string | null;
};

// Used within one call only.
const cursor = createRecordCursor();

/** Applies records to a holding exactly in order, as far as each follows the one before. */
export const replay = (holding: Holding, bytes: Uint8Array): Replayed => {
  let at = 0;
  try {
    while (at < bytes.length) {
      const end = cursor.next(bytes, at);
      const problem = gapBefore(holding, cursor);
      if (problem !== null) return { end: at, problem };
      applyRecord(holding, bytes, cursor);
      holding.bytes += end - at;
      at = end;
    }
  } catch (error) {
    return { end: at, problem: messageOf(error) };
  }
  return { end: at, problem: null };
};

/** Puts the entries of a full copy into a store; answers how many there were. Throws `bad-message`. */
export const takeEntries = (store: Store, bytes: Uint8Array): number => {
  let entries = 0;
  for (let at = 0; at < bytes.length; entries++) {
    at = cursor.next(bytes, at);
    if (cursor.opcode !== entryOpcode) return -1;
    applyOperation(store, bytes, cursor);
  }
  return entries;
};

const gapBefore = (holding: Holding, { opcode, epoch, version }: RecordCursor): string | null => {
  if (opcode === entryOpcode) return "an entry came outside of a copy";
  if (version !== holding.version + 1) return `record ${version} came after ${holding.version}`;
  if (opcode === epochOpcode)
    return epoch > holding.epoch ? null : `epoch ${epoch} begins after ${holding.epoch}`;
  return epoch === holding.epoch ? null : `record ${version} is of epoch ${epoch}, not of ${holding.epoch}`;
};

const applyRecord = (holding: Holding, bytes: Uint8Array, record: RecordCursor): void => {
  if (record.opcode === epochOpcode) {
    holding.history = historyWith(holding.history, record.epoch, holding.version);
    holding.epoch = record.epoch;
  }
  noteMap(holding, record);
  applyOperation(holding.store, bytes, record);
  holding.version = record.version;
};

/** Takes over the version of the map that a record names. */
export const noteMap = (holding: Holding, record: RecordCursor): void => {
  if (record.opcode === mapOpcode) holding.mapVersion = record.mapVersion;
};

/** Carries out what a record, or an entry, says of its key. */
export const applyOperation = (store: Store, bytes: Uint8Array, record: RecordCursor): void => {
  const { keyStart, keyEnd, valueStart, valueEnd, expiresAtMs } = record;
  switch (record.opcode) {
    case entryOpcode:
    case setOpcode:
      store.set(
        pieceOf(bytes, keyStart, keyEnd),
        pieceOf(bytes, valueStart, valueEnd),
        expiresAtMs === 0 ? null : expiresAtMs,
      );
      return;
    case deleteOpcode:
      store.delete(pieceOf(bytes, keyStart, keyEnd));
      return;
    case dropOpcode:
      store.dropSlot(record.slot);
      return;
    case epochOpcode:
    case mapOpcode:
      return;
  }
};

/** A plain view: of a Buffer that is made faster than a Buffer. */
const pieceOf = ({ buffer, byteOffset }: Uint8Array, from: number, to: number): Uint8Array =>
  new Uint8Array(buffer, byteOffset + from, to - from);
