import type { Entry } from "../../core/record.ts";
import { createExpiryQueue } from "./expiryQueue.ts";
import type { Store } from "./store.ts";

/**
 * Everything in a Map. Keys and values are kept as strings of one character per byte: those lie in the heap as plain
 * bytes behind a short header, where a small buffer of its own would take hundreds of bytes more.
 */
export const createMemoryStore = (): Store => {
  const values = new Map<string, string>();
  // Only keys that expire stand here.
  const expiries = new Map<string, number>();
  const queue = createExpiryQueue(
    (key) => expiries.get(key),
    () => expiries.size,
  );
  let bytes = 0;

  return {
    get: (key) => {
      const name = textOf(key);
      const value = values.get(name);
      return value === undefined
        ? undefined
        : { value: bytesOf(value), expiresAtMs: expiries.get(name) ?? null };
    },
    expiryOf: (key) => {
      const name = textOf(key);
      return values.has(name) ? (expiries.get(name) ?? null) : undefined;
    },
    set: (key, value, expiresAtMs) => {
      const name = textOf(key);
      const before = values.get(name);
      bytes += value.length - (before === undefined ? -name.length : before.length);
      values.set(name, textOf(value));
      if (expiresAtMs !== null) {
        if (expiries.get(name) === expiresAtMs) return;
        expiries.set(name, expiresAtMs);
        queue.add(name, expiresAtMs);
      } else if (expiries.size > 0) {
        expiries.delete(name);
      }
    },
    delete: (key) => {
      const name = textOf(key);
      const before = values.get(name);
      if (before === undefined) return false;
      bytes -= name.length + before.length;
      values.delete(name);
      expiries.delete(name);
      return true;
    },
    clear: () => {
      values.clear();
      expiries.clear();
      queue.clear();
      bytes = 0;
    },
    keys: () => values.size,
    bytes: () => bytes,
    expired: (wallMs, max) => queue.due(wallMs, max).map(bytesOf),
    walk: () => walk(values, expiries),
  };
};

// A Map is iterated in the order in which its keys came; one that is deleted and set again goes to the end. So those that
// have been there since the walk began come first, and there are at most as many as there were then.
function* walk(values: ReadonlyMap<string, string>, expiries: ReadonlyMap<string, number>): Iterator<Entry> {
  let left = values.size;
  for (const [key, value] of values) {
    if (left-- === 0) return;
    yield { key: bytesOf(key), value: bytesOf(value), expiresAtMs: expiries.get(key) ?? null };
  }
}

const textOf = (bytes: Uint8Array): string =>
  (bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).toString(
    "latin1",
  );

const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");
