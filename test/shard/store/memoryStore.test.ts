import test from "ava";
import fc from "fast-check";
import type { Entry } from "../../../core/record.ts";
import { createMemoryStore } from "../../../shard/store/memoryStore.ts";
import type { Store } from "../../../shard/store/store.ts";
import { bytesOf, stringOf } from "../../support/shardBytes.ts";

const some = fc.constantFrom("a", "b", "c", "dd", "é", "\u0000");
const commands = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant("set" as const),
      key: some,
      value: fc.uint8Array({ maxLength: 40 }),
      expiresAtMs: fc.option(fc.nat(20)),
    }),
    fc.record({ kind: fc.constant("delete" as const), key: some }),
    fc.record({
      kind: fc.constant("expire" as const),
      wallMs: fc.nat(25),
      max: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({ kind: fc.constant("clear" as const) }),
  ),
  { maxLength: 60 },
);

type Model = Map<string, { value: Uint8Array; expiresAtMs: number | null }>;

const contents = (store: Store): [string, { value: Uint8Array; expiresAtMs: number | null }][] => {
  const all: [string, { value: Uint8Array; expiresAtMs: number | null }][] = [];
  const walk = store.walk();
  for (let next = walk.next(); next.done !== true; next = walk.next()) {
    const { key, value, expiresAtMs } = next.value;
    all.push([stringOf(key) ?? "", { value: new Uint8Array(value), expiresAtMs }]);
  }
  return all.sort(([a], [b]) => (a < b ? -1 : 1));
};

test("a store does what a plain map of keys does, with expiry", (t) => {
  fc.assert(
    fc.property(commands, (script) => {
      const store = createMemoryStore();
      const model: Model = new Map();
      for (const command of script) {
        switch (command.kind) {
          case "set":
            store.set(bytesOf(command.key), command.value, command.expiresAtMs);
            model.set(command.key, { value: command.value, expiresAtMs: command.expiresAtMs });
            break;
          case "delete":
            t.is(store.delete(bytesOf(command.key)), model.delete(command.key));
            break;
          case "expire": {
            const due = [...model].filter(
              ([, { expiresAtMs }]) => expiresAtMs !== null && expiresAtMs <= command.wallMs,
            );
            const taken = store.expired(command.wallMs, command.max).map((key) => stringOf(key) ?? "");
            t.is(taken.length, Math.min(due.length, command.max));
            // The earliest first: none that was left is earlier than one that was taken.
            const instants = due.map(([, { expiresAtMs }]) => expiresAtMs ?? 0).sort((a, b) => a - b);
            t.deepEqual(
              taken.map((key) => model.get(key)?.expiresAtMs ?? -1),
              instants.slice(0, command.max),
            );
            for (const key of taken) {
              store.delete(bytesOf(key));
              model.delete(key);
            }
            break;
          }
          case "clear":
            store.clear();
            model.clear();
            break;
        }
      }
      const size = [...model].reduce((sum, [key, { value }]) => sum + bytesOf(key).length + value.length, 0);
      t.is(store.keys(), model.size);
      t.is(store.bytes(), size);
      t.deepEqual(
        contents(store),
        [...model].sort(([a], [b]) => (a < b ? -1 : 1)),
      );
      for (const [key, { value, expiresAtMs }] of model) {
        t.deepEqual(new Uint8Array(store.get(bytesOf(key))?.value ?? []), value);
        t.is(store.expiryOf(bytesOf(key)), expiresAtMs);
      }
    }),
  );
});

test("what is stored does not change with the buffer it came in", (t) => {
  const store = createMemoryStore();
  const frame = bytesOf("keyvalue");
  store.set(frame.subarray(0, 3), frame.subarray(3), null);
  frame.fill(0);
  t.is(stringOf(store.get(bytesOf("key"))?.value), "value");
});

test("a walk ends although keys are deleted and set again all the while, and misses none that stayed", (t) => {
  const store = createMemoryStore();
  for (let i = 0; i < 100; i++) store.set(bytesOf(`key:${i}`), bytesOf("before"), null);
  const walk = store.walk();
  const seen = new Map<string, string | null>();
  let steps = 0;
  for (let next = walk.next(); next.done !== true; next = walk.next()) {
    const entry: Entry = next.value;
    seen.set(stringOf(entry.key) ?? "", stringOf(entry.value));
    // Behind the walk and before it: keys that come back, and new ones.
    store.delete(bytesOf(`key:${steps % 50}`));
    store.set(bytesOf(`key:${steps % 50}`), bytesOf("again"), null);
    store.set(bytesOf(`new:${steps}`), bytesOf("new"), null);
    steps++;
    t.true(steps <= 100);
  }
  for (let i = 50; i < 100; i++) t.is(seen.get(`key:${i}`), "before");
});

test("deadlines that were replaced do not pile up", (t) => {
  const store = createMemoryStore();
  for (let i = 0; i < 100_000; i++) store.set(bytesOf(`key:${i % 10}`), bytesOf(""), i + 1);
  const due = store.expired(100_000, 1_000).map((key) => stringOf(key));
  t.deepEqual(
    due,
    Array.from({ length: 10 }, (_, i) => `key:${i}`),
  );
});
