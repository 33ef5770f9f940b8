import { badMessage } from "./cbor.ts";
import { createCborReader, takeArray, takeCount, takeKey, takeValue, type CborReader } from "./cborReader.ts";
import { epoch, mapVersion, slot, slotCount, version } from "./ids.ts";
import type { Epoch, MapVersion, Slot, Version } from "./ids.ts";

/**
 * Walks records and entries (core/record.ts) in their bytes, without allocating: a frame of the stream, a piece of a log
 * or of a snapshot. One cursor is used for any number of walks:
 *
 *     for (let at = 0; at < bytes.length;) {
 *       at = cursor.next(bytes, at);
 *       … cursor.opcode, cursor.version, cursor.keyStart …
 *     }
 */
export type RecordCursor = {
  readonly opcode: RecordOpcode;
  /** 0 for an entry. */
  readonly epoch: Epoch;
  /** 0 for an entry. */
  readonly version: Version;
  /** Offsets into the bytes; start and end are the same where there is no key. */
  readonly keyStart: number;
  readonly keyEnd: number;
  /** Start and end are the same where there is no value, and where it is empty. */
  readonly valueStart: number;
  readonly valueEnd: number;
  /** Milliseconds since 1970; 0: never. */
  readonly expiresAtMs: number;
  /** Of a map record; means nothing elsewhere. */
  readonly mapVersion: MapVersion;
  /** Of a record that drops a slot; means nothing elsewhere. */
  readonly slot: Slot;
  /** Where what follows the place begins: key, value and expiry, with their headers, are the same bytes in an entry and in a set. */
  readonly bodyStart: number;
  /** Where the item begins and ends. */
  readonly start: number;
  readonly end: number;
  /**
   * Reads the item at `at` and returns the offset behind it. Everything is checked: definite lengths, as many elements as
   * the operation has, the limits of keys and values. Throws `bad-message`, also where the item is cut off; the fields mean
   * nothing then.
   */
  readonly next: (bytes: Uint8Array, at: number) => number;
};

/** The first element of an item: what it is. */
export type RecordOpcode = 0 | 1 | 2 | 3 | 4 | 5;
/** `[0, key, value, expiresAtMs | 0]` */
export const entryOpcode = 0;
/** `[1, epoch, version, key, value, expiresAtMs | 0]` */
export const setOpcode = 1;
/** `[2, epoch, version, key]` */
export const deleteOpcode = 2;
/** `[3, epoch, version]`: an epoch begins; no key changes. */
export const epochOpcode = 3;
/** `[4, epoch, version, mapVersion]`: the shard's slots are those of this version of the map; no key changes. */
export const mapOpcode = 4;
/** `[5, epoch, version, slot]`: all keys of a slot are deleted, which is not the shard's own. */
export const dropOpcode = 5;

export const createRecordCursor = (): RecordCursor => {
  const reader = createCborReader();
  const cursor: Fields = {
    ...{ opcode: entryOpcode, epoch: epoch(0), version: version(0) },
    ...{ keyStart: 0, keyEnd: 0, valueStart: 0, valueEnd: 0, expiresAtMs: 0, start: 0, end: 0 },
    ...{ mapVersion: mapVersion(0), slot: slot(0), bodyStart: 0 },
    next: (bytes, at) => {
      reader.bytes = bytes;
      reader.at = at;
      takeItem(cursor, reader);
      return cursor.end;
    },
  };
  return cursor;
};

type Fields = { -readonly [Name in keyof RecordCursor]: RecordCursor[Name] };

/** The offset of the first item at or behind `at` that is a record above `version`; the end of the bytes where there is none. */
export const skipRecords = (
  cursor: RecordCursor,
  bytes: Uint8Array,
  { at, version }: { readonly at: number; readonly version: Version },
): number => {
  for (let next = at; next < bytes.length;) {
    next = cursor.next(bytes, next);
    if (cursor.version > version) return cursor.start;
  }
  return bytes.length;
};

const takeItem = (cursor: Fields, reader: CborReader): void => {
  cursor.start = reader.at;
  const elements = takeArray(reader, "a record");
  const opcode = elements === 0 ? -1 : takeCount(reader, "a record's operation");
  switch (opcode) {
    case entryOpcode:
      expect(elements, 4);
      cursor.opcode = entryOpcode;
      cursor.epoch = noEpoch;
      cursor.version = noVersion;
      takeItsKey(cursor, reader);
      takeItsValue(cursor, reader);
      break;
    case setOpcode:
      expect(elements, 6);
      cursor.opcode = setOpcode;
      takePlace(cursor, reader);
      takeItsKey(cursor, reader);
      takeItsValue(cursor, reader);
      break;
    case deleteOpcode:
      expect(elements, 4);
      cursor.opcode = deleteOpcode;
      takePlace(cursor, reader);
      takeItsKey(cursor, reader);
      withoutValue(cursor, reader);
      break;
    case epochOpcode:
      expect(elements, 3);
      cursor.opcode = epochOpcode;
      takePlace(cursor, reader);
      withoutKey(cursor, reader);
      break;
    case mapOpcode:
      expect(elements, 4);
      cursor.opcode = mapOpcode;
      takePlace(cursor, reader);
      cursor.mapVersion = mapVersion(takeBelow(reader, "a map version", Number.MAX_SAFE_INTEGER));
      withoutKey(cursor, reader);
      break;
    case dropOpcode:
      expect(elements, 4);
      cursor.opcode = dropOpcode;
      takePlace(cursor, reader);
      cursor.slot = slot(takeBelow(reader, "a slot", slotCount));
      withoutKey(cursor, reader);
      break;
    default:
      throw badMessage("a record has an unknown operation");
  }
  cursor.end = reader.at;
};

const noEpoch = epoch(0);
const noVersion = version(0);

const expect = (elements: number, wanted: number): void => {
  if (elements === wanted) return;
  throw badMessage(`a record has ${elements} elements, its operation has ${wanted}`);
};

const takePlace = (cursor: Fields, reader: CborReader): void => {
  const e = takeCount(reader, "a record's epoch");
  const ver = takeCount(reader, "a record's version");
  if (e === Number.MAX_SAFE_INTEGER || ver === Number.MAX_SAFE_INTEGER)
    throw badMessage("a record's epoch or version is out of range");
  cursor.epoch = epoch(e);
  cursor.version = version(ver);
};

const takeBelow = (reader: CborReader, what: string, limit: number): number => {
  const n = takeCount(reader, what);
  if (n >= limit) throw badMessage(`${what} is out of range`);
  return n;
};

const takeItsKey = (cursor: Fields, reader: CborReader): void => {
  cursor.bodyStart = reader.at;
  takeKey(reader);
  cursor.keyStart = reader.start;
  cursor.keyEnd = reader.at;
};

const takeItsValue = (cursor: Fields, reader: CborReader): void => {
  takeValue(reader);
  cursor.valueStart = reader.start;
  cursor.valueEnd = reader.at;
  cursor.expiresAtMs = takeCount(reader, "an expiry in milliseconds");
};

const withoutKey = (cursor: Fields, reader: CborReader): void => {
  cursor.keyStart = reader.at;
  cursor.keyEnd = reader.at;
  withoutValue(cursor, reader);
};

const withoutValue = (cursor: Fields, reader: CborReader): void => {
  cursor.valueStart = reader.at;
  cursor.valueEnd = reader.at;
  cursor.expiresAtMs = 0;
};
