import type { Epoch, Version } from "../../core/ids.ts";
import type { Entry, Record } from "../../core/record.ts";

/**
 * Records and entries as CBOR, byte for byte what core/record.ts makes of them, written straight into large slabs. The
 * bytes of records that follow one another lie side by side, so that a turn's records make one frame without a copy.
 */
export type RecordEncoder = {
  readonly encode: (record: Record) => Uint8Array;
  /** The record that an epoch begins at `version`. */
  readonly encodeEpoch: (epoch: Epoch, version: Version) => Uint8Array;
};

const slabBytes = 256 * 1024;
/** Opcode, two numbers, two headers and an instant. */
const overheadBytesMax = 48;

export const createRecordEncoder = (): RecordEncoder => {
  let slab = Buffer.alloc(0);
  let at = 0;
  const makeRoom = (size: number): void => {
    if (slab.length - at >= size) return;
    slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, size));
    at = 0;
  };
  return {
    encode: (record) => {
      const { operation } = record;
      makeRoom(
        overheadBytesMax + operation.key.length + (operation.kind === "set" ? operation.value.length : 0),
      );
      const start = at;
      at = writeRecord(slab, start, record);
      return slab.subarray(start, at);
    },
    encodeEpoch: (epoch, version) => {
      makeRoom(overheadBytesMax);
      const start = at;
      slab[at++] = 0x83;
      slab[at++] = 3;
      at = writeNumber(slab, writeNumber(slab, at, epoch), version);
      return slab.subarray(start, at);
    },
  };
};

const writeRecord = (target: Buffer, start: number, { epoch, version, operation }: Record): number => {
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

/** A frame of the next entries of a walk: about `bytesMax` bytes, more only where a single entry has more. */
export const encodeEntries = (walk: Iterator<Entry>, bytesMax: number): EntriesFrame => {
  let target = Buffer.allocUnsafeSlow(bytesMax + overheadBytesMax);
  let at = 0;
  for (let entries = 0; ; entries++) {
    if (at >= bytesMax) return { frame: target.subarray(0, at), entries, done: false };
    const next = walk.next();
    if (next.done === true) return { frame: target.subarray(0, at), entries, done: true };
    const { key, value, expiresAtMs } = next.value;
    const size = overheadBytesMax + key.length + value.length;
    if (target.length - at < size) target = Buffer.concat([target.subarray(0, at)], at + size);
    target[at++] = 0x84;
    target[at++] = 0;
    at = writeBytes(target, at, key);
    at = writeBytes(target, at, value);
    at = writeNumber(target, at, expiresAtMs ?? 0);
  }
};

export type EntriesFrame = { readonly frame: Uint8Array; readonly entries: number; readonly done: boolean };

const writeBytes = (target: Buffer, start: number, bytes: Uint8Array): number => {
  const at = writeHeader(target, start, { major: 2, argument: bytes.length });
  target.set(bytes, at);
  return at + bytes.length;
};

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
  if (argument < 24) return target.writeUInt8(first | argument, at);
  if (argument < 0x100) return target.writeUInt8(argument, target.writeUInt8(first | 24, at));
  if (argument < 0x1_0000) return target.writeUInt16BE(argument, target.writeUInt8(first | 25, at));
  return target.writeUInt32BE(argument, target.writeUInt8(first | 26, at));
};
