import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { slot, slotCount } from "../../../core/ids.ts";
import { keyBytesMax } from "../../../core/limits.ts";
import type { Entry } from "../../../core/record.ts";
import { slotOf } from "../../../core/slot.ts";
import { createSegmentStore } from "../../../shard/store/segmentStore.ts";
import type { Store, Sweep } from "../../../shard/store/store.ts";
import { bytesOf, stringOf } from "../../support/shardBytes.ts";
import { createSmallStore } from "../../support/shardStore.ts";

type Kept = { value: Uint8Array; expiresAtMs: number | null };
type Model = Map<string, Kept>;

/** The model's own bookkeeping: counted anew each time. */
const sizes = (model: Model) => {
  const bySlot = new Map<number, { keys: number; bytes: number }>();
  let bytes = 0;
  let expiring = 0;
  for (const [key, { value, expiresAtMs }] of model) {
    const at = slotOf(bytesOf(key));
    const before = bySlot.get(at) ?? { keys: 0, bytes: 0 };
    const size = bytesOf(key).length + value.length;
    bySlot.set(at, { keys: before.keys + 1, bytes: before.bytes + size });
    bytes += size;
    if (expiresAtMs !== null) expiring++;
  }
  return { bySlot, bytes, expiring };
};

const taken = ({ key, value, expiresAtMs }: Entry): [string, Kept] => [
  stringOf(key) ?? "",
  { value: new Uint8Array(value), expiresAtMs },
];

const everything = (walk: Iterator<Entry>): [string, Kept][] => {
  const all: [string, Kept][] = [];
  for (let next = walk.next(); next.done !== true; next = walk.next()) all.push(taken(next.value));
  return all.sort(([a], [b]) => (a < b ? -1 : 1));
};

const sorted = (model: Model) => [...model].sort(([a], [b]) => (a < b ? -1 : 1));

/** A few slots that hold many keys, so that tables grow, shrink and wrap around. */
const key = fc.oneof(
  fc.nat(200).map((n) => `{a}${n}`),
  fc.nat(60).map((n) => `{b}${n}`.padEnd(n * 3, "long ")),
  fc.nat(30).map((n) => `key:${n}`),
  fc.constantFrom("x", "é", "\u0000", "\u0000\u0000", "{}", "{a}"),
);
const value = fc.oneof(
  { weight: 6, arbitrary: fc.nat(70).map((n) => new Uint8Array(n).fill(n)) },
  { weight: 2, arbitrary: fc.integer({ min: 100, max: 400 }).map((n) => new Uint8Array(n).fill(n & 255)) },
  // Larger than a segment.
  {
    weight: 1,
    arbitrary: fc.integer({ min: 900, max: 3_000 }).map((n) => new Uint8Array(n).fill(n & 255)),
  },
);
const instant = fc.option(fc.oneof(fc.nat(50), fc.integer({ min: -5, max: 2 ** 50 })));

const command = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant("set" as const), key, value, expiresAtMs: instant }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("delete" as const), key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("keepValue" as const), key, expiresAtMs: instant }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("copy" as const), key, to: key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("expire" as const),
      wallMs: fc.nat(60),
      max: fc.integer({ min: 1, max: 20 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("deleteMost" as const), keep: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("dropSlot" as const), key }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("compact" as const), bytesMax: fc.nat(2_000) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("walk" as const), slotOf: fc.option(key) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("step" as const), steps: fc.nat(30) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("sweep" as const) }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("sweepOn" as const), which: fc.nat(3), steps: fc.nat(12) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("endSweep" as const), which: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("clear" as const), really: fc.nat(5) }) },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** A walk that goes on: which keys it still has to meet, and which it has met. */
type Walk = { readonly walk: Iterator<Entry>; readonly missing: Set<string>; readonly met: Set<string> };
/** Which keys a sweep still has to meet. */
type Swept = { readonly sweep: Sweep; readonly missing: Set<string> };
type World = {
  readonly t: ExecutionContext;
  readonly store: Store;
  readonly model: Model;
  walks: Walk[];
  sweeps: Swept[];
};

const sweepOn = ({ t, model }: World, { sweep, missing }: Swept, steps: number): boolean => {
  for (let i = 0; i < steps; i++) {
    if (!sweep.next()) {
      t.is(missing.size, 0, "every key that was there and was left alone is met");
      t.false(sweep.next());
      return false;
    }
    const { bytes, keyFrom, valueFrom, valueTo, expiresAtMs } = sweep.entry;
    const key = stringOf(bytes.subarray(keyFrom, valueFrom)) ?? "";
    const met = { value: new Uint8Array(bytes.subarray(valueFrom, valueTo)), expiresAtMs };
    t.deepEqual(met, model.get(key), "a key is met as it is now");
    missing.delete(key);
  }
  return true;
};

/** Sweeps may miss what is written meanwhile. */
const remember = ({ model, sweeps }: World, key: string, kept: Kept): void => {
  for (const { missing } of sweeps) missing.delete(key);
  model.set(key, kept);
};

const forget = ({ model, walks, sweeps }: World, key: string): boolean => {
  for (const { missing } of sweeps) missing.delete(key);
  for (const { missing } of walks) missing.delete(key);
  return model.delete(key);
};

const step = (world: World, { walk, missing, met }: Walk, steps: number): boolean => {
  const { t, model } = world;
  for (let i = 0; i < steps; i++) {
    const next = walk.next();
    if (next.done === true) {
      t.is(missing.size, 0, "every key that was there and stayed is met");
      return false;
    }
    const [key, kept] = taken(next.value);
    t.deepEqual(kept, model.get(key), "a key is told as it is now");
    t.false(met.has(key), "no key is told twice");
    met.add(key);
    missing.delete(key);
  }
  return true;
};

const run = (world: World, command: Command): void => {
  const { t, store, model } = world;
  switch (command.kind) {
    case "set":
      store.set(bytesOf(command.key), command.value, command.expiresAtMs);
      remember(world, command.key, { value: command.value, expiresAtMs: command.expiresAtMs });
      return;
    case "delete":
      t.is(store.delete(bytesOf(command.key)), forget(world, command.key));
      return;
    case "keepValue": {
      const bytes = bytesOf(command.key);
      const kept = model.get(command.key);
      t.is(store.seek(bytes, slotOf(bytes)), kept !== undefined);
      if (kept === undefined) return;
      t.is(store.expiresAtMs(), kept.expiresAtMs);
      store.put(store.value(), command.expiresAtMs);
      remember(world, command.key, { value: kept.value, expiresAtMs: command.expiresAtMs });
      return;
    }
    case "copy": {
      const kept = model.get(command.key);
      const view = store.get(bytesOf(command.key));
      if (kept === undefined || view === undefined) return;
      store.set(bytesOf(command.to), view.value.subarray(view.value.length >> 1), null);
      remember(world, command.to, { value: kept.value.slice(kept.value.length >> 1), expiresAtMs: null });
      return;
    }
    case "expire": {
      const due = sorted(model).filter(([, one]) => (one.expiresAtMs ?? Infinity) <= command.wallMs);
      const keys = store.expired(command.wallMs, command.max);
      t.is(keys.length, Math.min(due.length, command.max));
      t.is(new Set(keys.map((key) => stringOf(key))).size, keys.length);
      for (const key of keys) {
        t.true((model.get(stringOf(key) ?? "")?.expiresAtMs ?? Infinity) <= command.wallMs);
        t.true(store.delete(key));
        forget(world, stringOf(key) ?? "");
      }
      return;
    }
    case "deleteMost":
      for (const key of [...model.keys()].slice(command.keep)) {
        t.true(store.delete(bytesOf(key)));
        forget(world, key);
      }
      return;
    case "dropSlot": {
      const at = slotOf(bytesOf(command.key));
      store.dropSlot(at);
      for (const key of [...model.keys()]) if (slotOf(bytesOf(key)) === at) forget(world, key);
      return;
    }
    case "compact":
      store.compact(command.bytesMax);
      return;
    case "walk": {
      const at = command.slotOf === null ? null : slotOf(bytesOf(command.slotOf));
      const missing = [...model.keys()].filter((key) => at === null || slotOf(bytesOf(key)) === at);
      const walk = at === null ? store.walk() : store.walkSlot(at);
      world.walks.push({ walk, missing: new Set(missing), met: new Set() });
      return;
    }
    case "step":
      world.walks = world.walks.filter((walk) => step(world, walk, command.steps));
      return;
    case "sweep":
      if (world.sweeps.length < 4)
        world.sweeps.push({ sweep: store.sweep(), missing: new Set(model.keys()) });
      return;
    case "sweepOn": {
      const swept = world.sweeps[command.which];
      if (swept !== undefined && !sweepOn(world, swept, command.steps))
        world.sweeps = world.sweeps.filter((one) => one !== swept);
      return;
    }
    case "endSweep":
      for (const { sweep } of world.sweeps.splice(command.which, 1)) sweep.end();
      return;
    case "clear":
      if (command.really !== 0) return;
      store.clear();
      for (const key of [...model.keys()]) forget(world, key);
      return;
  }
};

test("a store does what a plain map does, whatever grows, moves and is walked meanwhile", (t) => {
  fc.assert(
    fc.property(fc.array(command, { minLength: 1, maxLength: 300, size: "max" }), (script) => {
      const world: World = { t, store: createSmallStore(), model: new Map(), walks: [], sweeps: [] };
      const { store, model } = world;
      for (const command of script) {
        run(world, command);
        const { bySlot, bytes, expiring } = sizes(model);
        t.is(store.keys(), model.size);
        t.is(store.bytes(), bytes);
        t.is(store.expiring(), expiring);
        for (const [at, of] of bySlot)
          t.deepEqual({ keys: store.slotKeys(slot(at)), bytes: store.slotBytes(slot(at)) }, of);
        const { heldBytes, liveBytes, deadBytes } = store.memory();
        t.true(liveBytes >= bytes && liveBytes + deadBytes <= heldBytes);
      }
      for (const swept of world.sweeps) t.false(sweepOn(world, swept, Infinity));
      for (const walk of world.walks) t.false(step(world, walk, Infinity));
      t.deepEqual(everything(store.walk()), sorted(model));
      for (const [key, kept] of model) {
        const stored = store.get(bytesOf(key));
        t.deepEqual(new Uint8Array(stored?.value ?? []), kept.value);
        t.is(stored?.expiresAtMs, kept.expiresAtMs);
        t.is(store.expiryOf(bytesOf(key)), kept.expiresAtMs);
      }
      while (store.compact(500));
      const { liveBytes, deadBytes } = store.memory();
      t.true(deadBytes <= liveBytes / 2, "compaction ends with little to gain");
      t.deepEqual(everything(store.walk()), sorted(model));
      for (let at = 0; at < slotCount; at++) store.dropSlot(slot(at));
      t.deepEqual([store.keys(), store.bytes(), store.memory().liveBytes], [0, 0, 0]);
    }),
    { numRuns: 150 },
  );
});

test("what is stored does not change with the buffer it came in", (t) => {
  const store = createSmallStore();
  const frame = bytesOf("keyvalue");
  store.set(frame.subarray(0, 3), frame.subarray(3), null);
  frame.fill(0);
  t.is(stringOf(store.get(bytesOf("key"))?.value), "value");
});

test("a walk ends although keys are deleted and set again all the while, and misses none that stayed", (t) => {
  const store = createSmallStore();
  for (let i = 0; i < 100; i++) store.set(bytesOf(`{t}key:${i}`), bytesOf("before"), null);
  const walk = store.walk();
  const seen = new Map<string, string | null>();
  let steps = 0;
  for (let next = walk.next(); next.done !== true; next = walk.next()) {
    seen.set(stringOf(next.value.key) ?? "", stringOf(next.value.value));
    // Behind the walk and before it: keys that come back, and new ones.
    store.delete(bytesOf(`{t}key:${steps % 50}`));
    store.set(bytesOf(`{t}key:${steps % 50}`), bytesOf("again"), null);
    store.set(bytesOf(`{t}new:${steps}`), bytesOf("new"), null);
    store.compact(300);
    steps++;
    t.true(steps <= 10_000);
  }
  for (let i = 50; i < 100; i++) t.is(seen.get(`{t}key:${i}`), "before");
});

test("a sweep meets all that is left alone, and no more than there was, whatever is written and moved between its steps", (t) => {
  for (const perStep of [1, 3, 20]) {
    // Segments of 1 KiB. Every third key is left alone.
    const store = createSmallStore();
    const keyCount = 600;
    const name = (i: number): string => `key:${i}`;
    const value = (i: number): Uint8Array => new Uint8Array(i % 40 === 0 ? 700 : i % 90).fill(i);
    for (let i = 0; i < keyCount; i++) store.set(bytesOf(name(i)), value(i), null);
    const sweeps = [store.sweep(), store.sweep()];
    const met = sweeps.map(() => new Map<string, number>());
    let written = 0;
    let steps = 0;
    // One of them takes ten steps where the other takes one.
    for (let going = 2; going > 0;) {
      for (let i = 0; i < perStep; i++, written++) {
        const n = (written * 7919) % keyCount;
        if (n % 3 !== 0) store.set(bytesOf(name(n)), value(n + 1), null);
      }
      for (let i = 0; i < perStep; i++) store.compact(400);
      going = 0;
      for (const [which, sweep] of sweeps.entries()) {
        if (which === 1 && steps % 10 !== 0) {
          going++;
          continue;
        }
        if (!sweep.next()) continue;
        going++;
        const { bytes, keyFrom, valueFrom } = sweep.entry;
        const key = stringOf(bytes.subarray(keyFrom, valueFrom)) ?? "";
        met[which]?.set(key, (met[which].get(key) ?? 0) + 1);
      }
      steps++;
      t.true(steps < keyCount * 30, "it ends");
    }
    for (const of of met) for (let i = 0; i < keyCount; i += 3) t.true((of.get(name(i)) ?? 0) > 0);
    // The slower one never meets a key that was left alone again.
    for (let i = 0; i < keyCount; i += 3) t.is(met[1]?.get(name(i)), 1);
    while (store.compact(1_000));
  }
});

test("sweeps that begin one after the other, while objects are carried for those before, miss nothing either", (t) => {
  // Keys of every fourth are left alone; a sweep begins every 150 steps, each slower than the one before.
  const store = createSmallStore();
  const keyCount = 400;
  const name = (i: number): string => `key:${i}`;
  for (let i = 0; i < keyCount; i++) store.set(bytesOf(name(i)), new Uint8Array(i % 90).fill(i), null);
  const sweeps: { readonly sweep: Sweep; readonly every: number; readonly missing: Set<string> }[] = [];
  let ended = 0;
  let written = 0;
  for (let step = 0; step < 12_000; step++) {
    if (step % 150 === 0 && step < 3_000) {
      const alone = Array.from({ length: keyCount / 4 }, (_, i) => name(i * 4));
      sweeps.push({ sweep: store.sweep(), every: 1 + (sweeps.length % 5), missing: new Set(alone) });
    }
    for (let i = 0; i < 4; i++, written++) {
      const n = (written * 7919) % keyCount;
      if (n % 4 !== 0) store.set(bytesOf(name(n)), new Uint8Array((n + written) % 90), null);
      store.compact(300);
    }
    for (const { sweep, every, missing } of sweeps) {
      if (step % every !== 0) continue;
      if (sweep.next()) {
        const { bytes, keyFrom, valueFrom } = sweep.entry;
        missing.delete(stringOf(bytes.subarray(keyFrom, valueFrom)) ?? "");
      } else if (missing.size === 0) ended++;
      else t.fail(`missed ${[...missing].join(" ")}`);
    }
  }
  t.true(ended > 0);
  t.true(sweeps.every(({ missing }) => missing.size === 0));
});

test("values of 64 MiB and keys of 64 KiB are kept whole, and their memory goes back", (t) => {
  const store = createSegmentStore({ seed: { low: 3, high: 4 } });
  const longKey = new Uint8Array(keyBytesMax).fill(107);
  const hugeBytes = 64 * 1024 * 1024;
  const huge = new Uint8Array(hugeBytes);
  for (let i = 0; i < hugeBytes; i += 4_096) huge[i] = i >> 12;
  store.set(bytesOf("small"), bytesOf("small"), null);
  store.set(longKey, huge, 5);
  store.set(longKey, huge, 2 ** 45);
  t.is(Buffer.compare(store.get(longKey)?.value ?? new Uint8Array(0), huge), 0);
  t.is(store.expiryOf(longKey), 2 ** 45);
  t.is(store.get(longKey.subarray(1)), undefined);
  t.is(store.slotBytes(slotOf(longKey)), keyBytesMax + hugeBytes);
  t.true(store.delete(longKey));
  while (store.compact(1_000));
  // Three segments, and a chunk of deadlines.
  t.true(store.memory().heldBytes <= (3 * 32 + 48) * 1024 * 1024);
  t.is(stringOf(store.get(bytesOf("small"))?.value), "small");
});

test("deadlines that were replaced leave nothing behind", (t) => {
  const store = createSmallStore();
  for (let i = 0; i < 100_000; i++) store.set(bytesOf(`key:${i % 10}`), bytesOf(""), i + 1);
  t.is(store.expiring(), 10);
  const due = store.expired(100_000, 1_000).map((key) => stringOf(key));
  t.deepEqual(
    due.sort(),
    Array.from({ length: 10 }, (_, i) => `key:${i}`),
  );
});

test("memory goes back when most keys are deleted, in steps that are bounded", (t) => {
  const store = createSegmentStore({ seed: { low: 3, high: 4 }, unitBits: 13, slackBytes: 0 });
  for (let i = 0; i < 50_000; i++) store.set(bytesOf(`key:${i}`), new Uint8Array(100), null);
  const full = store.memory().heldBytes;
  for (let i = 0; i < 50_000; i++) if (i % 10 !== 0) store.delete(bytesOf(`key:${i}`));
  let steps = 0;
  while (store.compact(16 * 1024)) steps++;
  t.true(steps > 50);
  t.true(store.memory().heldBytes < full * 0.2, `${store.memory().heldBytes} of ${full}`);
  for (let i = 0; i < 50_000; i += 10) t.is(store.get(bytesOf(`key:${i}`))?.value.length, 100);
});

test("a sought key that compaction may have moved is not there to be read any more", (t) => {
  const store = createSmallStore();
  store.set(bytesOf("a"), bytesOf("1"), null);
  t.true(store.seek(bytesOf("a"), slotOf(bytesOf("a"))));
  t.is(store.copyValue(new Uint8Array(4), 2), 3);
  store.compact(1);
  t.throws(() => store.value());
  t.throws(() => {
    store.put(bytesOf("2"), null);
  });
});

test("keys are found, or not, as foresight or nobody said their hash", (t) => {
  const store = createSmallStore();
  const count = 64;
  const names = Array.from({ length: count }, (_, i) => `key ${i}`);
  for (const name of names.filter((_, i) => i % 3 > 0)) store.set(bytesOf(name), bytesOf(`of ${name}`), null);
  const bytes = Buffer.from(names.join(""));
  const ahead = {
    ...{ bytes, count, froms: new Int32Array(count), tos: new Int32Array(count) },
    ...{ slots: new Int32Array(count), hashes: new Int32Array(count) },
  };
  let at = 0;
  for (const [i, name] of names.entries()) {
    ahead.froms[i] = at;
    ahead.tos[i] = at += name.length;
    ahead.slots[i] = slotOf(bytesOf(name));
  }
  store.foresee(ahead);
  for (const [i, name] of names.entries()) {
    const [from = 0, to = 0] = [ahead.froms[i], ahead.tos[i]];
    for (const hash of [ahead.hashes[i], undefined]) {
      t.is(store.seekRange({ bytes, from, to, slot: slotOf(bytesOf(name)), hash }), i % 3 > 0);
      if (i % 3 > 0) t.is(stringOf(store.value()), `of ${name}`);
    }
    if (i % 3 > 0) continue;
    // A key that is not there is made of its part of the bytes.
    store.put(bytesOf("new"), null);
    t.is(stringOf(store.get(bytesOf(name))?.value), "new");
  }
});

test("large values share large segments, hold about what they have, and give it back at once when they go", (t) => {
  // Segments of 64 KiB; objects of more than 16 KiB are large.
  const store = createSegmentStore({ seed: { low: 3, high: 4 }, unitBits: 13, slackBytes: 0 });
  const empty = store.memory().heldBytes;
  const sizes = [17_000, 33_000, 70_000, 140_000, 20_000];
  let bytes = 0;
  for (let i = 0; i < 500; i++) {
    const value = new Uint8Array(sizes[i % sizes.length] ?? 0).fill(i);
    bytes += value.length;
    store.set(bytesOf(`key:${i}`), value, null);
  }
  const full = store.memory().heldBytes - empty;
  t.true(full < bytes + 300_000, `${full} held for ${bytes}`);
  for (let i = 0; i < 500; i++) {
    const value = store.get(bytesOf(`key:${i}`))?.value;
    t.is(value?.length, sizes[i % sizes.length]);
    t.true(value?.every((byte) => byte === i % 256));
  }
  // Overwritten over and over, without a step of compaction in between.
  for (let i = 0; i < 1_000; i++) store.set(bytesOf("key:0"), new Uint8Array(100_000 + i * 8), null);
  t.true(store.memory().heldBytes - empty < bytes + 600_000);
  for (let i = 0; i < 500; i++) if (i % 10 !== 0) store.delete(bytesOf(`key:${i}`));
  while (store.compact(16 * 1024));
  t.true(store.memory().heldBytes - empty < bytes * 0.2, `${store.memory().heldBytes}`);
  for (let i = 10; i < 500; i += 10) t.is(store.get(bytesOf(`key:${i}`))?.value[0], i % 256);
});

test("bytes are kept as they were, wherever they lay and whatever their number", (t) => {
  const store = createSmallStore();
  const source = Uint8Array.from({ length: 512 }, (_, i) => (i * 37) & 255);
  for (let keyBytes = 1; keyBytes <= 20; keyBytes++)
    for (let valueBytes = 0; valueBytes <= 180; valueBytes += 1 + (valueBytes >> 4))
      for (let offset = 0; offset < 4; offset++) {
        // Views, and parts of the end of a larger piece, behind which nothing may be read.
        const to = source.length - offset;
        const from = to - valueBytes;
        const expiresAtMs = offset === 3 ? 1_000 : null;
        const key = source.subarray(offset, offset + keyBytes);
        store.seek(key, slotOf(key));
        store.putPiece({ bytes: source, from, to }, expiresAtMs);
        t.deepEqual(store.get(key), { value: source.slice(from, to), expiresAtMs });
        store.set(key, source.subarray(offset, offset + valueBytes), null);
        t.deepEqual(store.get(key)?.value, source.slice(offset, offset + valueBytes));
      }
});
