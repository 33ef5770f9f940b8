import test from "ava";
import fc from "fast-check";
import { slot } from "../../../core/ids.ts";
import { slotOf } from "../../../core/slot.ts";
import { oldSecondsMax } from "../../../shard/store/eviction.ts";
import type { Store } from "../../../shard/store/store.ts";
import { bytesOf, stringOf } from "../../support/shardBytes.ts";
import { createSmallStore } from "../../support/shardStore.ts";

const value = bytesOf("value");
const fill = (store: Store, count: number, name = (i: number): string => `key:${i}`): void => {
  for (let i = 0; i < count; i++) store.set(bytesOf(name(i)), value, null);
};
const evict = (store: Store, policy: Parameters<Store["victim"]>[0]): string | undefined => {
  const key = store.victim(policy);
  if (key === undefined) return undefined;
  store.delete(key);
  return stringOf(key) ?? "";
};

test("get, set and seek are uses; what only looks is none", (t) => {
  const store = createSmallStore();
  const [a, b, c] = [bytesOf("a"), bytesOf("b"), bytesOf("c")];
  for (const key of [a, b, c]) store.set(key, value, null);
  store.tick(10);
  t.deepEqual(
    [a, b, c].map((key) => store.idleSeconds(key)),
    [10, 10, 10],
  );
  store.get(a);
  store.seek(b, slotOf(b));
  store.expiryOf(c);
  for (const walk = store.walk(); walk.next().done !== true;);
  while (store.compact(100));
  t.deepEqual(
    [a, b, c].map((key) => store.idleSeconds(key)),
    [0, 0, 10],
  );
  store.set(c, value, null);
  t.is(store.idleSeconds(c), 0);
  t.is(store.idleSeconds(bytesOf("d")), undefined);
});

test("an age is counted exactly for hours, and then held: an old key never looks young", (t) => {
  const store = createSmallStore();
  fill(store, 500, (i) => (i % 2 === 0 ? `{a}${i}` : `key:${i}`));
  const key = bytesOf("{a}0");
  for (let seconds = 1; seconds < 120_000; seconds += 7) {
    store.tick(seconds);
    const idle = store.idleSeconds(key) ?? -1;
    if (idle !== Math.min(seconds, oldSecondsMax)) t.is(idle, Math.min(seconds, oldSecondsMax));
  }
  for (let i = 0; i < 500; i++)
    t.is(store.idleSeconds(bytesOf(i % 2 === 0 ? `{a}${i}` : `key:${i}`)), oldSecondsMax);
});

test("each key is drawn as often as any other, whatever slot it is in", (t) => {
  const store = createSmallStore();
  // 300 keys in one slot, 100 in slots of their own.
  fill(store, 300, (i) => `{tag}${i}`);
  fill(store, 100);
  const counts = new Map<string, number>();
  for (let i = 0; i < 200_000; i++) {
    const key = stringOf(store.draw()) ?? "";
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  t.is(counts.size, 400);
  // 500 are expected; the deviation is 22.
  for (const [key, count] of counts) t.true(count > 360 && count < 640, `${key}: ${count}`);
});

test("the least recently used go first, about", (t) => {
  const store = createSmallStore();
  fill(store, 2_000);
  store.tick(100);
  for (let i = 0; i < 1_000; i++) store.get(bytesOf(`key:${i}`));
  store.tick(101);
  let young = 0;
  for (let i = 0; i < 500; i++) {
    const key = evict(store, "allkeys-lru") ?? "";
    if (Number(key.slice(4)) < 1_000) young++;
  }
  // One of five drawn is old, but where all five are young: (2/3)^5 at the end, about a twentieth in all.
  t.true(young < 60, `${young} of 500 were used lately`);
});

test("volatile policies give up keys that expire only; volatile-ttl in the order in which they do", (t) => {
  const store = createSmallStore();
  fill(store, 100);
  t.is(store.victim("noeviction"), undefined);
  for (const policy of ["volatile-lru", "volatile-random", "volatile-ttl"] as const)
    t.is(store.victim(policy), undefined);
  for (let i = 0; i < 90; i++)
    store.set(bytesOf(`temporary:${(i * 37) % 90}`), value, 1_000 + ((i * 37) % 90));
  const order = Array.from({ length: 30 }, () => evict(store, "volatile-ttl"));
  t.deepEqual(
    order,
    order.map((_, i) => `temporary:${i}`),
  );
  for (const policy of ["volatile-lru", "volatile-random"] as const)
    for (let i = 0; i < 30; i++) t.regex(evict(store, policy) ?? "", /^temporary:/);
  t.is(store.keys(), 100);
  for (let i = 0; i < 50; i++) t.truthy(evict(store, "allkeys-random"));
  t.is(store.keys(), 50);
});

test("whatever is set, deleted and dropped, all keys can be evicted and each is there", (t) => {
  const operation = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("set" as const), n: fc.nat(80) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete" as const), n: fc.nat(80) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), n: fc.nat(80) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact" as const), n: fc.nat(2_000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("tick" as const), n: fc.nat(40_000) }) },
  );
  const name = (n: number): Uint8Array => bytesOf(n % 3 === 0 ? `{a}${n}` : `key:${n}`);
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200, size: "max" }), (operations) => {
      const store = createSmallStore();
      let seconds = 0;
      for (const { kind, n } of operations) {
        if (kind === "set") store.set(name(n), new Uint8Array(n), n % 2 === 0 ? n : null);
        else if (kind === "delete") store.delete(name(n));
        else if (kind === "drop") store.dropSlot(slot(slotOf(name(n))));
        else if (kind === "compact") store.compact(n);
        else store.tick((seconds += n));
      }
      const policies = ["allkeys-lru", "volatile-ttl", "allkeys-random", "volatile-lru"] as const;
      for (let i = 0; store.keys() > 0; i++) {
        const before = store.usedBytes();
        const key = store.victim(policies[i % 4] ?? "allkeys-lru");
        if (key === undefined) continue;
        t.true(store.delete(key));
        t.true(store.usedBytes() < before);
      }
      t.is(store.usedBytes(), 0);
      t.is(store.draw(), undefined);
    }),
    { numRuns: 150 },
  );
});
