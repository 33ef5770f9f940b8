import type { Epoch, MapVersion, Slot, Version } from "../core/ids.ts";
import type { Operation } from "../core/record.ts";
import { dropOpcode, mapOpcode } from "../core/recordCursor.ts";
import type { Batch } from "./log/log.ts";
import {
  bodyRecordBytesMax,
  recordBytesMax,
  setBytesMax,
  writeBodyRecord,
  writeEpoch,
  writeNumberRecord,
  writeRecord,
  writeSet,
  type BodyRecord,
  type NumberRecord,
  type SetPieces,
} from "./replication/recordEncoder.ts";
import { createSlabs } from "./slabs.ts";

/**
 * The records that were made since they were last taken, as bytes: made once, for the log and for every reader. One
 * process has one, since at most one writer at a time makes records in it.
 */
export type Journal = {
  /** Adds the record of the next version; answers how many bytes it has. Key and value are copied. */
  readonly add: (epoch: Epoch, version: Version, operation: Operation) => number;
  /** The same of a set whose key and value lie within other bytes. */
  readonly addSet: (set: SetPieces) => number;
  /** The same of a set or a delete whose bytes behind its place are those of another item. */
  readonly addBody: (record: BodyRecord) => number;
  /** Adds the record that an epoch begins. */
  readonly begin: (epoch: Epoch, version: Version) => number;
  /** Adds the record that the slots are those of a version of the map. */
  readonly map: (place: At, mapVersion: MapVersion) => number;
  /** Adds the record that all keys of a slot are deleted. */
  readonly drop: (place: At, slot: Slot) => number;
  readonly isEmpty: () => boolean;
  /** Everything that was added since, in batches of at most `journalBatchBytesMax` bytes, unless a single record has more. */
  readonly take: () => readonly Batch[];
  /** Nobody needs the bytes of what was taken up to this version any more: they may be written over. */
  readonly reuse: (through: Version) => void;
  /** Somebody may need the bytes of what was taken for longer: they are left alone for good. */
  readonly leave: () => void;
};

type At = { readonly epoch: Epoch; readonly version: Version };

export const createJournal = (): Journal => {
  const slabs = createSlabs();
  let batches: Batch[] = [];
  let slab: Buffer = Buffer.alloc(0);
  /** Records lie from `start` to `at`; none where they are the same. */
  let start = 0;
  let at = 0;
  let first: Version | null = null;
  let last: Version | null = null;

  const close = (): void => {
    if (first !== null && last !== null) {
      batches.push({ bytes: slab.subarray(start, at), first, last });
      slabs.filled(last);
    }
    start = at;
    first = null;
  };
  const room = (size: number): void => {
    if (slab.length - at >= size) return;
    close();
    slab = slabs.begin(size);
    start = 0;
    at = 0;
  };
  const added = (end: number, version: Version): number => {
    const bytes = end - at;
    at = end;
    first ??= version;
    last = version;
    return bytes;
  };
  const addNumber = ({ opcode, epoch, version, argument }: NumberRecord): number => {
    room(recordBytesMax(null));
    return added(writeNumberRecord(slab, at, { opcode, epoch, version, argument }), version);
  };
  return {
    add: (epoch, version, operation) => {
      room(recordBytesMax(operation));
      return added(writeRecord(slab, at, { epoch, version, operation }), version);
    },
    addSet: (set) => {
      room(setBytesMax(set));
      return added(writeSet(slab, at, set), set.version);
    },
    addBody: (record) => {
      room(bodyRecordBytesMax(record));
      return added(writeBodyRecord(slab, at, record), record.version);
    },
    begin: (epoch, version) => {
      room(recordBytesMax(null));
      return added(writeEpoch(slab, at, { epoch, version }), version);
    },
    map: (place, argument) => addNumber({ opcode: mapOpcode, ...place, argument }),
    drop: (place, argument) => addNumber({ opcode: dropOpcode, ...place, argument }),
    isEmpty: () => first === null && batches.length === 0,
    take: () => {
      close();
      const taken = batches;
      batches = [];
      return taken;
    },
    reuse: (through) => {
      // Records that were not taken yet may lie behind the others.
      if (!slabs.reuse(through) || first !== null) return;
      start = 0;
      at = 0;
    },
    leave: slabs.leave,
  };
};
