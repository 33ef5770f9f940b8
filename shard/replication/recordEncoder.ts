import type { Epoch, Version } from "../../core/ids.ts";
import type { Operation, Record } from "../../core/record.ts";
import { deleteOpcode, dropOpcode, mapOpcode, setOpcode } from "../../core/recordCursor.ts";
import type { Sweep } from "../store/store.ts";

import { copyTo, type Piece } from "../store/bytes.ts";
import type { EntryRange } from "../store/entries.ts";

/** Records and entries as CBOR, byte for byte what core/record.ts makes of them, written straight to where they go. */

/** Opcode, two numbers, two headers and an instant. */
const overheadBytesMax = 48;

/** Bytes that the record of an operation needs at most; null: of one without key and value. */
export const recordBytesMax = (operation: Operation | null): number => {
  if (operation === null) return overheadBytesMax;
  const value = operation.kind === "set" ? operation.value.length : 0;
  return overheadBytesMax + operation.key.length + value;
};

/** Writes a record at `start`, where there has to be room, and answers where it ends. */
export const writeRecord = (target: Buffer, start: number, { epoch, version, operation }: Record): number => {
  const set = operation.kind === "set";
  let at = start;
  target[at++] = set ? 0x86 : 0x84;
  target[at++] = set ? 1 : 2;
  at = writeNumber(target, at, epoch);
  at = writeNumber(target, at, version);
  at = writeBytes(target, at, operation.key);
  if (operation.kind === "delete") return at;
  at = writeBytes(target, at, operation.value);
  return writeNumber(target, at, operation.expiresAtMs ?? 0);
};

/** A set whose key and value lie within other bytes: one that is used again and again costs no memory. */
export type SetPieces = {
  epoch: Epoch;
  version: Version;
  readonly key: Piece;
  readonly value: Piece;
  expiresAtMs: number | null;
};

/** Bytes that its record needs at most. */
export const setBytesMax = ({ key, value }: SetPieces): number =>
  overheadBytesMax + (key.to - key.from) + (value.to - value.from);

/** Writes its record at `start`, where there has to be room, and answers where it ends. */
export const writeSet = (target: Buffer, start: number, set: SetPieces): number => {
  target[start] = 0x86;
  target[start + 1] = 1;
  let at = writeNumber(target, start + 2, set.epoch);
  at = writeNumber(target, at, set.version);
  at = writeRange(target, at, set.key);
  at = writeRange(target, at, set.value);
  return writeNumber(target, at, set.expiresAtMs ?? 0);
};

/** Writes the record that an epoch begins at `start`, and answers where it ends. */
export const writeEpoch = (
  target: Buffer,
  start: number,
  { epoch, version }: { readonly epoch: Epoch; readonly version: Version },
): number => {
  target[start] = 0x83;
  target[start + 1] = 3;
  return writeNumber(target, writeNumber(target, start + 2, epoch), version);
};

/** A record with one more number behind its place. */
export type NumberRecord = {
  readonly opcode: typeof mapOpcode | typeof dropOpcode;
  readonly epoch: Epoch;
  readonly version: Version;
  /** The version of the map; or the slot. */
  readonly argument: number;
};

/** Writes it at `start`, and answers where it ends. */
export const writeNumberRecord = (
  target: Buffer,
  start: number,
  { opcode, epoch, version, argument }: NumberRecord,
): number => {
  target[start] = 0x84;
  target[start + 1] = opcode;
  const at = writeNumber(target, writeNumber(target, start + 2, epoch), version);
  return writeNumber(target, at, argument);
};

/** A set or a delete whose key, value and expiry were written before: their bytes are those of another item. */
export type BodyRecord = {
  opcode: typeof setOpcode | typeof deleteOpcode;
  epoch: Epoch;
  version: Version;
  readonly body: Piece;
};

/** Bytes that it needs at most. */
export const bodyRecordBytesMax = ({ body }: BodyRecord): number => overheadBytesMax + body.to - body.from;

/** Writes it at `start`, where there has to be room, and answers where it ends. */
export const writeBodyRecord = (target: Buffer, start: number, record: BodyRecord): number => {
  const { opcode, epoch, version, body } = record;
  target[start] = opcode === setOpcode ? 0x86 : 0x84;
  target[start + 1] = opcode;
  const at = writeNumber(target, writeNumber(target, start + 2, epoch), version);
  return copyTo(target, at, body);
};

/** Writes an entry at `start`, where `entryBytesMax` have to be left, and answers where it ends. */
export const writeEntry = (target: Buffer, start: number, entry: Readonly<EntryRange>): number => {
  const { bytes, keyFrom, valueFrom, valueTo, expiresAtMs } = entry;
  target[start] = 0x84;
  target[start + 1] = 0;
  let at = writeRange(target, start + 2, { bytes, from: keyFrom, to: valueFrom });
  at = writeRange(target, at, { bytes, from: valueFrom, to: valueTo });
  return writeNumber(target, at, expiresAtMs ?? 0);
};

/** Bytes that an entry needs at most. */
export const entryBytesMax = ({ keyFrom, valueTo }: Readonly<EntryRange>): number =>
  overheadBytesMax + valueTo - keyFrom;

/** Memory for a frame of entries of about `bytesMax` bytes. */
export const entriesBuffer = (bytesMax: number): Buffer =>
  Buffer.allocUnsafeSlow(bytesMax + overheadBytesMax + usualEntryBytes);

/** A frame of the next entries of a sweep, in `room` where they fit: about `bytesMax` bytes, more only where a single entry has more. */
export const encodeEntries = (
  sweep: Sweep,
  bytesMax: number,
  room = entriesBuffer(bytesMax),
): EntriesFrame => {
  const { entry } = sweep;
  let target = room;
  let at = 0;
  for (let entries = 0; ; entries++) {
    if (at >= bytesMax) return { frame: target.subarray(0, at), entries, done: false };
    if (!sweep.next()) return { frame: target.subarray(0, at), entries, done: true };
    const size = entryBytesMax(entry);
    if (target.length - at < size) target = Buffer.concat([target.subarray(0, at)], at + size);
    at = writeEntry(target, at, entry);
  }
};

/** The last entry of a frame usually fits without moving the frame. */
const usualEntryBytes = 4096;

export type EntriesFrame = { readonly frame: Uint8Array; readonly entries: number; readonly done: boolean };

const writeBytes = (target: Buffer, start: number, bytes: Uint8Array): number =>
  writeRange(target, start, { bytes, from: 0, to: bytes.length });

const writeRange = (target: Buffer, start: number, piece: Piece): number =>
  copyTo(target, writeHeader(target, start, { major: 2, argument: piece.to - piece.from }), piece);

const writeNumber = (target: Buffer, at: number, n: number): number =>
  n < 0x1_0000_0000
    ? writeHeader(target, at, { major: 0, argument: n })
    : // From 2^32 up as a 64-bit float, as core/cbor.ts does.
      target.writeDoubleBE(n, target.writeUInt8(0xfb, at));

const writeHeader = (
  target: Buffer,
  at: number,
  { major, argument }: { readonly major: number; readonly argument: number },
): number => {
  const first = major << 5;
  if (argument < 24) {
    target[at] = first | argument;
    return at + 1;
  }
  if (argument < 0x100) {
    target[at] = first | 24;
    target[at + 1] = argument;
    return at + 2;
  }
  if (argument < 0x1_0000) {
    target[at] = first | 25;
    target[at + 1] = argument >>> 8;
    target[at + 2] = argument;
    return at + 3;
  }
  target[at] = first | 26;
  target[at + 1] = argument >>> 24;
  target[at + 2] = argument >>> 16;
  target[at + 3] = argument >>> 8;
  target[at + 4] = argument;
  return at + 5;
};
