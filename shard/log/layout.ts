import { crc32 } from "node:zlib";
import { version, type Version } from "../../core/ids.ts";

/**
 * The bytes of segments and snapshots; docs/log.md has them as tables. Numbers are little endian. Every checksum goes on
 * from the one before it, so that nothing can be left out, doubled or moved.
 */

const logName = /^log-([0-9]{6})-([0-9]{10})\.log$/;
const snapshotName = /^snapshot-([0-9]{10})\.snap$/;
const digits = (n: number, count: number): string => String(n).padStart(count, "0");

/** Segments of one line follow one another; a full copy begins a new line. */
export type SegmentName = { readonly line: number; readonly sequence: number };

export const segmentFile = ({ line, sequence }: SegmentName): string =>
  `log-${digits(line, 6)}-${digits(sequence, 10)}.log`;
export const snapshotFile = (sequence: number): string => `snapshot-${digits(sequence, 10)}.snap`;

export const parseSegmentFile = (name: string): SegmentName | null => {
  const [, line, sequence] = logName.exec(name) ?? [];
  return line === undefined || sequence === undefined
    ? null
    : { line: Number(line), sequence: Number(sequence) };
};
export const parseSnapshotFile = (name: string): number | null => {
  const [, sequence] = snapshotName.exec(name) ?? [];
  return sequence === undefined ? null : Number(sequence);
};

/** The checksum of the chunks, going on from `checksum`. */
export const checksumOf = (chunks: readonly Uint8Array[], checksum: number): number =>
  chunks.reduce((sum, chunk) => crc32(chunk, sum), checksum);

const high = 0x1_0000_0000;

const writeNumber = (target: Buffer, n: number, at: number): void => {
  target.writeUInt32LE(n % high, at);
  target.writeUInt32LE(Math.floor(n / high), at + 4);
};

/** Null where it has more than 53 bits. */
const readNumber = (bytes: Buffer, at: number): number | null => {
  const n = bytes.readUInt32LE(at + 4) * high + bytes.readUInt32LE(at);
  return n < Number.MAX_SAFE_INTEGER ? n : null;
};

const readVersion = (bytes: Buffer, at: number): Version | null => {
  const n = readNumber(bytes, at);
  return n === null ? null : version(n);
};

const segmentMagic = Buffer.from("EDISLOG1", "latin1");
export const segmentHeaderBytes = 40;

/** `first` is the version of its first record; `checksum` the last one before it, which its first frame goes on from. */
export type SegmentHeader = SegmentName & { readonly first: Version; readonly checksum: number };

export const encodeSegmentHeader = ({ line, sequence, first, checksum }: SegmentHeader): Buffer => {
  const header = Buffer.alloc(segmentHeaderBytes);
  segmentMagic.copy(header);
  writeNumber(header, line, 8);
  writeNumber(header, sequence, 16);
  writeNumber(header, first, 24);
  header.writeUInt32LE(checksum, 32);
  header.writeUInt32LE(crc32(header.subarray(0, 36)), 36);
  return header;
};

/** Null where the bytes are not a sound header. */
export const decodeSegmentHeader = (header: Buffer): SegmentHeader | null => {
  if (header.length < segmentHeaderBytes || !header.subarray(0, 8).equals(segmentMagic)) return null;
  if (crc32(header.subarray(0, 36)) !== header.readUInt32LE(36)) return null;
  const line = readNumber(header, 8);
  const sequence = readNumber(header, 16);
  const first = readVersion(header, 24);
  if (line === null || sequence === null || first === null) return null;
  return { line, sequence, first, checksum: header.readUInt32LE(32) };
};

export const frameMagic = Buffer.from("FRM1", "latin1");
const frameMagicNumber = frameMagic.readUInt32LE(0);
export const frameHeaderBytes = 44;

/** A frame without a record says only what is synced; its `first` is one more than its `last`. */
export type FrameHeader = {
  readonly bytes: number;
  readonly first: Version;
  readonly last: Version;
  /** Everything up to here was known to be synced when this was written. */
  readonly synced: Version;
  readonly previous: number;
  readonly checksum: number;
};

/**
 * `seed` is the checksum in the segment's header: what stands in a user's value is not taken for a frame of this log, as
 * its header was not made with it.
 */
export const encodeFrameHeader = (
  { first, last, synced, previous }: Omit<FrameHeader, "bytes" | "checksum">,
  payload: readonly Uint8Array[],
  seed: number,
): { readonly header: Buffer; readonly checksum: number } => {
  const header = Buffer.allocUnsafe(frameHeaderBytes);
  header.writeUInt32LE(frameMagicNumber, 0);
  header.writeUInt32LE(
    payload.reduce((sum, { length }) => sum + length, 0),
    4,
  );
  writeNumber(header, first, 8);
  writeNumber(header, last, 16);
  writeNumber(header, synced, 24);
  header.writeUInt32LE(previous, 32);
  const checksum = checksumOf(payload, crc32(header.subarray(0, 36)));
  header.writeUInt32LE(checksum, 36);
  header.writeUInt32LE(crc32(header.subarray(0, 40), seed), 40);
  return { header, checksum };
};

/** Null where the bytes at the offset are not a sound header; there must be enough of them. */
export const decodeFrameHeader = (bytes: Buffer, at: number, seed: number): FrameHeader | null => {
  if (bytes.readUInt32LE(at) !== frameMagicNumber) return null;
  if (crc32(bytes.subarray(at, at + 40), seed) !== bytes.readUInt32LE(at + 40)) return null;
  const first = readVersion(bytes, at + 8);
  const last = readVersion(bytes, at + 16);
  const synced = readVersion(bytes, at + 24);
  if (first === null || last === null || synced === null || last + 1 < first) return null;
  const size = bytes.readUInt32LE(at + 4);
  return {
    ...{ bytes: size, first, last, synced },
    ...{ previous: bytes.readUInt32LE(at + 32), checksum: bytes.readUInt32LE(at + 36) },
  };
};

/** Whether the payload behind the header is what was written. */
export const isSoundFrame = (bytes: Buffer, at: number, frame: FrameHeader): boolean => {
  const payload = bytes.subarray(at + frameHeaderBytes, at + frameHeaderBytes + frame.bytes);
  return crc32(payload, crc32(bytes.subarray(at, at + 36))) === frame.checksum;
};

const snapshotMagic = Buffer.from("EDISSNP1", "latin1");
/** Before the place, which is JSON. */
export const snapshotHeaderBytes = 16;

export const encodeSnapshotHeader = (place: Uint8Array): { header: Buffer; checksum: number } => {
  const header = Buffer.alloc(snapshotHeaderBytes);
  snapshotMagic.copy(header);
  header.writeUInt32LE(place.length, 8);
  const checksum = crc32(place, crc32(header.subarray(0, 12)));
  header.writeUInt32LE(checksum, 12);
  return { header, checksum };
};

/** The length of the place, null where the bytes are no such header. */
export const decodeSnapshotHeader = (bytes: Buffer): number | null =>
  bytes.subarray(0, 8).equals(snapshotMagic) ? bytes.readUInt32LE(8) : null;

/** The checksum of a header and its place; null where they are not what was written. */
export const checkSnapshotHeader = (header: Buffer, place: Uint8Array): number | null => {
  const checksum = crc32(place, crc32(header.subarray(0, 12)));
  return checksum === header.readUInt32LE(12) ? checksum : null;
};

const blockMagic = Buffer.from("BLK1", "latin1").readUInt32LE(0);
const trailerMagic = Buffer.from("END1", "latin1").readUInt32LE(0);
export const blockHeaderBytes = 20;
export const trailerBytes = 36;

export type BlockHeader = {
  readonly bytes: number;
  readonly entries: number;
  readonly previous: number;
  readonly checksum: number;
};

export const encodeBlockHeader = (
  payload: Uint8Array,
  entries: number,
  previous: number,
): { readonly header: Buffer; readonly checksum: number } => {
  const header = Buffer.allocUnsafe(blockHeaderBytes);
  header.writeUInt32LE(blockMagic, 0);
  header.writeUInt32LE(payload.length, 4);
  header.writeUInt32LE(entries, 8);
  header.writeUInt32LE(previous, 12);
  const checksum = crc32(payload, crc32(header.subarray(0, 16)));
  header.writeUInt32LE(checksum, 16);
  return { header, checksum };
};

/** Null where it is not the header of a block. */
export const decodeBlockHeader = (bytes: Buffer, at: number): BlockHeader | null =>
  bytes.readUInt32LE(at) === blockMagic
    ? {
        bytes: bytes.readUInt32LE(at + 4),
        entries: bytes.readUInt32LE(at + 8),
        previous: bytes.readUInt32LE(at + 12),
        checksum: bytes.readUInt32LE(at + 16),
      }
    : null;

export const isSoundBlock = (bytes: Buffer, at: number, block: BlockHeader): boolean => {
  const payload = bytes.subarray(at + blockHeaderBytes, at + blockHeaderBytes + block.bytes);
  return crc32(payload, crc32(bytes.subarray(at, at + 16))) === block.checksum;
};

/** How a snapshot ends: records up to `through` have to be replayed on it; and what it holds. */
export type Trailer = {
  readonly through: Version;
  readonly entries: number;
  /** Of entries. */
  readonly bytes: number;
  readonly previous: number;
  readonly checksum: number;
};

export const encodeTrailer = ({ through, entries, bytes, previous }: Omit<Trailer, "checksum">): Buffer => {
  const trailer = Buffer.alloc(trailerBytes);
  trailer.writeUInt32LE(trailerMagic, 0);
  writeNumber(trailer, through, 4);
  writeNumber(trailer, entries, 12);
  writeNumber(trailer, bytes, 20);
  trailer.writeUInt32LE(previous, 28);
  trailer.writeUInt32LE(crc32(trailer.subarray(0, 32)), 32);
  return trailer;
};

/** Null where it is not a sound trailer. */
export const decodeTrailer = (bytes: Buffer, at: number): Trailer | null => {
  if (bytes.readUInt32LE(at) !== trailerMagic) return null;
  if (crc32(bytes.subarray(at, at + 32)) !== bytes.readUInt32LE(at + 32)) return null;
  const through = readVersion(bytes, at + 4);
  const entries = readNumber(bytes, at + 12);
  const size = readNumber(bytes, at + 20);
  if (through === null || entries === null || size === null) return null;
  return {
    ...{ through, entries, bytes: size },
    ...{ previous: bytes.readUInt32LE(at + 28), checksum: bytes.readUInt32LE(at + 32) },
  };
};
