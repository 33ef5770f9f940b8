import type { Version } from "../../core/ids.ts";
import { createFileReader } from "./fileReader.ts";
import { decodeFrameHeader, frameHeaderBytes, frameMagic } from "./layout.ts";
import type { Segment } from "./segment.ts";
import type { Slices } from "./slices.ts";

/**
 * Whether a sound frame header behind a flaw says that `wanted` had been synced: then what is missing was not cut off by a
 * loss of power but damaged later.
 */
export const saysSynced = async (
  { segment, from, size, slices }: Search,
  wanted: Version,
): Promise<boolean> => {
  const reader = createFileReader(segment.file, size);
  await reader.want(Math.min(from, size));
  reader.at += Math.min(from, size);
  while (await reader.want(frameHeaderBytes)) {
    const end = reader.at + reader.available();
    for (;;) {
      const at = reader.bytes.indexOf(frameMagic, reader.at);
      if (at === -1 || at + frameHeaderBytes > end) break;
      const frame = decodeFrameHeader(reader.bytes, at, segment.checksum);
      if (frame !== null && frame.synced >= wanted) return true;
      reader.at = at + 1;
    }
    // The beginning of a header may stand at the end.
    reader.at = Math.max(reader.at, end - frameHeaderBytes + 1);
    if (slices.isOver()) await slices.next();
  }
  return false;
};

export type Search = {
  readonly segment: Segment;
  readonly from: number;
  readonly size: number;
  readonly slices: Slices;
};
