import { version, type Version } from "../../core/ids.ts";
import type { DiskFile } from "./disk.ts";
import { type SegmentHeader } from "./layout.ts";

/** One file of a log, and where in it frames begin. */
export type Segment = SegmentHeader & {
  readonly path: string;
  readonly file: DiskFile;
  /** Header and whole frames; 0 as long as nothing was written. */
  bytes: number;
  /** Of its newest record; `first` - 1 where there is none. */
  last: Version;
  /** Whether it holds what no sync has been asked for. */
  isDirty: boolean;
  /** Where some of its frames are, ascending, at least `indexEveryBytes` apart. */
  readonly index: FrameAt[];
};

export type FrameAt = { readonly first: Version; readonly offset: number };

/** 1,024 places in a segment of 64 MiB. */
const indexEveryBytes = 64 * 1024;

export const createSegment = (header: SegmentHeader, path: string, file: DiskFile): Segment => ({
  ...header,
  ...{ path, file, bytes: 0, last: version(Math.max(0, header.first - 1)), isDirty: false, index: [] },
});

/** Remembers where a frame begins. */
export const noteFrame = ({ index }: Segment, frame: FrameAt): void => {
  const newest = index.at(-1);
  if (newest === undefined || frame.offset >= newest.offset + indexEveryBytes) index.push(frame);
};

/** The last place known at or before a version's frame; null where that is the start. */
export const placeBefore = ({ index }: Segment, wanted: Version): FrameAt | null => {
  let low = 0;
  let high = index.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((index[middle]?.first ?? 0) <= wanted) low = middle + 1;
    else high = middle;
  }
  return index[low - 1] ?? null;
};

/** The segment that holds a version, if any does. */
export const segmentOf = (segments: readonly Segment[], wanted: Version): Segment | undefined =>
  segments.findLast(({ first }) => first <= wanted);

/** Where a line of segments stands on the disk. */
export type Extent = {
  readonly line: number;
  readonly first: number;
  readonly last: number;
  readonly version: Version;
  readonly checksum: number;
};
