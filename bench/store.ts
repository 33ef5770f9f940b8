import { randomBytes } from "node:crypto";
import { slotOf } from "../core/slot.ts";
import { slotCount, slot, type Slot } from "../core/ids.ts";
import { createSegmentStore } from "../shard/store/segmentStore.ts";
import type { Store } from "../shard/store/store.ts";

/**
 * The store by itself: operations a second, resident bytes per key, memory after 90 % of the keys are deleted, expiry, and
 * the longest single call. 16-byte keys, 100-byte values. Usage: node bench/store.ts [keys …]
 */
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1_000_000, 10_000_000];
const opsPerRound = 1_000_000;
const rounds = 5;
const value = Buffer.alloc(100, 120);
const compactedBytes = 256 * 1024;

const rss = (): number => process.memoryUsage.rss();
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const millions = (n: number): string => (n / 1e6).toFixed(2);

/** `key:000000000042`. */
const writeKey = (target: Uint8Array, n: number): void => {
  for (let at = 15, rest = n; at >= 4; at--, rest = Math.floor(rest / 10)) target[at] = 48 + (rest % 10);
};

const emptyKey = (): Uint8Array => Buffer.from("key:000000000000");

/** Seconds of processor time, so that what else the machine does changes little. */
const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** Keys in random order, made beforehand, with their slots. */
type Load = { readonly keys: Buffer; readonly slots: Uint16Array };
const randomLoad = (keyCount: number): Load => {
  const keys = Buffer.alloc(opsPerRound * 16);
  const slots = new Uint16Array(opsPerRound);
  const random = randomBytes(opsPerRound * 4);
  const key = emptyKey();
  for (let i = 0; i < opsPerRound; i++) {
    writeKey(key, random.readUInt32LE(i * 4) % keyCount);
    keys.set(key, i * 16);
    slots[i] = slotOf(key);
  }
  return { keys, slots };
};

/** The median and the best round, in operations a second of processor time. The copy of the key is part of it. */
const measure = (what: string, { keys, slots }: Load, run: (key: Uint8Array, slot: Slot) => void): void => {
  const key = emptyKey();
  const rates = Array.from({ length: rounds }, () => {
    const from = cpuSeconds();
    for (let i = 0; i < opsPerRound; i++) {
      for (let at = 0; at < 16; at++) key[at] = keys[i * 16 + at] ?? 0;
      run(key, slot(slots[i] ?? 0));
    }
    return opsPerRound / (cpuSeconds() - from);
  }).sort((a, b) => a - b);
  console.log(
    `  ${what.padEnd(34)} ${millions(rates[rounds >> 1] ?? 0)} M/s (best ${millions(rates.at(-1) ?? 0)})`,
  );
};

/** Runs `turn` until it answers false; the longest call in milliseconds. */
const longest = (turn: () => boolean): { readonly longestMs: number; readonly calls: number } => {
  let longestMs = 0;
  let calls = 0;
  for (let goesOn = true; goesOn; calls++) {
    const from = performance.now();
    goesOn = turn();
    longestMs = Math.max(longestMs, performance.now() - from);
  }
  return { longestMs, calls };
};

const fill = (store: Store, keyCount: number): void => {
  const key = emptyKey();
  let longestMs = 0;
  const start = cpuSeconds();
  for (let from = 0; from < keyCount; from += 100) {
    const started = performance.now();
    for (let n = from; n < from + 100; n++) {
      writeKey(key, n);
      store.set(key, value, null);
    }
    longestMs = Math.max(longestMs, performance.now() - started);
    // As the run loop does between turns.
    if (from % 10_000 === 0) store.compact(compactedBytes);
  }
  const took = cpuSeconds() - start;
  console.log(
    `  fill (new keys, with their slots)   ${millions(keyCount / took)} M/s, longest 100 sets ${longestMs.toFixed(2)} ms`,
  );
};

const bench = async (keyCount: number): Promise<void> => {
  console.log(`${keyCount} keys`);
  const bare = rss();
  const store = createSegmentStore({ seed: { low: 123_456_789, high: 987_654_321 } });
  fill(store, keyCount);
  while (store.compact(compactedBytes));
  const peak = rss();
  const { liveBytes, deadBytes } = store.memory();
  console.log(
    `  resident ${((peak - bare) / keyCount).toFixed(1)} bytes a key, the whole process ${(peak / keyCount).toFixed(1)}; counted ${(liveBytes / keyCount).toFixed(1)}, dead ${(deadBytes / keyCount).toFixed(1)}`,
  );
  const load = randomLoad(keyCount);
  const target = Buffer.alloc(1024);
  let read = 0;
  measure("seek", load, (key, slot) => {
    if (store.seek(key, slot)) read++;
  });
  measure("seek, copy the value out", load, (key, slot) => {
    if (store.seek(key, slot)) read += store.copyValue(target, 0);
  });
  measure("seek, view of the value", load, (key, slot) => {
    if (store.seek(key, slot)) read += store.value().length;
  });
  measure("get (slot and object included)", load, (key) => {
    read += store.get(key)?.value.length ?? 0;
  });
  measure("seek, put in place", load, (key, slot) => {
    store.seek(key, slot);
    store.put(value, null);
  });
  const sizesOf = Array.from({ length: 64 }, (_, i) => Buffer.alloc(60 + i * 2, 120));
  let turn = 0;
  measure("seek, put of changing size", load, (key, slot) => {
    store.seek(key, slot);
    store.put(sizesOf[(turn * 7) & 63] ?? value, null);
    if (++turn % 1_000 === 0) store.compact(compactedBytes);
  });
  measure("delete, set", load, (key, slot) => {
    store.seek(key, slot);
    store.remove();
    store.put(value, null);
    if (++turn % 1_000 === 0) store.compact(compactedBytes);
  });
  const walked = cpuSeconds();
  let entries = 0;
  const walk = store.walk();
  while (walk.next().done !== true) entries++;
  console.log(`  walk                               ${millions(entries / (cpuSeconds() - walked))} M/s`);
  await shrink(store, keyCount);
  expiry(store, keyCount);
  let dropMs = 0;
  for (let at = 0; at < slotCount; at++) {
    const from = performance.now();
    store.dropSlot(slot(at));
    dropMs = Math.max(dropMs, performance.now() - from);
  }
  console.log(`  dropSlot: longest ${dropMs.toFixed(2)} ms; ${store.keys()} keys left, read ${read > 0}`);
  while (store.compact(compactedBytes));
};

/** Deletes 90 %, then compacts turn by turn. */
const shrink = async (store: Store, keyCount: number): Promise<void> => {
  const peak = rss();
  const key = emptyKey();
  for (let n = 0; n < keyCount; n++) {
    if (n % 10 === 0) continue;
    writeKey(key, n);
    store.delete(key);
  }
  const from = performance.now();
  let longestMs = 0;
  let turns = 0;
  for (let more = true; more; turns++) {
    const started = performance.now();
    more = store.compact(compactedBytes);
    longestMs = Math.max(longestMs, performance.now() - started);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  console.log(
    `  90 % deleted: ${mib(rss())} of ${mib(peak)} (${((rss() / peak) * 100).toFixed(0)} %) after ${((performance.now() - from) / 1_000).toFixed(2)} s of compaction, ${turns} turns, longest ${longestMs.toFixed(2)} ms`,
  );
};

const expiry = (store: Store, keyCount: number): void => {
  const key = emptyKey();
  const instants = randomBytes(keyCount * 4);
  const from = cpuSeconds();
  for (let n = 0; n < keyCount; n++) {
    writeKey(key, n);
    store.set(key, value, 1e12 + instants.readUInt32LE(n * 4));
  }
  const set = cpuSeconds();
  const { longestMs, calls } = longest(() => {
    const due = store.expired(2e12, 1_000);
    for (const one of due) store.delete(one);
    return due.length > 0;
  });
  console.log(
    `  expiry: set ${millions(keyCount / (set - from))} M/s, removed ${millions(keyCount / (cpuSeconds() - set))} M/s, ${calls} turns of 1000, longest ${longestMs.toFixed(2)} ms`,
  );
};

for (const keyCount of sizes) await bench(keyCount);
