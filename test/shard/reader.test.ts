import test from "ava";
import { epoch, shardId, version } from "../../core/ids.ts";
import { sessionWaitMsMax, waitingReadsMax } from "../../core/limits.ts";
import type { Streamed } from "../../core/record.ts";
import type { Request } from "../../core/request.ts";
import { emptyHolding } from "../../shard/holding.ts";
import { createReader, lagOf, step, type Reader, type ReaderEffect } from "../../shard/reader.ts";
import { createSmallStore } from "../support/shardStore.ts";
import { bytesOf } from "../support/shardBytes.ts";
import { get, session, textOf } from "../support/shardClient.ts";

const at = (nowMs: number, wallMs = 1_000_000 + nowMs) => ({ nowMs, wallMs });
const history = [{ epoch: epoch(1), startVersion: version(0) }];
const record = (v: number, e = 1): Streamed => ({
  kind: "record",
  bytes: 10,
  record: {
    ...{ epoch: epoch(e), version: version(v) },
    operation: { kind: "set", key: bytesOf("a"), value: bytesOf(String(v)), expiresAtMs: null },
  },
});
const entry = (key: string, value: string): Streamed => ({
  kind: "entry",
  entry: { key: bytesOf(key), value: bytesOf(value), expiresAtMs: null },
});
const mark = (v: number, e = 1) =>
  ({ kind: "mark", epoch: epoch(e), version: version(v), bytes: v * 10 }) as const;

/** A reader that has copied a shard of two keys at version 5, and streams. */
const streamingReader = (): Reader<string> => {
  const reader = createReader<string>(emptyHolding(shardId(0), createSmallStore()), 0);
  step(reader, { kind: "connected" });
  const copy = { kind: "copy", epoch: epoch(1), version: version(5), bytes: 50, keys: 2, history } as const;
  step(reader, { kind: "message", message: copy, now: at(0) });
  step(reader, { kind: "streamed", items: [entry("a", "5"), entry("b", "5")], now: at(0) });
  step(reader, { kind: "message", message: { kind: "copied", version: version(5) }, now: at(0) });
  step(reader, { kind: "message", message: mark(5), now: at(0) });
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

test("a copy that was cut off in the middle is worth nothing", (t) => {
  const reader = createReader<string>(emptyHolding(shardId(0), createSmallStore()), 0);
  step(reader, { kind: "connected" });
  const copy = { kind: "copy", epoch: epoch(1), version: version(5), bytes: 50, keys: 2, history } as const;
  step(reader, { kind: "message", message: copy, now: at(0) });
  step(reader, { kind: "streamed", items: [entry("a", "5")], now: at(0) });
  t.deepEqual(reader.progress, { kind: "copying", copied: 1, total: 2 });
  t.false(reader.holding.complete);
  step(reader, { kind: "disconnected" });
  t.deepEqual(step(reader, { kind: "connected" }), [
    { kind: "resync", place: { epoch: epoch(0), version: version(0) } },
  ]);
});

test("records are applied in order; what was applied is handed on and acknowledged", (t) => {
  const reader = streamingReader();
  const effects = step(reader, { kind: "streamed", items: [record(6), record(7)], now: at(1) });
  t.deepEqual(kinds(effects), ["applied", "ack"]);
  t.is(reader.holding.version, version(7));
  t.is(reader.holding.bytes, 70);
});

test("a gap, a record twice, or one of another epoch breaks the stream off, and nothing after it is applied", (t) => {
  for (const wrong of [record(7), record(5), record(6, 2)]) {
    const reader = streamingReader();
    t.deepEqual(kinds(step(reader, { kind: "streamed", items: [wrong], now: at(1) })), ["reconnect"]);
    t.is(reader.holding.version, version(5));
    t.deepEqual(kinds(step(reader, { kind: "streamed", items: [record(6)], now: at(1) })), ["reconnect"]);
    t.is(reader.holding.version, version(5));
  }
});

test("what a source may not say breaks the stream off", (t) => {
  const messages = [
    { kind: "continue", epoch: epoch(1), version: version(5), bytes: 0, history },
    { kind: "copied", version: version(5) },
    { kind: "copy", epoch: epoch(0), version: version(9), bytes: 0, keys: 0, history },
    mark(4),
    mark(5, 0),
  ] as const;
  for (const message of messages) {
    const reader = streamingReader();
    t.deepEqual(
      kinds(step(reader, { kind: "message", message, now: at(1) })),
      ["reconnect"],
      JSON.stringify(message),
    );
    t.true(reader.holding.complete);
  }
  const reader = streamingReader();
  t.deepEqual(kinds(step(reader, { kind: "streamed", items: [entry("a", "1")], now: at(1) })), ["reconnect"]);
});

test("going on in a later epoch follows the history, and the epoch is reached without a record in it", (t) => {
  const reader = streamingReader();
  step(reader, { kind: "disconnected" });
  step(reader, { kind: "connected" });
  const later = [...history, { epoch: epoch(3), startVersion: version(6) }];
  const message = {
    kind: "continue",
    epoch: epoch(3),
    version: version(5),
    bytes: 50,
    history: later,
  } as const;
  t.deepEqual(kinds(step(reader, { kind: "message", message, now: at(1) })), ["ack"]);
  step(reader, { kind: "streamed", items: [record(6)], now: at(1) });
  t.is(reader.holding.epoch, epoch(1));
  t.deepEqual(kinds(step(reader, { kind: "message", message: mark(6, 3), now: at(2) })), ["ack"]);
  t.is(reader.holding.epoch, epoch(3));
  t.deepEqual(kinds(step(reader, { kind: "streamed", items: [record(7, 3)], now: at(3) })), [
    "applied",
    "ack",
  ]);
});

test("the lag counts from the newest mark that is covered", (t) => {
  const reader = streamingReader();
  t.deepEqual(lagOf(reader, 40), { versions: 0, bytes: 0, ms: 40 });
  step(reader, { kind: "message", message: mark(5), now: at(100) });
  t.is(lagOf(reader, 140).ms, 40);
  step(reader, { kind: "message", message: mark(8), now: at(200) });
  step(reader, { kind: "message", message: mark(9), now: at(300) });
  t.deepEqual(lagOf(reader, 340), { versions: 4, bytes: 40, ms: 240 });
  step(reader, { kind: "streamed", items: [record(6), record(7), record(8)], now: at(350) });
  t.deepEqual(lagOf(reader, 350), { versions: 1, bytes: 10, ms: 150 });
  step(reader, { kind: "streamed", items: [record(9), record(10)], now: at(360) });
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
  t.deepEqual(texts(step(reader, { kind: "streamed", items: [record(6)], now: at(10) })), [[1, "6"]]);
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
  const expiring: Streamed = {
    ...{ kind: "record", bytes: 10 },
    record: {
      ...{ epoch: epoch(1), version: version(6) },
      operation: { kind: "set", key: bytesOf("e"), value: bytesOf("1"), expiresAtMs: 1_000_100 },
    },
  };
  step(reader, { kind: "streamed", items: [expiring], now: at(1) });
  t.deepEqual(texts(read(reader, [get("e")], at(99))), [[0, "1"]]);
  t.deepEqual(texts(read(reader, [get("e")], at(100))), [[0, null]]);
  t.is(reader.holding.store.keys(), 3);
});
