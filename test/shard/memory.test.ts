import test from "ava";
import fc from "fast-check";
import { epoch, shardId } from "../../core/ids.ts";
import { evictedPerTurnMax } from "../../core/limits.ts";
import type { Request, Result } from "../../core/request.ts";
import { evictions, usualSettings, type Eviction } from "../../core/settings.ts";
import { storeShareOf } from "../../shard/container.ts";
import { emptyHolding } from "../../shard/holding.ts";
import { createJournal } from "../../shard/journal.ts";
import { follow, unlimited } from "../../shard/memory.ts";
import { apply } from "../../shard/store/store.ts";
import { activate, step, type Writer } from "../../shard/writer.ts";
import { takenRecords } from "../support/shardRecords.ts";
import { createSmallStore } from "../support/shardStore.ts";
import { get, increment, remove, set } from "../support/shardClient.ts";

const MiB = 1024 * 1024;

type World = {
  readonly writer: Writer<number>;
  /** The results, and the keys that records deleted without being asked to. */
  readonly ask: (...requests: readonly Request[]) => readonly Result[];
  readonly evictMore: () => number;
};

const worldOf = (memoryMaxBytes: number | null, eviction: Eviction = "noeviction"): World => {
  const usage = unlimited();
  follow(usage, { ...usualSettings, memoryMaxBytes, eviction }, null);
  const journal = createJournal();
  const holding = emptyHolding(shardId(0), createSmallStore());
  const writer = activate<number>(holding, epoch(1), { journal, isFull: false, usage });
  journal.take();
  const copy = createSmallStore();
  const carry = (event: Parameters<typeof step<number>>[1]): readonly Result[] => {
    const effects = [
      ...step(writer, event),
      ...step(writer, { kind: "durable", through: writer.holding.version }),
    ];
    for (const { operation } of takenRecords(journal)) apply(copy, operation);
    if (copy.keys() !== writer.holding.store.keys()) throw new Error("the records make another store");
    return effects.flatMap((effect) => (effect.kind === "reply" ? effect.results : []));
  };
  return {
    writer,
    ask: (...requests) => carry({ kind: "requests", to: 1, requests, refused: [], wallMs: 1_000 }),
    evictMore: () => {
      const before = usage.evictedKeys;
      carry({ kind: "evict", wallMs: 1_000 });
      return usage.evictedKeys - before;
    },
  };
};
const codeOf = (result: Result | undefined): string | undefined =>
  result?.kind === "error" ? result.code : result?.kind;
const big = "x".repeat(200);

test("without eviction writes that may grow are refused at the limit; reads and deletes go on", (t) => {
  const { ask, writer } = worldOf(10_000);
  let written = 0;
  while (codeOf(ask(set(`key:${written}`, big))[0]) === "set") written++;
  t.true(written > 20 && written < 50, `${written}`);
  t.true(writer.holding.store.usedBytes() > 10_000 && writer.holding.store.usedBytes() < 10_500);
  t.deepEqual(ask(set("key:0", "1"), increment("n"), get("key:1"), remove("key:1")).map(codeOf), [
    ...["out-of-memory", "out-of-memory", "value", "deleted"],
  ]);
  t.is(codeOf(ask(set("key:0", "1"))[0]), "set");
  t.is(writer.usage.evictedKeys, 0);
  t.is(writer.usage.refusedWrites, 3);
});

test("with eviction the store stays at its limit, each evicted key leaves by a record of its own", (t) => {
  const { ask, writer } = worldOf(10_000, "allkeys-lru");
  for (let i = 0; i < 500; i++) {
    t.is(codeOf(ask(set(`key:${i}`, big))[0]), "set");
    t.true(writer.holding.store.usedBytes() < 10_500);
  }
  t.is(writer.holding.store.keys() + writer.usage.evictedKeys, 500);
  t.true(writer.holding.store.keys() > 20);
});

test("a volatile policy refuses where no key expires", (t) => {
  for (const eviction of ["volatile-lru", "volatile-random", "volatile-ttl"] as const) {
    const { ask, writer } = worldOf(10_000, eviction);
    for (let i = 0; i < 60; i++) ask(set(`key:${i}`, big));
    const { evictedKeys } = writer.usage;
    t.is(evictedKeys, 0);
    t.is(codeOf(ask(set("more", "1"))[0]), "out-of-memory");
    ask(remove("key:0"), remove("key:1"));
    t.is(codeOf(ask(set("temporary", big, { expiry: { kind: "in", ms: 5_000 } }))[0]), "set");
    for (let i = 0; i < 10; i++) ask(set(`new:${i}`, big));
    t.is(writer.usage.evictedKeys, 1, eviction);
    t.is(writer.holding.store.expiring(), 0);
  }
});

test("when the limit is lowered, bounded steps bring the store below it, and writes go on meanwhile", (t) => {
  const { ask, writer, evictMore } = worldOf(null, "allkeys-random");
  const count = evictedPerTurnMax * 4;
  for (let i = 0; i < count; i += 1_000)
    ask(...Array.from({ length: 1_000 }, (_, n) => set(`key:${i + n}`, "value")));
  t.is(evictMore(), 0);
  const full = writer.holding.store.usedBytes();
  follow(writer.usage, { ...usualSettings, memoryMaxBytes: full / 8, eviction: "allkeys-random" }, null);
  let before = full;
  let steps = 0;
  while (writer.holding.store.usedBytes() > full / 8) {
    t.is(codeOf(ask(set(`new:${steps}`, "value"))[0]), "set");
    t.true(writer.holding.store.usedBytes() < before);
    before = writer.holding.store.usedBytes();
    t.true(evictMore() <= evictedPerTurnMax);
    steps++;
  }
  t.true(steps >= 2 && steps < 10, `${steps}`);
});

test("what cannot be evicted as fast as it is written is refused", (t) => {
  const { ask, writer } = worldOf(MiB, "allkeys-random");
  for (let i = 0; i < 12_000; i += 1_000)
    ask(...Array.from({ length: 1_000 }, (_, n) => set(`key:${i + n}`, "value")));
  const huge = set("huge", "x".repeat(200_000));
  const frame = Array.from({ length: 40 }, (_, n) => ({ ...huge, key: Buffer.from(`huge:${n}`) }));
  const results = ask(...frame).map(codeOf);
  t.is(results[0], "set");
  t.is(results.at(-1), "out-of-memory");
  t.true(writer.holding.store.usedBytes() < 1.4 * MiB, `${writer.holding.store.usedBytes()}`);
});

test("a container's limit leaves the process its share; what the cluster says comes first", (t) => {
  const usage = unlimited();
  follow(usage, usualSettings, null);
  t.is(usage.maxBytes, Infinity);
  follow(usage, usualSettings, 1024 * MiB);
  t.is(usage.maxBytes, 672 * MiB);
  follow(usage, { ...usualSettings, memoryMaxBytes: 100 * MiB, eviction: "volatile-ttl" }, 1024 * MiB);
  t.deepEqual([usage.maxBytes, usage.eviction], [100 * MiB, "volatile-ttl"]);
  t.is(storeShareOf(128 * MiB), 32 * MiB);
});

test("whatever is asked, under any policy the store is within its limit, and its records make the same store", (t) => {
  const request = fc.oneof(
    fc
      .record({ n: fc.nat(60), size: fc.nat(300), ms: fc.option(fc.integer({ min: 1, max: 9_000 })) })
      .map(({ n, size, ms }) =>
        set(`key:${n}`, "x".repeat(size), ms === null ? {} : { expiry: { kind: "in", ms } }),
      ),
    fc.nat(60).map((n) => get(`key:${n}`)),
    fc.nat(60).map((n) => remove(`key:${n}`)),
  );
  const frames = fc.array(fc.array(request, { minLength: 1, maxLength: 20 }), { maxLength: 40 });
  fc.assert(
    fc.property(fc.constantFrom(...evictions), frames, (eviction, all) => {
      const { ask, writer } = worldOf(5_000, eviction);
      for (const frame of all) {
        for (const result of ask(...frame)) t.not(codeOf(result), "bad-argument");
        t.true(writer.holding.store.usedBytes() < 5_000 + 1_000);
      }
    }),
    { numRuns: 100 },
  );
});
