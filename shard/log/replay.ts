import { messageOf } from "../../core/errors.ts";
import { version, type Epoch, type Version } from "../../core/ids.ts";
import { createRecordCursor, entryOpcode, skipRecords } from "../../core/recordCursor.ts";
import type { Holding } from "../holding.ts";
import { applyItems } from "../items.ts";
import { noteMap } from "../replay.ts";
import { historyWith } from "../replication/history.ts";
import { damaged, type Flaw } from "./damage.ts";
import { createFileReader, type FileReader } from "./fileReader.ts";
import * as layout from "./layout.ts";
import { noteFrame, type Segment } from "./segment.ts";
import type { Slices } from "./slices.ts";

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
  // What a snapshot holds already.
  const from =
    first > holding.version
      ? start
      : skipRecords(createRecordCursor(), bytes.subarray(0, end), { at: start, version: holding.version });
  const { problem } = applyItems(holding.store, { bytes, from, to: end }, (record) => {
    const expected = version(holding.version + 1);
    if (record.opcode === entryOpcode || record.version !== expected)
      return `record ${expected} should be here`;
    if (record.epoch !== holding.epoch) {
      if (record.epoch < holding.epoch) return `record ${expected} is of an older epoch`;
      enterEpoch(holding, record.epoch);
    }
    noteMap(holding, record);
    holding.version = expected;
    holding.bytes += record.end - record.start;
    return null;
  });
  if (problem !== null) throw new Error(problem);
};

const enterEpoch = (holding: Holding, epoch: Epoch): void => {
  holding.epoch = epoch;
  if ((holding.history.at(-1)?.epoch ?? 0) < epoch)
    holding.history = historyWith(holding.history, epoch, holding.version);
};
