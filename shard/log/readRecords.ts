import { check } from "../../core/check.ts";
import { messageOf } from "../../core/errors.ts";
import { version, type Version } from "../../core/ids.ts";
import { createRecordCursor } from "../../core/recordCursor.ts";
import { damaged } from "./damage.ts";
import {
  decodeFrameHeader,
  frameHeaderBytes,
  isSoundFrame,
  segmentHeaderBytes,
  type FrameHeader,
} from "./layout.ts";
import type { Line } from "./line.ts";
import type { Batch } from "./log.ts";
import { viewOf } from "./pending.ts";
import { noteFrame, placeBefore, segmentOf, type Segment } from "./segment.ts";

/**
 * Records of a line from a version on: from memory where they are not written yet, else from its file. At least one, more
 * as long as they have no more than `bytesMax` together. Rejects with `damaged`.
 */
export const readRecords = async (line: Line, from: Version, bytesMax: number): Promise<Batch> => {
  check(from >= line.first() && from <= line.newest(), "what is read from a log is there");
  if (from > line.written()) return fromMemory(line, from, bytesMax);
  const segment = segmentOf(line.segments(), from);
  check(segment !== undefined, "a version that was written is in a segment");
  return fromFile(segment, from, bytesMax);
};

/** What has been found so far. */
type Found = { readonly parts: Uint8Array[]; bytes: number; next: Version };

const fromMemory = (line: Line, from: Version, bytesMax: number): Batch => {
  const found: Found = { parts: [], bytes: 0, next: from };
  for (const piece of line.pending().pieces)
    if (piece.last >= from && !take(found, { payload: viewOf(piece), ...piece }, bytesMax)) break;
  // A copy: what was made for the log may be written over once the log has it.
  return { bytes: Buffer.concat(found.parts), first: from, last: version(found.next - 1) };
};

type Records = { readonly payload: Uint8Array; readonly first: Version; readonly last: Version };

// Used within one call only.
const cursor = createRecordCursor();

/** Adds the records that are wanted; whether there may be more. */
const take = (found: Found, { payload, first, last }: Records, bytesMax: number): boolean => {
  if (found.next === first && found.bytes + payload.length <= bytesMax) {
    found.parts.push(payload);
    found.bytes += payload.length;
    found.next = version(last + 1);
    return true;
  }
  let at = 0;
  for (let skipped = first; skipped < found.next; skipped = version(skipped + 1))
    at = cursor.next(payload, at);
  const start = at;
  while (at < payload.length) {
    const end = cursor.next(payload, at);
    const isFirst = found.bytes === 0 && at === start;
    if (!isFirst && found.bytes + end - start > bytesMax) break;
    at = end;
    found.next = version(found.next + 1);
  }
  if (at > start) found.parts.push(payload.subarray(start, at));
  found.bytes += at - start;
  return at === payload.length;
};

const batchOf = ({ parts, next }: Found, first: Version): Batch => {
  const [only] = parts;
  const bytes = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  return { bytes, first, last: version(next - 1) };
};

/** What is read at least: the way from a place in the index to the frame that is wanted. */
const windowBytesMin = 128 * 1024;

const fromFile = async (segment: Segment, from: Version, bytesMax: number): Promise<Batch> => {
  const found: Found = { parts: [], bytes: 0, next: from };
  // What is written from here on is not looked at.
  const { bytes: end } = segment;
  let at = placeBefore(segment, from)?.offset ?? segmentHeaderBytes;
  let wanted = bytesMax + windowBytesMin;
  while (at < end && found.bytes < bytesMax) {
    const window = Buffer.allocUnsafeSlow(Math.min(wanted, end - at));
    await fill(segment, window, at);
    const walked = walk(segment, { window, offset: at, found }, bytesMax);
    if (walked.isEnough || (walked.wanted > window.length && found.bytes > 0)) break;
    at += walked.taken;
    wanted = Math.max(windowBytesMin, walked.wanted);
  }
  check(found.bytes > 0, "a segment holds what its bounds say");
  return batchOf(found, from);
};

const fill = async (segment: Segment, target: Buffer, offset: number): Promise<void> => {
  let read;
  try {
    read = await segment.file.read(target, offset);
  } catch (error) {
    throw damaged({ file: segment.path, offset, what: `it cannot be read: ${messageOf(error)}` });
  }
  if (read < target.length)
    throw damaged({ file: segment.path, offset: offset + read, what: "it ends here" });
};

type Window = { readonly window: Buffer; readonly offset: number; readonly found: Found };
/** How far the window was of use; how much of the next frame there should be. */
type Walked = { readonly taken: number; readonly wanted: number; readonly isEnough: boolean };

const walk = (segment: Segment, { window, offset, found }: Window, bytesMax: number): Walked => {
  let at = 0;
  while (at + frameHeaderBytes <= window.length) {
    const frame = decodeFrameHeader(window, at, segment.checksum);
    if (frame === null)
      throw damaged({ file: segment.path, offset: offset + at, what: "no frame begins here" });
    const size = frameHeaderBytes + frame.bytes;
    noteFrame(segment, { first: frame.first, offset: offset + at });
    if (frame.last >= found.next) {
      if (at + size > window.length) return { taken: at, wanted: size, isEnough: false };
      if (!takeFrame(segment, { window, offset: offset + at, found }, { frame, at, bytesMax }))
        return { taken: at, wanted: 0, isEnough: true };
    }
    at += size;
  }
  // A frame that is not wanted may reach beyond the window.
  return { taken: at, wanted: 0, isEnough: found.bytes >= bytesMax };
};

const takeFrame = (
  segment: Segment,
  { window, offset, found }: Window,
  { frame, at, bytesMax }: { readonly frame: FrameHeader; readonly at: number; readonly bytesMax: number },
): boolean => {
  if (!isSoundFrame(window, at, frame))
    throw damaged({ file: segment.path, offset, what: "the frame here does not match its checksum" });
  const start = at + frameHeaderBytes;
  const payload = window.subarray(start, start + frame.bytes);
  return take(found, { payload, first: frame.first, last: frame.last }, bytesMax);
};
