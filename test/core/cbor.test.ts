import test from "ava";
import fc from "fast-check";
import { decode, encode, type Budget } from "../../core/cbor.ts";
import { EdisError } from "../../core/errors.ts";

const budget: Budget = { bytesMax: 1024 * 1024, depthMax: 8, itemsMax: 10_000 };
const hex = (text: string): Uint8Array => Buffer.from(text, "hex");
const code = (run: () => unknown): string => {
  try {
    run();
    return "nothing thrown";
  } catch (error) {
    return error instanceof EdisError ? error.code : `not an EdisError: ${String(error)}`;
  }
};

test("what was encoded is decoded", (t) => {
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.maxSafeInteger(),
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array(),
      fc.array(tie("value"), { maxLength: 5 }),
      fc.dictionary(
        fc.string().filter((key) => key !== "__proto__"),
        tie("value"),
        { maxKeys: 5, noNullPrototype: true },
      ),
    ),
  })).value;
  fc.assert(
    fc.property(value, (given) => {
      t.deepEqual(normal(decode(encode(given), budget)), normal(given));
    }),
  );
});

/** Buffers and Uint8Arrays of the same bytes are one. */
const normal = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, normal(inner)]));
  }
  return value;
};

test("integers of every width are numbers", (t) => {
  t.deepEqual(decode(hex("841b00000000000000071b001fffffffffffff3b000000000000000607"), budget), [
    7,
    Number.MAX_SAFE_INTEGER,
    -7,
    7,
  ]);
});

test("hostile lengths, depths, tags and cut-off bytes are refused before anything is allocated", (t) => {
  const refused: [string, Uint8Array, string][] = [
    ["an array of 2^53", hex("9b0020000000000000"), "bad-message"],
    ["a byte string of 2^32", hex("5a ffffffff".replaceAll(" ", "")), "bad-message"],
    ["a map of 2^31", hex("ba80000000"), "bad-message"],
    ["an indefinite array", hex("9f01ff"), "bad-message"],
    ["a bignum", Buffer.concat([hex("c25a00030d40"), Buffer.alloc(200_000, 1)]), "bad-message"],
    ["a date tag", hex("c074323031332d30332d32315432303a30343a30305a"), "bad-message"],
    ["deep nesting", Buffer.alloc(100_000, 0x81), "too-large"],
    ["nothing", new Uint8Array(), "bad-message"],
    ["two values", hex("0101"), "bad-message"],
    ["a reserved length", hex("1c"), "bad-message"],
    ["a cut-off number", hex("1b0000"), "bad-message"],
    ["too many bytes", new Uint8Array(2 * 1024 * 1024), "too-large"],
    ["too many items", Buffer.concat([hex("994000"), Buffer.alloc(0x4000)]), "too-large"],
  ];
  for (const [what, bytes, expected] of refused)
    t.is(
      code(() => decode(bytes, budget)),
      expected,
      what,
    );
});

test("any bytes are decoded or refused with a code, never anything else", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const outcome = code(() => decode(bytes, budget));
      t.true(["nothing thrown", "bad-message", "too-large"].includes(outcome), outcome);
    }),
    { numRuns: 20_000 },
  );
});

test("a __proto__ key changes no prototype", (t) => {
  const bytes = Buffer.concat([
    hex("a1"),
    hex("69"),
    Buffer.from("__proto__"),
    hex("a1"),
    hex("61"),
    Buffer.from("x"),
    hex("01"),
  ]);
  const decoded = decode(bytes, budget) as { x?: number };
  t.is(decoded.x, undefined);
  t.is(({} as { x?: number }).x, undefined);
});
