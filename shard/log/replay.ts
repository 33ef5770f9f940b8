import { messageOf } from "../../core/errors.ts";
import { version, type Version } from "../../core/ids.ts";
import { createRecordCursor, entryOpcode } from "../../core/recordCursor.ts";
import type { Holding } from "../holding.ts";
import { applyOperation, noteMap } from "../replay.ts";
import { historyWith } from "../replication/history.ts";
import { damaged, type Flaw } from "./damage.ts";
import { createFileReader, type FileReader } from "./fileReader.ts";
import * as layout from "./layout.ts";
import { noteFrame, type Segment } from "./segment.ts";
import type { Slices } from "./slices.ts";

// Used within one call only.
const cursor = createRecordCursor();

/** Puts the entries of a snapshot's block into the store. Throws `bad-message`. */
export const loadEntries = ({ store }: Holding, bytes: Buffer, [start, end]: Range): void => {
  for (let at = start; at < end;) {
    at = cursor.next(bytes, at);
    if (at > end || cursor.opcode !== entryOpcode)
      throw new Error(`what begins ${start} bytes on is no entry`);
    applyOperation(store, bytes, cursor);
  }
};

type Range = readonly [start: number, end: number];

/** How far a replay has come. */
export type Replayed = {
  /** The version of the next record. */
  next: Version;
  /** The checksum that the next frame goes on from. */
  checksum: number;
  /** Bytes of records that were applied. */
  bytes: number;
};

/**
 * Applies the records of a segment that are newer than the holding. Answers the first flaw, null where there is none up to
 * its end; the segment's bounds are those of what is sound. Rejects with `damaged` where sound frames hold what they must not.
 */
export const replaySegment = async (
  segment: Segment,
  { size, holding, replayed, slices }: Replaying,
): Promise<Flaw | null> => {
  const reader = createFileReader(segment.file, size);
  const flaw = (what: string): Flaw => ({ file: segment.path, offset: reader.offset(), what });
  try {
    await reader.want(layout.segmentHeaderBytes);
    reader.at += layout.segmentHeaderBytes;
    for (;;) {
      segment.bytes = reader.offset();
      if (!(await reader.want(layout.frameHeaderBytes)))
        return reader.available() === 0 ? null : flaw("a frame's header is cut off");
      const frame = layout.decodeFrameHeader(reader.bytes, reader.at, segment.checksum);
      if (frame === null) return flaw("no sound frame begins here");
      if (!(await reader.want(layout.frameHeaderBytes + frame.bytes))) return flaw("a frame is cut off");
      if (!layout.isSoundFrame(reader.bytes, reader.at, frame))
        return flaw("the frame here does not match its checksum");
      if (frame.previous !== replayed.checksum || frame.first !== replayed.next)
        return flaw("the frame here does not follow the one before");
      noteFrame(segment, { first: frame.first, offset: reader.offset() });
      takeFrame(reader, frame, { holding, replayed });
      segment.last = frame.last;
      if (slices.isOver()) await slices.next();
    }
  } catch (error) {
    throw damaged(flaw(`it cannot be read: ${messageOf(error)}`), { cause: error });
  }
};

export type Replaying = {
  readonly size: number;
  readonly holding: Holding;
  readonly replayed: Replayed;
  readonly slices: Slices;
};

const takeFrame = (
  reader: FileReader,
  frame: layout.FrameHeader,
  { holding, replayed }: { readonly holding: Holding; readonly replayed: Replayed },
): void => {
  const start = reader.at + layout.frameHeaderBytes;
  const end = start + frame.bytes;
  if (frame.last > holding.version) {
    const before = holding.bytes;
    applyRecords(holding, reader.bytes, { start, end, first: frame.first });
    if (holding.version !== frame.last) throw new Error(`the frame here does not end at ${frame.last}`);
    replayed.bytes += holding.bytes - before;
  }
  replayed.next = version(frame.last + 1);
  replayed.checksum = frame.checksum;
  reader.at = end;
};

type Records = { readonly start: number; readonly end: number; readonly first: Version };

const applyRecords = (holding: Holding, bytes: Buffer, { start, end, first }: Records): void => {
  const { store } = holding;
  let expected = first;
  for (let at = start; at < end; expected = version(expected + 1)) {
    at = cursor.next(bytes, at);
    if (at > end || cursor.opcode === entryOpcode || cursor.version !== expected)
      throw new Error(`record ${expected} should be here`);
    if (expected <= holding.version) continue;
    if (cursor.epoch !== holding.epoch) enterEpoch(holding);
    noteMap(holding, cursor);
    applyOperation(store, bytes, cursor);
    holding.version = expected;
    holding.bytes += cursor.end - cursor.start;
  }
};

const enterEpoch = (holding: Holding): void => {
  if (cursor.epoch < holding.epoch) throw new Error(`record ${cursor.version} is of an older epoch`);
  holding.epoch = cursor.epoch;
  if ((holding.history.at(-1)?.epoch ?? 0) < cursor.epoch)
    holding.history = historyWith(holding.history, cursor.epoch, version(cursor.version - 1));
};
