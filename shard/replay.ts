import { badMessage } from "../core/cbor.ts";
import { entryOpcode, epochOpcode, mapOpcode, type RecordCursor } from "../core/recordCursor.ts";
import type { Holding } from "./holding.ts";
import { applyItems, type Carried } from "./items.ts";
import { historyWith } from "./replication/history.ts";
import type { Piece } from "./store/bytes.ts";
import type { Store } from "./store/store.ts";

/** Applies records to a holding exactly in order, as far as each follows the one before. */
export const replay = (holding: Holding, bytes: Uint8Array): Carried =>
  applyItems(holding.store, { bytes, from: 0, to: bytes.length }, (record) => {
    const problem = gapBefore(holding, record);
    if (problem === null) step(holding, record);
    return problem;
  });

/** Puts the entries of a full copy into a store; answers how many there were. Throws `bad-message`. */
export const takeEntries = (store: Store, piece: Piece): number => {
  let entries = 0;
  const { problem } = applyItems(store, piece, ({ opcode }) => {
    if (opcode !== entryOpcode) return "a record came among its entries";
    entries++;
    return null;
  });
  if (problem !== null) throw badMessage(problem);
  return entries;
};

const gapBefore = (holding: Holding, { opcode, epoch, version }: RecordCursor): string | null => {
  if (opcode === entryOpcode) return "an entry came outside of a copy";
  if (version !== holding.version + 1) return `record ${version} came after ${holding.version}`;
  if (opcode === epochOpcode)
    return epoch > holding.epoch ? null : `epoch ${epoch} begins after ${holding.epoch}`;
  return epoch === holding.epoch ? null : `record ${version} is of epoch ${epoch}, not of ${holding.epoch}`;
};

/** The holding's place is the record's now. */
const step = (holding: Holding, record: RecordCursor): void => {
  const { opcode, epoch, version, start, end } = record;
  if (opcode === epochOpcode) {
    holding.history = historyWith(holding.history, epoch, holding.version);
    holding.epoch = epoch;
  }
  noteMap(holding, record);
  holding.version = version;
  holding.bytes += end - start;
};

/** Takes over the version of the map that a record names. */
export const noteMap = (holding: Holding, record: RecordCursor): void => {
  if (record.opcode === mapOpcode) holding.mapVersion = record.mapVersion;
};
