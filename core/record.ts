import { badMessage, encode, tooLarge } from "./cbor.ts";
import type { Epoch, MapVersion, Slot, Version } from "./ids.ts";
import { frameBytesMax, recordsPerFrameMax } from "./limits.ts";
import { createRecordCursor } from "./recordCursor.ts";

/**
 * A record: one write, as the owner decided it, absolute and never relative, so that replaying it twice changes nothing.
 * Its bytes are made once and go to every reader: `[1, epoch, version, key, value, expiresAtMs | 0]` for a set,
 * `[2, epoch, version, key]` for a delete. An expired key leaves by a delete of its owner.
 */
export type Record = { readonly epoch: Epoch; readonly version: Version; readonly operation: Operation };
export type Operation =
  | {
      readonly kind: "set";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      readonly expiresAtMs: number | null;
    }
  | { readonly kind: "delete"; readonly key: Uint8Array };

/** One key of a full copy: `[0, key, value, expiresAtMs | 0]`. It carries no version: it is as new as the records around it. */
export type Entry = {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly expiresAtMs: number | null;
};

export type Streamed =
  | { readonly kind: "entry"; readonly entry: Entry }
  | { readonly kind: "record"; readonly record: Record; readonly bytes: number };

export const encodeRecord = ({ epoch, version, operation }: Record): Uint8Array => {
  switch (operation.kind) {
    case "set":
      return encode([1, epoch, version, operation.key, operation.value, operation.expiresAtMs ?? 0]);
    case "delete":
      return encode([2, epoch, version, operation.key]);
  }
};

export const encodeEntry = ({ key, value, expiresAtMs }: Entry): Uint8Array =>
  encode([0, key, value, expiresAtMs ?? 0]);

/** `[3, epoch, version]`: an epoch begins at this version; no key changes. */
export const encodeEpoch = (epoch: Epoch, version: Version): Uint8Array => encode([3, epoch, version]);

/** `[4, epoch, version, mapVersion]`: the shard's slots are those of this version of the map; no key changes. */
export const encodeMap = (epoch: Epoch, version: Version, mapVersion: MapVersion): Uint8Array =>
  encode([4, epoch, version, mapVersion]);

/** `[5, epoch, version, slot]`: all keys of a slot are deleted. */
export const encodeDrop = (epoch: Epoch, version: Version, slot: Slot): Uint8Array =>
  encode([5, epoch, version, slot]);

/** Reads a frame of records and entries (a CBOR sequence). Keys and values are views of `frame`. Throws `bad-message` or `too-large`. */
export const decodeStreamed = (frame: Uint8Array): Streamed[] => {
  if (frame.length > frameBytesMax)
    throw tooLarge(`it has ${frame.length} bytes, the maximum is ${frameBytesMax}`);
  const items: Streamed[] = [];
  for (let at = 0; at < frame.length;) {
    if (items.length === recordsPerFrameMax)
      throw tooLarge(`it holds more than ${recordsPerFrameMax} records`);
    at = cursor.next(frame, at);
    items.push(streamed(frame));
  }
  return items;
};

// Used within one call only.
const cursor = createRecordCursor();

const streamed = (frame: Uint8Array): Streamed => {
  const { epoch, version, start, end } = cursor;
  switch (cursor.opcode) {
    case 0:
      return { kind: "entry", entry: entryIn(frame) };
    case 1: {
      const operation: Operation = { kind: "set", ...entryIn(frame) };
      return { kind: "record", record: { epoch, version, operation }, bytes: end - start };
    }
    case 2: {
      const operation: Operation = { kind: "delete", key: frame.subarray(cursor.keyStart, cursor.keyEnd) };
      return { kind: "record", record: { epoch, version, operation }, bytes: end - start };
    }
    case 3:
    case 4:
    case 5:
      throw badMessage(`a record of kind ${cursor.opcode} says nothing of a key`);
  }
};

const entryIn = (frame: Uint8Array): Entry => ({
  key: frame.subarray(cursor.keyStart, cursor.keyEnd),
  value: frame.subarray(cursor.valueStart, cursor.valueEnd),
  expiresAtMs: cursor.expiresAtMs === 0 ? null : cursor.expiresAtMs,
});
