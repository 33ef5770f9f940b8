import test from "ava";
import fc from "fast-check";
import { copyInto, copyTo, isSame, type Piece, type Target } from "../../../shard/store/bytes.ts";

/** Bytes that begin anywhere in a buffer whose length is no number of whole words. */
const placed = fc.record({
  before: fc.nat(9),
  after: fc.nat(9),
  bytes: fc.uint8Array({ maxLength: 200 }),
});
type Placed = { readonly before: number; readonly after: number; readonly bytes: Uint8Array };

const pieceOf = ({ before, after, bytes }: Placed, viewed: number): Piece => {
  const buffer = new Uint8Array(viewed + before + bytes.length + after).fill(7);
  buffer.set(bytes, viewed + before);
  return { bytes: buffer.subarray(viewed), from: before, to: before + bytes.length };
};

const targetOf = (bytes: number): Target => {
  const buffer = new SharedArrayBuffer(bytes);
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer, 0, bytes >> 2), offset: 0 };
};

test("bytes are copied as they are, from and to any place, and nothing beside them", (t) => {
  fc.assert(
    fc.property(placed, fc.nat(9), fc.nat(3), (one, at, viewed) => {
      const piece = pieceOf(one, viewed);
      const { length } = one.bytes;
      const expected = new Uint8Array(at + length + 3).fill(9);
      expected.set(one.bytes, at);
      // The first time they are read once, then again.
      for (let time = 0; time < 3; time++) {
        const bytes = new Uint8Array(viewed + at + length + 3).fill(9).subarray(viewed);
        t.is(copyTo(bytes, at, piece), at + length);
        t.deepEqual(bytes, expected);
        const target = targetOf(at + length + 3);
        target.bytes.fill(9);
        copyInto(target, at, piece);
        t.deepEqual(new Uint8Array(target.bytes), expected);
      }
    }),
    { numRuns: 300 },
  );
});

test("bytes are the same where all of them are, wherever they lie", (t) => {
  fc.assert(
    fc.property(placed, fc.nat(9), fc.nat(), (one, word, changed) => {
      const piece = pieceOf(one, changed % 4);
      const { length } = one.bytes;
      const target = targetOf(word * 4 + length + 5);
      target.bytes.set(one.bytes, word * 4);
      for (let time = 0; time < 3; time++) t.true(isSame(target, word * 4, piece));
      if (length === 0) return;
      const at = word * 4 + (changed % length);
      target.bytes[at] = (target.bytes[at] ?? 0) ^ 0x80;
      for (let time = 0; time < 3; time++) t.false(isSame(target, word * 4, piece));
    }),
    { numRuns: 300 },
  );
});
