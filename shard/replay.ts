import { messageOf } from "../core/errors.ts";
import {
  createRecordCursor,
  deleteOpcode,
  entryOpcode,
  epochOpcode,
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
    setIn(store, bytes, cursor);
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
  const { store } = holding;
  switch (record.opcode) {
    case entryOpcode:
      return;
    case setOpcode:
      setIn(store, bytes, record);
      break;
    case deleteOpcode:
      store.delete(bytes.subarray(record.keyStart, record.keyEnd));
      break;
    case epochOpcode:
      holding.history = historyWith(holding.history, record.epoch, holding.version);
      holding.epoch = record.epoch;
      break;
  }
  holding.version = record.version;
};

const setIn = (store: Store, bytes: Uint8Array, record: RecordCursor): void => {
  const { keyStart, keyEnd, valueStart, valueEnd, expiresAtMs } = record;
  store.set(
    bytes.subarray(keyStart, keyEnd),
    bytes.subarray(valueStart, valueEnd),
    expiresAtMs === 0 ? null : expiresAtMs,
  );
};
