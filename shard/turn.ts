import { version, type Epoch, type MapVersion, type Slot } from "../core/ids.ts";
import type { Operation } from "../core/record.ts";
import type { Holding } from "./holding.ts";
import type { Journal } from "./journal.ts";
import type { Usage } from "./memory.ts";
import { apply, type KeyRange, type Stored } from "./store/store.ts";
import type { BodyRecord, SetPieces } from "./replication/recordEncoder.ts";
import { touch, type Watches } from "./watches.ts";

/** What one event sees and changes: the newest state, at one instant. Whoever decides a write decides it in a turn. */
export type Turn = {
  readonly holding: Holding;
  readonly epoch: Epoch;
  readonly wallMs: number;
  /** Takes what is written, in order. */
  readonly journal: Journal;
  /** The volume has no room: what would make it fuller is refused. */
  readonly isFull: boolean;
  /** Fewer readers are in sync than writes need: they are refused. */
  readonly isShort: boolean;
  /** Hears of every key that is written. */
  readonly watches: Watches;
  readonly usage: Usage;
  /** Keys evicted so far. */
  evicted: number;
};

/** Carries out an operation and makes its record. Key and value may be views: of the store, or of what a client sent. */
export const write = (turn: Turn, operation: Operation): void => {
  // The record first: what it is made of may be a view of the store.
  record(turn, operation);
  apply(turn.holding.store, operation);
};

/** Makes the record of an operation that the store carries out besides. Key and value are what they were in it. */
export const record = (turn: Turn, operation: Operation): void => {
  append(turn, operation);
  touch(turn.watches, operation.key);
};

/** The record of a key that had expired and that the store removes besides. Nobody hears of it: it has been gone since it expired. */
export const recordExpired = (turn: Turn, key: Uint8Array): void => {
  append(turn, { kind: "delete", key });
};

const append = ({ holding, epoch, journal }: Turn, operation: Operation): void => {
  holding.version = version(holding.version + 1);
  holding.bytes += journal.add(epoch, holding.version, operation);
};

/** The same of a set, whose epoch and version are filled in. */
export const recordSet = ({ holding, epoch, journal, watches }: Turn, set: SetPieces): void => {
  holding.version = version(holding.version + 1);
  set.epoch = epoch;
  set.version = holding.version;
  holding.bytes += journal.addSet(set);
  if (watches.size > 0) touch(watches, set.key.bytes.subarray(set.key.from, set.key.to));
};

/** The same of a set or a delete that came from elsewhere, whose epoch and version are filled in. Nobody watches its key. */
export const recordBody = ({ holding, epoch, journal }: Turn, record: BodyRecord): void => {
  holding.version = version(holding.version + 1);
  record.epoch = epoch;
  record.version = holding.version;
  holding.bytes += journal.addBody(record);
};

/** Deletes all keys of a slot that is not the shard's own, with one record. */
export const dropSlot = ({ holding, epoch, journal }: Turn, slot: Slot): void => {
  holding.version = version(holding.version + 1);
  holding.bytes += journal.drop({ epoch, version: holding.version }, slot);
  holding.store.dropSlot(slot);
};

/** Records that the slots are those of a version of the map. */
export const enterMap = ({ holding, epoch, journal }: Turn, mapVersion: MapVersion): void => {
  holding.version = version(holding.version + 1);
  holding.bytes += journal.map({ epoch, version: holding.version }, mapVersion);
  holding.mapVersion = mapVersion;
};

/**
 * What the key holds, unless it has expired. A copy: it goes into answers, which are made after the rest of the turn may
 * have changed the store.
 */
export const live = ({ holding, wallMs }: Turn, key: Uint8Array): Stored | undefined => {
  const stored = holding.store.get(key);
  if (stored === undefined || hasExpired(stored.expiresAtMs, wallMs)) return undefined;
  return { value: new Uint8Array(stored.value), expiresAtMs: stored.expiresAtMs };
};

/** The same for who only reads: counted. */
export const look = (turn: Turn, key: Uint8Array): Stored | undefined => {
  const stored = live(turn, key);
  countLook(turn, stored !== undefined);
  return stored;
};

export const countLook = ({ usage }: Turn, isThere: boolean): void => {
  if (isThere) usage.hits++;
  else usage.misses++;
};

/**
 * Looks a key up in the store, by where its bytes lie, and answers whether it is there and has not expired. What the store
 * says of the sought key is good until something else is sought.
 */
export const seekLive = ({ holding, wallMs }: Turn, key: KeyRange): boolean => {
  const { store } = holding;
  return store.seekRange(key) && !hasExpired(store.expiresAtMs(), wallMs);
};

export const isThere = ({ holding, wallMs }: Turn, key: Uint8Array): boolean => {
  const expiresAtMs = holding.store.expiryOf(key);
  return expiresAtMs !== undefined && !hasExpired(expiresAtMs, wallMs);
};

export const lookThere = (turn: Turn, key: Uint8Array): boolean => {
  const found = isThere(turn, key);
  countLook(turn, found);
  return found;
};

/** Deletes the key; whether it was there. One that expired is still in the store: its record is written, so that it is gone. */
export const remove = (turn: Turn, key: Uint8Array): boolean => {
  const expiresAtMs = turn.holding.store.expiryOf(key);
  if (expiresAtMs === undefined) return false;
  if (hasExpired(expiresAtMs, turn.wallMs)) {
    removeExpired(turn, key);
    return false;
  }
  write(turn, { kind: "delete", key });
  return true;
};

/** Removes a key that has expired. */
export const removeExpired = (turn: Turn, key: Uint8Array): void => {
  recordExpired(turn, key);
  apply(turn.holding.store, { kind: "delete", key });
};

/** A key is gone from the instant at which it expires, whether or not its record has been removed. */
export const hasExpired = (expiresAtMs: number | null, wallMs: number): boolean =>
  expiresAtMs !== null && expiresAtMs <= wallMs;
