import { version, type Version } from "../../core/ids.ts";
import { backlogBytesMax, recordsPerFrameMax, replicationFrameBytesMax } from "../../core/limits.ts";

/** The newest records' bytes, as many as `backlogBytesMax` allows, so that readers can go on after a cut. */
export type Backlog = {
  /** Takes the record of the next version. */
  readonly add: (record: Uint8Array) => void;
  /** The version of the oldest record held; one more than the newest version where none is. */
  readonly first: () => Version;
  /** The version of the newest record that was taken. */
  readonly newest: () => Version;
  /** Bytes of all records up to `at`, for any `at` from one before the first on. */
  readonly bytesAt: (at: Version) => number;
  /** The records from `from` on, which must be held: as many as make one frame. */
  readonly frame: (from: Version) => { readonly frame: Uint8Array; readonly next: Version };
};

/** A backlog behind the record `newest`, with `bytes` of records up to it. */
export const createBacklog = (newest: Version, bytes: number, bytesMax = backlogBytesMax): Backlog => {
  // records[i] is version offset + i; those before `head` have been dropped.
  let records: Uint8Array[] = [];
  let ends: number[] = [];
  let head = 0;
  let offset = newest + 1;
  // Bytes of all records before records[0], and up to the newest.
  let before = bytes;
  let end = bytes;
  let held = 0;

  const drop = (): void => {
    held -= records[head]?.length ?? 0;
    records[head++] = nothing;
    // Dropped records are let go in one go, once they are most of the array.
    if (head < 1024 || head * 2 < records.length) return;
    before = ends[head - 1] ?? before;
    records = records.slice(head);
    ends = ends.slice(head);
    offset += head;
    head = 0;
  };

  return {
    add: (record) => {
      end += record.length;
      held += record.length;
      records.push(record);
      ends.push(end);
      while (held > bytesMax) drop();
    },
    first: () => version(offset + head),
    newest: () => version(offset + records.length - 1),
    bytesAt: (at) => (at < offset ? before : (ends[at - offset] ?? end)),
    frame: (from) => {
      const start = from - offset;
      let at = start;
      for (let size = 0; at < records.length && at - start < recordsPerFrameMax; at++) {
        size += records[at]?.length ?? 0;
        if (size > replicationFrameBytesMax && at > start) break;
      }
      return { frame: joined(records.slice(start, at)), next: version(offset + at) };
    },
  };
};

const nothing = new Uint8Array();

/** The pieces as one; without a copy where they lie side by side already. */
const joined = (pieces: readonly Uint8Array[]): Uint8Array => {
  const first = pieces[0];
  if (first === undefined) return new Uint8Array();
  let end = first.byteOffset;
  for (const piece of pieces) {
    if (piece.buffer !== first.buffer || piece.byteOffset !== end) return Buffer.concat(pieces);
    end += piece.length;
  }
  return new Uint8Array(first.buffer, first.byteOffset, end - first.byteOffset);
};
