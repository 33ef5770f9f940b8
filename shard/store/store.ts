import type { Entry, Operation } from "../../core/record.ts";

/**
 * What a shard holds: keys with a value and perhaps an instant at which they expire. A store decides nothing: an expired
 * key stays until somebody deletes it. What goes in is copied, so that no caller's buffer is kept.
 */
export type Store = {
  readonly get: (key: Uint8Array) => Stored | undefined;
  /** The instant at which the key expires, null for never, undefined where there is no such key. */
  readonly expiryOf: (key: Uint8Array) => number | null | undefined;
  readonly set: (key: Uint8Array, value: Uint8Array, expiresAtMs: number | null) => void;
  /** Whether the key was there. */
  readonly delete: (key: Uint8Array) => boolean;
  readonly clear: () => void;
  readonly keys: () => number;
  /** Bytes of all keys and values. */
  readonly bytes: () => number;
  /** Up to `max` keys that expire at or before `wallMs`, the earliest first. They stay until they are deleted. */
  readonly expired: (wallMs: number, max: number) => readonly Uint8Array[];
  /**
   * Every key that is there now and is not deleted before the walk comes to it, each as it is when it is taken. Keys
   * may be set and deleted meanwhile; the walk ends after as many steps as there were keys when it began.
   */
  readonly walk: () => Iterator<Entry>;
};

export type Stored = { readonly value: Uint8Array; readonly expiresAtMs: number | null };

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
