import test from "ava";
import fc from "fast-check";
import { encode } from "../../core/cbor.ts";
import { EdisError } from "../../core/errors.ts";
import { slotCount, version } from "../../core/ids.ts";
import { decodeStreamed } from "../../core/record.ts";
import { createRecordCursor, skipRecords } from "../../core/recordCursor.ts";
import { decodeSequence } from "../support/cborSequence.ts";
import { mutated } from "../support/mutate.ts";

const cursor = createRecordCursor();

/** One item as plain data. */
type Item = {
  readonly opcode: number;
  readonly place: readonly [epoch: number, version: number];
  readonly key: string;
  readonly value: string;
  readonly expiresAtMs: number;
  /** The version of the map, or the slot. */
  readonly argument: number;
  readonly bytes: number;
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const walked = (bytes: Uint8Array): Item[] => {
  const items: Item[] = [];
  for (let at = 0; at < bytes.length;) {
    at = cursor.next(bytes, at);
    items.push({
      opcode: cursor.opcode,
      place: [cursor.epoch, cursor.version],
      key: hex(bytes.subarray(cursor.keyStart, cursor.keyEnd)),
      value: hex(bytes.subarray(cursor.valueStart, cursor.valueEnd)),
      expiresAtMs: cursor.expiresAtMs,
      argument: cursor.opcode === 4 ? cursor.mapVersion : cursor.opcode === 5 ? cursor.slot : 0,
      bytes: cursor.end - cursor.start,
    });
  }
  return items;
};

/** The same by cbor-x, as the format is written down in docs/protocol.md. */
const expected = (bytes: Uint8Array): Item[] =>
  decodeSequence(bytes, { bytesMax: 2 ** 24, depthMax: 1, itemsMax: 10_000 }, 1000).map(
    ({ value: fields, bytes: size }) => {
      if (!Array.isArray(fields)) throw refused();
      const [opcode, ...rest] = fields as unknown[];
      const none = { key: "", value: "", expiresAtMs: 0, argument: 0, bytes: size };
      if (opcode === 0 && rest.length === 3)
        return {
          ...{ opcode, place: [0, 0], key: key(rest[0]), value: value(rest[1]) },
          ...{ expiresAtMs: count(rest[2]), argument: 0, bytes: size },
        };
      const place = [below(rest[0]), below(rest[1])] as const;
      if (opcode === 1 && rest.length === 5)
        return {
          ...{ opcode, place, key: key(rest[2]), value: value(rest[3]), expiresAtMs: count(rest[4]) },
          ...{ argument: 0, bytes: size },
        };
      if (opcode === 2 && rest.length === 3) return { opcode, place, ...none, key: key(rest[2]) };
      if (opcode === 3 && rest.length === 2) return { opcode, place, ...none };
      if (opcode === 4 && rest.length === 3) return { opcode, place, ...none, argument: below(rest[2]) };
      if (opcode === 5 && rest.length === 3 && count(rest[2]) < slotCount)
        return { opcode, place, ...none, argument: count(rest[2]) };
      throw refused();
    },
  );

const refused = (): EdisError => new EdisError("bad-message", "refused");
const key = (field: unknown): string => {
  if (field instanceof Uint8Array && field.length >= 1 && field.length <= 65_536) return hex(field);
  throw refused();
};
const value = (field: unknown): string => {
  if (field instanceof Uint8Array) return hex(field);
  throw refused();
};
const count = (field: unknown): number => {
  if (typeof field === "number" && Number.isSafeInteger(field) && field >= 0) return field + 0;
  throw refused();
};
const below = (field: unknown): number => {
  if (count(field) < Number.MAX_SAFE_INTEGER) return count(field);
  throw refused();
};

const outcome = <T>(run: () => T): T | string => {
  try {
    return run();
  } catch (error) {
    if (error instanceof EdisError && (error.code === "bad-message" || error.code === "too-large"))
      return "refused";
    throw error;
  }
};

const number = fc.oneof(
  fc.constantFrom(0, 1, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 2, 2 ** 53 - 1),
  fc.nat(),
  fc.constantFrom(-1, 0.5, 2 ** 53, -0, NaN, Infinity, 2 ** 60),
);
const small = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 53 - 2 }));
const anySlot = fc.nat(slotCount - 1);
const blob = fc.uint8Array({ minLength: 1, maxLength: 300 });
const item = (n: fc.Arbitrary<number>, slotOr: fc.Arbitrary<number>): fc.Arbitrary<unknown[]> =>
  fc.oneof(
    fc.tuple(fc.constant(0), blob, blob, n),
    fc.tuple(fc.constant(1), n, n, blob, blob, n),
    fc.tuple(fc.constant(2), n, n, blob),
    fc.tuple(fc.constant(3), n, n),
    fc.tuple(fc.constant(4), n, n, n),
    fc.tuple(fc.constant(5), n, n, slotOr),
  );
const sequence = (n: fc.Arbitrary<number>): fc.Arbitrary<Uint8Array> =>
  fc
    .array(item(n, n === small ? anySlot : fc.oneof(n, anySlot, fc.constant(slotCount))), { maxLength: 6 })
    .map((items) => Buffer.concat(items.map(encode)));

test("a cursor reads what cbor-x reads", (t) => {
  fc.assert(
    fc.property(sequence(small), (bytes) => {
      t.deepEqual(walked(bytes), expected(bytes));
    }),
    { numRuns: 500 },
  );
});

test("a cursor accepts and refuses what the format says, whatever the numbers and wherever bytes are changed, cut off, added or gone", (t) => {
  fc.assert(
    fc.property(fc.oneof(sequence(number), mutated(sequence(small))), (bytes) => {
      t.deepEqual(
        outcome(() => walked(bytes)),
        outcome(() => expected(bytes)),
      );
    }),
    { numRuns: 5_000 },
  );
});

test("numbers of any width and float are read", (t) => {
  for (const seven of [
    "07",
    "1807",
    "190007",
    "1a00000007",
    "1b0000000000000007",
    "f94700",
    "fa40e00000",
    "fb401c000000000000",
  ]) {
    const bytes = Buffer.from(`83 03 ${seven} ${seven}`.replaceAll(" ", ""), "hex");
    t.deepEqual(walked(bytes), expected(bytes), seven);
    t.is(cursor.version, version(7));
  }
});

test("every cut of an item is refused", (t) => {
  for (const fields of [
    [0, Buffer.from("key"), Buffer.alloc(300), 2 ** 45],
    [1, 70_000, 2 ** 40, Buffer.from("key"), Buffer.from("value"), 1],
    [2, 1, 2, Buffer.from("key")],
    [3, 1, 2 ** 33],
  ]) {
    const bytes = encode(fields);
    t.is(cursor.next(bytes, 0), bytes.length);
    for (let end = 0; end < bytes.length; end++)
      t.throws(() => cursor.next(bytes.subarray(0, end), 0), { instanceOf: EdisError });
  }
});

test("keys and values beyond their limits are refused", (t) => {
  const accepts = (fields: unknown[]): boolean => outcome(() => walked(encode(fields))) !== "refused";
  t.true(accepts([2, 1, 1, Buffer.alloc(65_536)]));
  t.false(accepts([2, 1, 1, Buffer.alloc(65_537)]));
  t.false(accepts([2, 1, 1, Buffer.alloc(0)]));
});

test("records are skipped up to a version without reading values; entries are skipped with them", (t) => {
  const record = (v: number): Uint8Array => encode([1, 1, v, Buffer.from("k"), Buffer.from("v"), 0]);
  const parts = [record(7), encode([0, Buffer.from("k"), Buffer.from("v"), 0]), record(8), encode([3, 2, 9])];
  const bytes = Buffer.concat(parts);
  const behind = (n: number): number => parts.slice(0, n).reduce((sum, { length }) => sum + length, 0);
  t.is(skipRecords(cursor, bytes, { at: 0, version: version(6) }), 0);
  t.is(skipRecords(cursor, bytes, { at: 0, version: version(7) }), behind(2));
  t.is(skipRecords(cursor, bytes, { at: behind(1), version: version(8) }), behind(3));
  t.is(skipRecords(cursor, bytes, { at: 0, version: version(9) }), bytes.length);
});

test("a frame with too many records is refused", (t) => {
  const bytes = encode([2, 1, 1, Buffer.from("k")]);
  const frame = Buffer.concat(Array.from({ length: 16 * 1024 + 1 }, () => bytes));
  t.is(t.throws(() => decodeStreamed(frame), { instanceOf: EdisError }).code, "too-large");
});
