import test from "ava";
import fc from "fast-check";
import { addEntry, isSameContent, noContent, type ContentDigest } from "../../shard/contentDigest.ts";

type Entry = { readonly key: Uint8Array; readonly value: Uint8Array; readonly expiresAtMs: number | null };

/** Laid somewhere into other bytes, as in a store. */
const digestOf = (entries: readonly Entry[], offset = 0): ContentDigest => {
  const digest = noContent();
  for (const { key, value, expiresAtMs } of entries) {
    const bytes = Buffer.concat([Buffer.alloc(offset, 0xaa), key, value, Buffer.alloc(offset, 0x55)]);
    const valueFrom = offset + key.length;
    addEntry(digest, { bytes, keyFrom: offset, valueFrom, valueTo: valueFrom + value.length, expiresAtMs });
  }
  return digest;
};

const entry = fc.record({
  key: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  value: fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.uint8Array({ minLength: 1_020, maxLength: 1_030 }),
    fc.uint8Array({ minLength: 5_000, maxLength: 6_000 }),
  ),
  expiresAtMs: fc.option(fc.nat({ max: 2 ** 45 })),
});
const entries = fc.array(entry, { minLength: 1, maxLength: 20 });

test("a digest is the same for the same content, in whatever order and wherever it lies", (t) => {
  fc.assert(
    fc.property(entries, fc.nat({ max: 9 }), fc.func(fc.nat()), (all, offset, order) => {
      const shuffled = [...all].sort((a, b) => order(a) - order(b));
      t.true(isSameContent(digestOf(all), digestOf(shuffled, offset)));
    }),
  );
});

type Change = readonly [what: "bit" | "expiry" | "boundary" | "drop" | "double" | "swap", at: number];
const changed = (all: readonly Entry[], [what, at]: Change): readonly Entry[] | null => {
  const i = at % all.length;
  const one = all[i];
  const other = all[(i + 1) % all.length];
  if (one === undefined || other === undefined) return null;
  const replaced = (next: readonly Entry[]): readonly Entry[] => [
    ...all.slice(0, i),
    ...next,
    ...all.slice(i + 1),
  ];
  switch (what) {
    case "bit": {
      const bytes = Buffer.concat([one.key, one.value]);
      const bit = at % (bytes.length * 8);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const key = bytes.subarray(0, one.key.length);
      return replaced([{ ...one, key, value: bytes.subarray(one.key.length) }]);
    }
    case "expiry":
      return replaced([{ ...one, expiresAtMs: one.expiresAtMs === null ? at : one.expiresAtMs + 1 + at }]);
    case "boundary": {
      // The same bytes, of which another part is the key.
      if (one.key.length < 2) return null;
      const value = Buffer.concat([one.key.subarray(-1), one.value]);
      return replaced([{ ...one, key: one.key.subarray(0, -1), value }]);
    }
    case "drop":
      return replaced([]);
    case "double":
      return replaced([one, one]);
    case "swap":
      // Two keys with each other's values.
      if (other === one || Buffer.compare(one.value, other.value) === 0) return null;
      if (Buffer.compare(one.key, other.key) === 0) return null;
      return all.map((each) =>
        each === one
          ? { ...one, value: other.value }
          : each === other
            ? { ...other, value: one.value }
            : each,
      );
  }
};

test("a digest is another for any single change", (t) => {
  const change = fc.tuple(
    fc.constantFrom("bit", "expiry", "boundary", "drop", "double", "swap"),
    fc.nat(),
  ) as fc.Arbitrary<Change>;
  fc.assert(
    fc.property(entries, change, (all, what) => {
      const after = changed(all, what);
      if (after !== null) t.false(isSameContent(digestOf(all), digestOf(after)));
    }),
    { numRuns: 500 },
  );
});
