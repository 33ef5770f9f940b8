import test from "ava";
import fc from "fast-check";
import { encode } from "../../core/cbor.ts";
import { EdisError, errorCodes, type ErrorCode } from "../../core/errors.ts";
import { epoch, shardId, version } from "../../core/ids.ts";
import { decodeStreamed, encodeEntry, encodeRecord, type Record } from "../../core/record.ts";
import {
  decodeReplies,
  decodeRequests,
  encodeReplies,
  encodeRequests,
  type Request,
  type Result,
} from "../../core/request.ts";

// Decoded bytes are Buffers; comparing wants one kind.
const blob = (maxLength: number, minLength = 0): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes));
const key = blob(40, 1);
const value = blob(200);
const place = {
  epoch: fc.maxSafeNat().map((n) => epoch(Math.min(n, 2 ** 52))),
  version: fc.nat().map(version),
};

const request: fc.Arbitrary<Request> = fc.oneof(
  fc.record({
    kind: fc.constant("get" as const),
    key,
    read: fc.oneof(
      fc.record({
        kind: fc.constant("eventual" as const),
        lagMsMax: fc.option(fc.integer({ min: 1, max: 60_000 })),
      }),
      fc.record({ kind: fc.constant("session" as const), ...place }),
      fc.constant({ kind: "linearizable" as const }),
    ),
  }),
  fc.record({
    kind: fc.constant("set" as const),
    key,
    value,
    condition: fc.oneof(
      fc.constantFrom(
        { kind: "always" as const },
        { kind: "ifAbsent" as const },
        { kind: "ifPresent" as const },
      ),
      fc.record({ kind: fc.constant("ifEqual" as const), value }),
    ),
    expiry: fc.oneof(
      fc.constantFrom({ kind: "never" as const }, { kind: "keep" as const }),
      fc.record({
        kind: fc.constantFrom("in" as const, "at" as const),
        ms: fc.integer({ min: 1, max: 2 ** 45 }),
      }),
    ),
  }),
  fc.record({ kind: fc.constant("delete" as const), key }),
  fc.record({ kind: fc.constant("increment" as const), key, by: fc.maxSafeInteger() }),
);

const codes = Object.keys(errorCodes) as ErrorCode[];
const result: fc.Arbitrary<Result> = fc.oneof(
  fc.record({ kind: fc.constant("value" as const), value: fc.option(value), ...place, lagMs: fc.nat() }),
  fc.record({ kind: fc.constant("set" as const), applied: fc.boolean(), ...place }),
  fc.record({ kind: fc.constant("deleted" as const), existed: fc.boolean(), ...place }),
  fc.record({ kind: fc.constant("integer" as const), value: fc.maxSafeInteger(), ...place }),
  fc.record({
    kind: fc.constant("error" as const),
    code: fc.constantFrom(...codes),
    message: fc.string({ maxLength: 100 }),
  }),
);

test("requests survive the wire", (t) => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat({ max: 1023 }),
      fc.array(request, { minLength: 1, maxLength: 20 }),
      (id, s, requests) => {
        const frame = { id, shard: shardId(s), epoch: epoch(7), requests };
        t.deepEqual(decodeRequests(encodeRequests(frame)), frame);
      },
    ),
  );
});

test("replies survive the wire", (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.array(result, { minLength: 1, maxLength: 20 }), (id, results) => {
      t.deepEqual(decodeReplies(encodeReplies({ id, results })), { id, results });
    }),
  );
});

test("records and entries survive the wire as a sequence, with the bytes each took", (t) => {
  const record: fc.Arbitrary<Record> = fc.record({
    ...place,
    operation: fc.oneof(
      fc.record({
        kind: fc.constant("set" as const),
        key,
        value,
        expiresAtMs: fc.option(fc.integer({ min: 1, max: 2 ** 45 })),
      }),
      fc.record({ kind: fc.constant("delete" as const), key }),
    ),
  });
  fc.assert(
    fc.property(fc.array(record, { maxLength: 20 }), key, value, (records, k, val) => {
      const entry = { key: k, value: val, expiresAtMs: null };
      const frame = Buffer.concat([...records.map(encodeRecord), encodeEntry(entry)]);
      t.deepEqual(decodeStreamed(frame), [
        ...records.map((r) => ({ kind: "record" as const, record: r, bytes: encodeRecord(r).length })),
        { kind: "entry" as const, entry },
      ]);
    }),
  );
});

test("what is not a request is refused with a code that says what is wanted", (t) => {
  const refused: unknown[] = [
    1,
    [],
    [1, 0, 0, []],
    [1, 0, 0, Array.from({ length: 4097 }, () => [3, Buffer.from("k")])],
    [1, 1024, 0, [[3, Buffer.from("k")]]],
    [1, 0, -1, [[3, Buffer.from("k")]]],
    [1, 0, 0, [[3, "a text"]]],
    [1, 0, 0, [[3, new Uint8Array()]]],
    [1, 0, 0, [[3, new Uint8Array(65_537)]]],
    [1, 0, 0, [[9, Buffer.from("k")]]],
    [1, 0, 0, [[2, Buffer.from("k"), Buffer.from("v"), 9, null, 0, 0]]],
    [1, 0, 0, [[2, Buffer.from("k"), Buffer.from("v"), 3, null, 0, 0]]],
    [1, 0, 0, [[2, Buffer.from("k"), Buffer.from("v"), 0, null, 1, 0]]],
    [1, 0, 0, [[4, Buffer.from("k"), 0.5]]],
  ];
  for (const frame of refused) {
    const error = t.throws(() => decodeRequests(encode(frame)), { instanceOf: EdisError });
    t.is(error.code, "bad-message", JSON.stringify(frame).slice(0, 80));
  }
});
