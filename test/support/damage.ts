import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  decodeFrameHeader,
  decodeSegmentHeader,
  encodeFrameHeader,
  frameHeaderBytes,
  parseSegmentFile,
  segmentHeaderBytes,
} from "../../shard/log/layout.ts";

/**
 * Puts other bytes of the same length in place of some in the log below a folder, and makes all checksums what they would be
 * had they been written so: a copy that is wrong, and does not show it by itself. Returns how often they were there.
 */
export const damageLog = (folder: string, before: Uint8Array, after: Uint8Array): number => {
  let found = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (parseSegmentFile(name.slice(name.lastIndexOf("/") + 1)) === null) continue;
    const file = join(folder, name);
    const bytes = readFileSync(file);
    for (let at = bytes.indexOf(before); at >= 0; at = bytes.indexOf(before, at + 1)) {
      bytes.set(after, at);
      found++;
    }
    sumAgain(bytes);
    writeFileSync(file, bytes);
  }
  return found;
};

const sumAgain = (bytes: Buffer): void => {
  const segment = decodeSegmentHeader(bytes);
  // One that is kept for later.
  if (segment === null) return;
  let previous = segment.checksum;
  for (let at = segmentHeaderBytes; at + frameHeaderBytes <= bytes.length;) {
    const frame = decodeFrameHeader(bytes, at, segment.checksum);
    if (frame === null) return;
    const payload = bytes.subarray(at + frameHeaderBytes, at + frameHeaderBytes + frame.bytes);
    const { header, checksum } = encodeFrameHeader({ ...frame, previous }, [payload], segment.checksum);
    bytes.set(header, at);
    previous = checksum;
    at += frameHeaderBytes + frame.bytes;
  }
};
