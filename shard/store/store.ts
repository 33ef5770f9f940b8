import type { Slot } from "../../core/ids.ts";
import type { Entry, Operation } from "../../core/record.ts";
import type { Eviction } from "../../core/settings.ts";
import type { Piece } from "./bytes.ts";
import type { EntryRange } from "./entries.ts";

/**
 * What a shard holds: keys (1 byte to 64 KiB) with a value and perhaps an instant at which they expire. A store decides nothing: an expired
 * key stays until somebody deletes it. What goes in is copied, so that no caller's buffer is kept.
 *
 * **What comes out is a view** of the store's own memory: it is good until something is next set, deleted, cleared or
 * compacted. Who needs a value longer copies it. Only what `expired` gives is the caller's own.
 */
export type Store = {
  readonly get: (key: Uint8Array) => Stored | undefined;
  /** The instant at which the key expires, null for never, undefined where there is no such key. */
  readonly expiryOf: (key: Uint8Array) => number | null | undefined;
  /** The value may be a view of this store. */
  readonly set: (key: Uint8Array, value: Uint8Array, expiresAtMs: number | null) => void;
  /** Whether the key was there. */
  readonly delete: (key: Uint8Array) => boolean;
  readonly clear: () => void;
  readonly keys: () => number;
  /** Bytes of all keys and values. */
  readonly bytes: () => number;
  /** Up to `max` keys that expire at or before `wallMs`, as copies. They stay until they are deleted. */
  readonly expired: (wallMs: number, max: number) => readonly Uint8Array[];
  /**
   * Slot by slot, every key that is there now and is not deleted before the walk comes to it, each as it is when it is
   * taken. Keys may be set and deleted meanwhile; a new one is met or not. The walk ends whatever is written: within a slot
   * it goes on in an order that no write changes.
   */
  readonly walk: () => Iterator<Entry>;
  /**
   * In the order of memory, which is far less work than `walk`: every key that is there now and is neither written nor
   * deleted before it is met, at least once, each as it is when it is met. Others are met or not. It ends whatever is
   * written. Who does not go on to its end has to end it.
   */
  readonly sweep: () => Sweep;

  /**
   * Looks a key up, with no allocation; `slot` must be its slot. That is a use of the key. What follows is about this key, until the next call that
   * takes a key. The key's bytes must not change before then. Answers whether it is there.
   */
  readonly seek: (key: Uint8Array, slot: Slot) => boolean;
  /** The same of a key that is a part of `bytes`. The object itself may be changed afterwards, not the bytes. */
  readonly seekRange: (key: KeyRange) => boolean;
  /**
   * Fetches what seeking these keys will look at: the processor waits for the memory of many at once, and not of one after the
   * other. Notes their hashes. Changes nothing.
   */
  readonly foresee: (keys: KeyBatch) => void;
  /**
   * About so many keys will have come, of all slots alike, before this is called again with 0: what grows has room for its share from
   * the beginning. Nothing depends on it but how long that takes.
   */
  readonly expect: (keys: number) => void;
  /** A view of the sought key's value. Throws where the key is not there, as the next two do. */
  readonly value: () => Uint8Array;
  readonly valueBytes: () => number;
  /** Writes the sought key's value into `target`; answers where it ends. */
  readonly copyValue: (target: Uint8Array, at: number) => number;
  /** When the sought key expires; null for never, and where it is not there. */
  readonly expiresAtMs: () => number | null;
  /** Gives the sought key a value, which may be a view of this store. */
  readonly put: (value: Uint8Array, expiresAtMs: number | null) => void;
  /** The same of bytes within others, which are not this store's. */
  readonly putPiece: (value: Piece, expiresAtMs: number | null) => void;
  /** Deletes the sought key. Answers whether it was there. */
  readonly remove: () => boolean;

  readonly slotKeys: (slot: Slot) => number;
  /** Bytes of all keys and values of a slot. */
  readonly slotBytes: (slot: Slot) => number;
  /** As `walk`, of one slot. */
  readonly walkSlot: (slot: Slot) => Iterator<Entry>;
  /**
   * Tells some of a slot's entries, each as it is now: those whose hashes come next, from `hash` on (0: the first), about a
   * hundred or `bytesMax` bytes of keys and values; one at least where there is one. Answers the hash to go on from, null where
   * there are no more. Whatever is written between two calls, a key that is there at both is told. `entry` means nothing after
   * the call.
   */
  readonly visitSlot: (
    slot: Slot,
    next: { readonly hash: number; readonly bytesMax: number },
    visit: (entry: Readonly<EntryRange>) => void,
  ) => number | null;
  /** Deletes all keys of a slot. */
  readonly dropSlot: (slot: Slot) => void;

  /** Keys that have an instant at which they expire. */
  readonly expiring: () => number;
  /** Monotonic whole seconds; to be told at least once a minute. It is what uses are counted in. */
  readonly tick: (seconds: number) => void;
  /** Seconds since the key was last used (by get, set or seek), as eviction.ts counts them; undefined where it is not there. */
  readonly idleSeconds: (key: Uint8Array) => number | undefined;
  /** What the key takes with its place in the index and its deadline, headers included; undefined where it is not there. */
  readonly entryBytes: (key: Uint8Array) => number | undefined;
  /** One of all keys, each as likely as any other, as a copy; undefined where there is none. */
  readonly draw: () => Uint8Array | undefined;
  /** A copy of the key that has to go first; undefined where the policy lets none go. */
  readonly victim: (eviction: Eviction) => Uint8Array | undefined;
  /** What counts against the maximum: bytes of entries, index and deadlines, with headers. `liveBytes` of `memory`. */
  readonly usedBytes: () => number;
  readonly memory: () => StoreMemory;
  /**
   * Moves entries together and gives memory back, about as much as takes as long as copying `bytesMax`. Answers whether
   * there is more to do. Without it, memory of what was deleted or replaced is never used again.
   */
  readonly compact: (bytesMax: number) => boolean;
};

export type Sweep = {
  /** Goes on to the next entry; false where there is none any more, and the sweep has ended. */
  readonly next: () => boolean;
  /** Where that entry lies: good until the store next changes, or `next` is called. */
  readonly entry: Readonly<EntryRange>;
  readonly end: () => void;
};

/** A key: the bytes between `from` and `to`, and their slot. */
export type KeyRange = {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  readonly slot: Slot;
  /** As `foresee` said; undefined where it was not asked. */
  readonly hash: number | undefined;
};

/** Keys in `bytes`, which will be sought soon: where each begins and ends, its slot, and its hash once it was foreseen. */
export type KeyBatch = {
  bytes: Uint8Array;
  count: number;
  readonly froms: Int32Array;
  readonly tos: Int32Array;
  readonly slots: Int32Array;
  readonly hashes: Int32Array;
};

export type Stored = { readonly value: Uint8Array; readonly expiresAtMs: number | null };

/** Bytes outside the JavaScript heap. */
export type StoreMemory = {
  /** Of address space; pages that were never written take no memory. */
  readonly heldBytes: number;
  /** Of entries, index and deadlines, with headers. */
  readonly liveBytes: number;
  /** What compaction can give back. */
  readonly deadBytes: number;
};

/** Carries out a record's operation. */
export const apply = (store: Store, operation: Operation): void => {
  switch (operation.kind) {
    case "set":
      store.set(operation.key, operation.value, operation.expiresAtMs);
      return;
    case "delete":
      store.delete(operation.key);
      return;
  }
};
