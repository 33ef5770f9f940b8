import test from "ava";
import fc from "fast-check";
import { encode } from "../../core/cbor.ts";
import { EdisError, errorCodes, type ErrorCode } from "../../core/errors.ts";
import { epoch, shardId, version } from "../../core/ids.ts";
import { decodeStreamed, encodeEntry, encodeRecord, type Record } from "../../core/record.ts";
import type { ReplyFrame, Request, RequestFrame, Result } from "../../core/request.ts";
import { decodeReplies, decodeRequests } from "../../core/requestDecoder.ts";
import { encodeReplies, encodeRequests } from "../../core/requestEncoder.ts";
import { mutated } from "../support/mutate.ts";
import * as reference from "../support/requestReference.ts";

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

const requestFrame: fc.Arbitrary<RequestFrame> = fc.record({
  id: fc.oneof(fc.nat(), fc.nat(300), fc.maxSafeNat()),
  shard: fc.nat({ max: 1023 }).map(shardId),
  epoch: place.epoch,
  requests: fc.array(request, { minLength: 1, maxLength: 20 }),
});
const replyFrame: fc.Arbitrary<ReplyFrame> = fc.record({
  id: fc.oneof(fc.nat(), fc.nat(300), fc.maxSafeNat()),
  results: fc.array(result, { minLength: 1, maxLength: 20 }),
});

test("frames are encoded byte for byte as cbor-x does, small and large", (t) => {
  const large = Buffer.alloc(70_000, "v");
  const frames = (frame: RequestFrame, big: boolean): RequestFrame =>
    big
      ? {
          ...frame,
          requests: [
            ...frame.requests,
            {
              ...{ kind: "set", key: Buffer.from("k"), value: large },
              ...{ condition: { kind: "ifEqual", value: large }, expiry: { kind: "keep" } },
            },
          ],
        }
      : frame;
  fc.assert(
    fc.property(requestFrame, replyFrame, fc.boolean(), (asked, replies, big) => {
      const given = frames(asked, big);
      const bytes = encodeRequests(given);
      t.is(Buffer.compare(bytes, reference.encodeRequests(given)), 0);
      t.is(Buffer.compare(encodeReplies(replies), reference.encodeReplies(replies)), 0);
      // What was handed out before is still what it was.
      t.is(Buffer.compare(bytes, reference.encodeRequests(given)), 0);
    }),
    { numRuns: 500 },
  );
});

/** What a decoder makes of bytes; which of two things is wrong with a message may be said differently. */
const outcome = <T>(run: () => T): T | string => {
  try {
    return run();
  } catch (error) {
    if (error instanceof EdisError && (error.code === "bad-message" || error.code === "too-large"))
      return "refused";
    throw error;
  }
};

// Bytes that are no UTF-8 are shown in one way or another, minus zero as zero or not: neither matters.
const alike = (frame: unknown): string =>
  JSON.stringify(frame, (name, field: unknown) =>
    name === "message" ? "" : field === null || typeof field !== "number" ? field : field + 0,
  );

test("whatever bytes of a frame are changed, cut off, added or gone: it is read as cbor-x reads it, or refused", (t) => {
  fc.assert(
    fc.property(mutated(requestFrame.map(encodeRequests)), (bytes) => {
      t.is(
        alike(outcome(() => decodeRequests(bytes))),
        alike(outcome(() => reference.decodeRequests(bytes))),
      );
    }),
    { numRuns: 5_000 },
  );
  fc.assert(
    fc.property(mutated(replyFrame.map(encodeReplies)), (bytes) => {
      t.is(alike(outcome(() => decodeReplies(bytes))), alike(outcome(() => reference.decodeReplies(bytes))));
    }),
    { numRuns: 5_000 },
  );
});

test("surplus elements are skipped, as deep as they may be", (t) => {
  const k = Buffer.from("k");
  const extra = [{ a: [1] }, "text", null];
  const frames: unknown[] = [
    [1, 0, 0, [[1, k, 2]]],
    [1, 0, 0, [[1, k, 0, 5, 1, 1, ...extra.slice(1)]]],
    [1, 0, 0, [[1, k, 1, "?", 1, 1, 7]]],
    [1, 0, 0, [[2, k, k, 1, {}, 0]]],
    [1, 0, 0, [[2, k, k, 3, k, 3, "?", 1]], ...extra],
    [1, 0, 0, [[3, k, [], {}]]],
    [1, 0, 0, [[3, k, [[]]]]],
    [1, 0, 0, [[4, k, -(2 ** 40), 1]]],
    [1, 0, 0, [[3, k, ...Array.from({ length: 65_600 }, () => 0)]]],
  ];
  for (const frame of frames) {
    const bytes = encode(frame);
    const expected = outcome(() => reference.decodeRequests(bytes));
    t.is(alike(outcome(() => decodeRequests(bytes))), alike(expected), JSON.stringify(frame).slice(0, 80));
  }
});

test("requests survive the wire", (t) => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat({ max: 1023 }),
      fc.array(request, { minLength: 1, maxLength: 20 }),
      (id, s, requests) => {
        const frame = { id, shard: shardId(s), epoch: epoch(7), requests };
        t.deepEqual(decodeRequests(Buffer.from(encodeRequests(frame))), frame);
      },
    ),
  );
});

test("replies survive the wire", (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.array(result, { minLength: 1, maxLength: 20 }), (id, results) => {
      t.deepEqual(decodeReplies(Buffer.from(encodeReplies({ id, results }))), { id, results });
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
