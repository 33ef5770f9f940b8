import test from "ava";
import { epoch, version } from "../../core/ids.ts";
import { encodeRecord, type Operation } from "../../core/record.ts";
import { applyItems } from "../../shard/items.ts";
import { bytesOf } from "../support/shardBytes.ts";
import { createSmallStore } from "../support/shardStore.ts";

const records = (operations: readonly Operation[]): Buffer =>
  Buffer.concat(
    operations.map((operation, i) => encodeRecord({ epoch: epoch(1), version: version(i + 1), operation })),
  );
const set = (key: string, value: string, expiresAtMs: number | null = null): Operation => ({
  ...{ kind: "set", key: bytesOf(key), value: bytesOf(value) },
  expiresAtMs,
});
const accept = (): null => null;
const wholeOf = (bytes: Uint8Array) => ({ bytes, from: 0, to: bytes.length });

test("items are carried out in order, many or few", (t) => {
  const store = createSmallStore();
  const many = Array.from({ length: 1_000 }, (_, i) =>
    set(`key ${i % 90}`, `value ${i}`, i === 950 ? 9 : null),
  );
  const bytes = records([...many, { kind: "delete", key: bytesOf("key 3") }]);
  t.deepEqual(applyItems(store, wholeOf(bytes), accept), { end: bytes.length, problem: null });
  t.is(store.keys(), 89);
  t.is(store.get(bytesOf("key 3")), undefined);
  // 999 is 9 more than 11 times 90.
  t.deepEqual(store.get(bytesOf("key 9")), { value: bytesOf("value 999"), expiresAtMs: null });
  t.deepEqual(store.get(bytesOf("key 50")), { value: bytesOf("value 950"), expiresAtMs: 9 });
});

test("what comes before an item that is refused or not sound is carried out, and nothing else", (t) => {
  const sound = records([set("a", "1"), set("b", "2")]);
  const bytes = Buffer.concat([sound, Buffer.from([0xff])]);
  const store = createSmallStore();
  const { end, problem } = applyItems(store, wholeOf(bytes), accept);
  t.is(end, sound.length);
  t.regex(problem ?? "", /Cannot read the message/);
  t.is(store.keys(), 2);

  const other = createSmallStore();
  const refuseSecond = applyItems(other, wholeOf(sound), (item) => (item.version === 2 ? "no" : null));
  t.deepEqual(refuseSecond, { end: records([set("a", "1")]).length, problem: "no" });
  t.deepEqual([other.keys(), other.get(bytesOf("b"))], [1, undefined]);
});

test("an item that reaches beyond the piece is not carried out", (t) => {
  const store = createSmallStore();
  const bytes = records([set("a", "1"), set("b", "2")]);
  const { end, problem } = applyItems(store, { bytes, from: 0, to: bytes.length - 1 }, accept);
  t.deepEqual([end, problem, store.keys()], [records([set("a", "1")]).length, "it is cut off", 1]);
});
