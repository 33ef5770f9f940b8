import { check } from "../../core/check.ts";
import type { Version } from "../../core/ids.ts";
import { encodeFrameHeader, frameHeaderBytes } from "./layout.ts";
import type { Batch } from "./log.ts";

/** Records that were appended and are not written yet, in order. */
export type Pending = { pieces: Piece[]; bytes: number };

/** Records whose bytes lie side by side. */
export type Piece = {
  readonly buffer: ArrayBufferLike;
  readonly start: number;
  end: number;
  readonly first: Version;
  last: Version;
  /** It is being written: nothing may be added. */
  isTaken: boolean;
};

export const viewOf = ({ buffer, start, end }: Piece): Uint8Array =>
  new Uint8Array(buffer, start, end - start);

/** What one turn brings mostly lies in one slab: it grows the last piece, so that it is checksummed and written as one. */
export const addBatch = (pending: Pending, { bytes, first, last }: Batch, pieceBytesMax: number): void => {
  const newest = pending.pieces.at(-1);
  const { buffer, byteOffset: start, length } = bytes;
  pending.bytes += length;
  if (
    newest?.isTaken === false &&
    newest.buffer === buffer &&
    newest.end === start &&
    newest.end - newest.start + length <= pieceBytesMax
  ) {
    newest.end += length;
    newest.last = last;
  } else pending.pieces.push({ buffer, start, end: start + length, first, last, isTaken: false });
};

/** Frames as they are written. */
export type Frames = {
  readonly chunks: readonly Uint8Array[];
  /** Of the chunks. */
  readonly bytes: number;
  /** Where each begins, from the first chunk on. */
  readonly starts: readonly { readonly first: Version; readonly offset: number }[];
  readonly checksum: number;
  readonly last: Version;
  /** What they say is synced. */
  readonly synced: Version;
  readonly pieces: number;
};

export type Framing = {
  readonly previous: number;
  readonly seed: number;
  readonly synced: Version;
  readonly frameBytesMax: number;
  /** One piece may have more. */
  readonly bytesMax: number;
};

/** Frames the first pieces. They stay pending until `dropPieces`, as the write may fail and be tried again. */
export const frameUp = ({ pieces }: Pending, framing: Framing): Frames => {
  const { synced, seed, frameBytesMax, bytesMax } = framing;
  const chunks: Uint8Array[] = [];
  const starts: { first: Version; offset: number }[] = [];
  let checksum = framing.previous;
  let bytes = 0;
  let taken = 0;
  let last: Version | null = null;
  for (let next = pieces[0]; next !== undefined && (taken === 0 || bytes < bytesMax); next = pieces[taken]) {
    const { first } = next;
    const payload: Uint8Array[] = [];
    let size = 0;
    for (
      let piece: Piece | undefined = next;
      piece !== undefined && (size === 0 || size + piece.end - piece.start <= frameBytesMax);
      piece = pieces[taken]
    ) {
      piece.isTaken = true;
      payload.push(viewOf(piece));
      size += piece.end - piece.start;
      last = piece.last;
      taken++;
    }
    check(last !== null, "a frame has records");
    const frame = encodeFrameHeader({ first, last, synced, previous: checksum }, payload, seed);
    checksum = frame.checksum;
    starts.push({ first, offset: bytes });
    chunks.push(frame.header, ...payload);
    bytes += frameHeaderBytes + size;
  }
  check(last !== null, "something is pending");
  return { chunks, bytes, starts, checksum, last, synced, pieces: taken };
};

export const dropPieces = (pending: Pending, count: number): void => {
  for (const { start, end } of pending.pieces.splice(0, count)) pending.bytes -= end - start;
};
