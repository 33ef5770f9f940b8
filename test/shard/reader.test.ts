import test from "ava";
import { epoch, mapVersion, shardId, version } from "../../core/ids.ts";
import { sessionWaitMsMax, waitingReadsMax } from "../../core/limits.ts";
import { encodeEntry, encodeEpoch, encodeRecord } from "../../core/record.ts";
import type { Request } from "../../core/request.ts";
import type { ToReader } from "../../core/message.ts";
import { emptyHolding } from "../../shard/holding.ts";
import { createReader, step, type Reader, type ReaderEffect } from "../../shard/reader.ts";
import { lagOf } from "../../shard/reads.ts";
import { createSmallStore } from "../support/shardStore.ts";
import { bytesOf } from "../support/shardBytes.ts";
import { get, session, textOf } from "../support/shardClient.ts";

const at = (nowMs: number, wallMs = 1_000_000 + nowMs) => ({ nowMs, wallMs });
const history = [{ epoch: epoch(1), startVersion: version(0) }];
const record = (v: number, e = 1): Uint8Array =>
  encodeRecord({
    ...{ epoch: epoch(e), version: version(v) },
    operation: { kind: "set", key: bytesOf("a"), value: bytesOf(String(v)), expiresAtMs: null },
  });
const begin = (v: number, e: number): Uint8Array => encodeEpoch(epoch(e), version(v));
const recordBytes = record(6).length;
const entry = (key: string, value: string): Uint8Array =>
  encodeEntry({ key: bytesOf(key), value: bytesOf(value), expiresAtMs: null });
const streamed = (...items: readonly Uint8Array[]) => ({
  kind: "streamed" as const,
  bytes: Buffer.concat(items),
});
const mark = (v: number, e = 1) =>
  ({ kind: "mark", epoch: epoch(e), version: version(v), bytes: v * recordBytes, seq: 0 }) as const;

const copying = {
  kind: "copying",
  epoch: epoch(1),
  version: version(3),
  bytes: 30,
  keys: 2,
  history,
  mapVersion: mapVersion(1),
} as const;
const tell = (reader: Reader<string>, message: ToReader, now = at(0)) =>
  step(reader, { kind: "message", message, now });
const goOn = (reader: Reader<string>, e = 1) =>
  tell(reader, { kind: "continue", epoch: epoch(e), version: reader.holding.version });

/** A reader that has been told to copy, and got the head of the copy and an entry. */
const copyingReader = (): Reader<string> => {
  const reader = createReader<string>(emptyHolding(shardId(0), createSmallStore()), 0);
  step(reader, { kind: "connected" });
  tell(reader, { kind: "copyFirst" });
  tell(reader, copying);
  step(reader, { kind: "entries", bytes: entry("a", "4") });
  return reader;
};

/** A reader that has copied a shard of two keys, begun at version 3 and whole at version 5, and streams. */
const streamingReader = (): Reader<string> => {
  const reader = copyingReader();
  step(reader, { kind: "entries", bytes: entry("b", "5") });
  tell(reader, { kind: "copied", version: version(5) });
  goOn(reader);
  step(reader, { ...streamed(record(4), record(5)), now: at(0) });
  reader.holding.bytes = 5 * recordBytes;
  reader.known = { version: version(5), bytes: 5 * recordBytes };
  tell(reader, mark(5));
  return reader;
};
const read = (reader: Reader<string>, requests: readonly Request[], now = at(0)) =>
  step(reader, { kind: "reads", to: "x", requests, refused: [], lagMsMax: 1_000, now });
const texts = (effects: readonly ReaderEffect<string>[]) =>
  effects.flatMap((effect) => (effect.kind === "result" ? [[effect.index, textOf(effect.result)]] : []));
const kinds = (effects: readonly ReaderEffect<string>[]) => effects.map(({ kind }) => kind);

test("a reader without a copy asks for one; one with a copy says where it stands", (t) => {
  const empty = createReader<string>(emptyHolding(shardId(0), createSmallStore()), 0);
  t.deepEqual(step(empty, { kind: "connected" }), [
    { kind: "resync", place: { epoch: epoch(0), version: version(0) } },
  ]);
  const reader = streamingReader();
  step(reader, { kind: "disconnected" });
  t.deepEqual(step(reader, { kind: "connected" }), [
    { kind: "resync", place: { epoch: epoch(1), version: version(5) } },
  ]);
});

test("a copy is taken on a second connection, and is whole with the records up to where it ended", (t) => {
  const reader = createReader<string>(emptyHolding(shardId(0), createSmallStore()), 0);
  step(reader, { kind: "connected" });
  t.deepEqual(kinds(tell(reader, { kind: "copyFirst" })), ["askCopy"]);
  t.deepEqual(kinds(tell(reader, copying)), ["copyBegins"]);
  t.deepEqual(kinds(step(reader, { kind: "entries", bytes: entry("a", "4") })), ["copied"]);
  t.deepEqual(reader.copy, { kind: "entries", copied: 1, total: 2 });
  t.deepEqual(tell(reader, { kind: "copied", version: version(5) }), [
    { kind: "resync", place: { epoch: epoch(1), version: version(3) } },
  ]);
  t.deepEqual(kinds(goOn(reader)), ["ack"]);
  t.deepEqual(kinds(step(reader, { ...streamed(record(4)), now: at(1) })), ["applied"]);
  t.false(reader.holding.complete);
  t.deepEqual(kinds(step(reader, { ...streamed(record(5), record(6)), now: at(1) })), [
    "applied",
    "copyEnds",
    "ack",
  ]);
  t.true(reader.holding.complete);
  t.is(reader.copy, null);
});

test("a copy during which nothing was written is whole at its end", (t) => {
  const reader = copyingReader();
  const effects = tell(reader, { kind: "copied", version: version(3) });
  t.deepEqual(kinds(effects), ["copyEnds", "ack", "resync"]);
  t.true(reader.holding.complete);
});

test("a copy that was cut off in the middle begins anew; the stream may come and go meanwhile", (t) => {
  const reader = copyingReader();
  step(reader, { kind: "disconnected" });
  t.deepEqual(step(reader, { kind: "connected" }), [], "the copy comes first");
  step(reader, { kind: "copyLost" });
  t.deepEqual(reader.copy, { kind: "asked" });
  t.deepEqual(step(reader, { kind: "entries", bytes: entry("z", "1") }), []);
  t.deepEqual(kinds(tell(reader, { ...copying, version: version(9) })), ["copyBegins"]);
  t.is(reader.holding.store.keys(), 0);
  t.is(reader.holding.version, version(9));
  t.false(reader.holding.complete);

  t.deepEqual(kinds(step(reader, { kind: "sourceGone" })), ["copyFails"]);
  t.deepEqual(step(reader, { kind: "connected" }), [
    { kind: "resync", place: { epoch: epoch(0), version: version(0) } },
  ]);
});

test("records that the source does not know of are said when its copy takes their place", (t) => {
  const reader = streamingReader();
  reader.holding.history = [...history, { epoch: epoch(2), startVersion: version(4) }];
  reader.holding.epoch = epoch(2);
  reader.link = "probing";
  tell(reader, { kind: "copyFirst" });
  const others = [...history, { epoch: epoch(3), startVersion: version(3) }];
  const copy = { ...copying, epoch: epoch(3), version: version(8), history: others };
  t.deepEqual(tell(reader, copy), [{ kind: "copyBegins", quarantineFrom: version(4) }]);
});

test("a copy that its volume could not keep is taken once more", (t) => {
  const reader = copyingReader();
  tell(reader, { kind: "copied", version: version(3) });
  t.deepEqual(kinds(step(reader, { kind: "copyUnkept" })), ["reconnect"]);
  step(reader, { kind: "disconnected" });
  t.like(step(reader, { kind: "connected" })[0], { place: { version: version(0) } });
});

test("records are applied in order, and what was applied is handed on as it came", (t) => {
  const reader = streamingReader();
  const frame = streamed(record(6), record(7));
  t.deepEqual(step(reader, { ...frame, now: at(1) }), [
    { kind: "applied", batch: { bytes: frame.bytes, first: version(6), last: version(7) } },
  ]);
  t.is(reader.holding.version, version(7));
  t.is(reader.holding.bytes, 7 * recordBytes);
});

test("what does not follow breaks the stream off; what came before it stays, nothing after it is applied", (t) => {
  for (const wrong of [record(8), record(6), record(7, 2), begin(7, 1), entry("a", "1"), bytesOf("x")]) {
    const reader = streamingReader();
    const effects = step(reader, { ...streamed(record(6), wrong, record(7)), now: at(1) });
    t.deepEqual(kinds(effects), ["applied", "reconnect"]);
    t.like(effects[0], { batch: { first: version(6), last: version(6) } });
    t.is(reader.holding.version, version(6));
    t.deepEqual(kinds(step(reader, { ...streamed(record(7)), now: at(1) })), ["reconnect"]);
    t.is(reader.holding.version, version(6));
  }
});

test("what a source may not say breaks the stream off", (t) => {
  const messages = [
    { kind: "continue", epoch: epoch(1), version: version(5) },
    { kind: "copyFirst" },
    mark(4),
    mark(5, 0),
  ] as const;
  for (const message of messages) {
    const reader = streamingReader();
    t.deepEqual(kinds(tell(reader, message, at(1))), ["reconnect"], JSON.stringify(message));
    t.true(reader.holding.complete);
  }
  const reader = streamingReader();
  t.deepEqual(kinds(tell(reader, copying)), ["copyFails", "reconnect"], "a copy that was not asked for");
  t.is(reader.holding.store.keys(), 2);
  const old = createReader<string>(reader.holding, 0);
  reader.holding.epoch = epoch(2);
  step(old, { kind: "connected" });
  tell(old, { kind: "copyFirst" });
  t.deepEqual(kinds(tell(old, copying)), ["copyFails", "reconnect"], "a copy of an older epoch");
  t.throws(() => step(copyingReader(), { kind: "entries", bytes: record(6) }), { code: "bad-message" });
});

test("an epoch begins with its record, and from then on records are of it", (t) => {
  const reader = streamingReader();
  step(reader, { kind: "disconnected" });
  step(reader, { kind: "connected" });
  t.deepEqual(kinds(goOn(reader, 3)), ["ack"]);
  step(reader, { ...streamed(record(6), begin(7, 3), record(8, 3)), now: at(1) });
  t.is(reader.holding.version, version(8));
  t.is(reader.holding.epoch, epoch(3));
  t.deepEqual(reader.holding.history, [...history, { epoch: epoch(3), startVersion: version(6) }]);
  t.deepEqual(kinds(step(reader, { ...streamed(record(9)), now: at(1) })), ["reconnect"]);
});

test("the lag counts from the newest mark that is covered", (t) => {
  const reader = streamingReader();
  t.deepEqual(lagOf(reader, 40), { versions: 0, bytes: 0, ms: 40 });
  step(reader, { kind: "message", message: mark(5), now: at(100) });
  t.is(lagOf(reader, 140).ms, 40);
  step(reader, { kind: "message", message: mark(8), now: at(200) });
  step(reader, { kind: "message", message: mark(9), now: at(300) });
  t.deepEqual(lagOf(reader, 340), { versions: 4, bytes: 4 * recordBytes, ms: 240 });
  step(reader, { ...streamed(record(6), record(7), record(8)), now: at(350) });
  t.deepEqual(lagOf(reader, 350), { versions: 1, bytes: recordBytes, ms: 150 });
  step(reader, { ...streamed(record(9), record(10)), now: at(360) });
  t.deepEqual(lagOf(reader, 360), { versions: 0, bytes: 0, ms: 60 });
  step(reader, { kind: "disconnected" });
  t.is(lagOf(reader, 5_300).ms, 5_000);
});

test("an eventual read is refused beyond its own bound, or the cluster's", (t) => {
  const reader = streamingReader();
  const reads = [
    get("a"),
    get("a", { kind: "eventual", lagMsMax: 50 }),
    get("a", { kind: "eventual", lagMsMax: 9_000 }),
  ];
  t.deepEqual(texts(read(reader, reads, at(50))), [
    [0, "5"],
    [1, "5"],
    [2, "5"],
  ]);
  t.deepEqual(texts(read(reader, reads, at(51))), [
    [0, "5"],
    [1, "error lagging"],
    [2, "5"],
  ]);
  t.deepEqual(texts(read(reader, reads, at(1_001))), [
    [0, "error lagging"],
    [1, "error lagging"],
    [2, "5"],
  ]);
});

test("a session's read waits for its place, then is answered; in the end it is sent elsewhere", (t) => {
  const reader = streamingReader();
  const reads = [
    get("a"),
    get("a", session({ epoch: 1, version: 6 })),
    get("a", session({ epoch: 1, version: 7 })),
  ];
  t.deepEqual(texts(read(reader, reads)), [[0, "5"]]);
  t.deepEqual(texts(step(reader, { ...streamed(record(6)), now: at(10) })), [[1, "6"]]);
  t.deepEqual(step(reader, { kind: "tick", now: at(sessionWaitMsMax - 1) }), []);
  t.deepEqual(texts(step(reader, { kind: "tick", now: at(sessionWaitMsMax) })), [[2, "error behind"]]);
  t.is(reader.waiting.length, 0);
});

test("a session of an earlier epoch does not wait; one of a later epoch does", (t) => {
  const reader = streamingReader();
  t.deepEqual(texts(read(reader, [get("a", session({ epoch: 0, version: 99 }))])), [[0, "5"]]);
  t.deepEqual(texts(read(reader, [get("a", session({ epoch: 2, version: 1 }))])), []);
  t.deepEqual(texts(step(reader, { kind: "stop" })), [[0, "error behind"]]);
});

test("reads that wait are bounded", (t) => {
  const reader = streamingReader();
  const waiting = Array.from({ length: waitingReadsMax }, () => get("a", session({ epoch: 1, version: 9 })));
  t.deepEqual(texts(read(reader, waiting)), []);
  t.deepEqual(texts(read(reader, waiting.slice(0, 1))), [[0, "error behind"]]);
});

test("a reader hides an expired key and leaves it to the owner to remove", (t) => {
  const reader = streamingReader();
  const expiring = encodeRecord({
    ...{ epoch: epoch(1), version: version(6) },
    operation: { kind: "set", key: bytesOf("e"), value: bytesOf("1"), expiresAtMs: 1_000_100 },
  });
  step(reader, { ...streamed(expiring), now: at(1) });
  t.deepEqual(texts(read(reader, [get("e")], at(99))), [[0, "1"]]);
  t.deepEqual(texts(read(reader, [get("e")], at(100))), [[0, null]]);
  t.is(reader.holding.store.keys(), 3);
});
