import test from "ava";
import { hashOf } from "../../../shard/store/hash.ts";
import { bytesOf } from "../../support/shardBytes.ts";

const seed = { low: 0x03020100, high: 0x07060504 };

test("every bit of key, length and seed changes about half of the hash's bits", (t) => {
  const ones = (n: number): number => n.toString(2).replaceAll("0", "").length;
  let flipped = 0;
  let tries = 0;
  for (let length = 0; length <= 40; length++) {
    const key = Uint8Array.from({ length }, (_, i) => i);
    const hash = hashOf(key, seed);
    const differ = (other: number): void => {
      t.not(other, hash);
      flipped += ones((other ^ hash) >>> 0);
      tries++;
    };
    for (let bit = 0; bit < length * 8; bit++) {
      const other = key.slice();
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      differ(hashOf(other, seed));
    }
    for (let bit = 0; bit < 32; bit++) {
      differ(hashOf(key, { ...seed, low: seed.low ^ (1 << bit) }));
      differ(hashOf(key, { ...seed, high: seed.high ^ (1 << bit) }));
    }
    differ(hashOf(Uint8Array.of(...key, 0), seed));
  }
  t.true(Math.abs(flipped / tries - 16) < 0.2, `${flipped / tries} of 32`);
});

test("a million like keys meet no more often than chance has it", (t) => {
  const seen = new Uint8Array(2 ** 20);
  let empty = 0;
  for (let i = 0; i < 2 ** 20; i++) seen[hashOf(bytesOf(`user:${i}`), seed) >>> 12] = 1;
  for (const one of seen) if (one === 0) empty++;
  t.true(Math.abs(empty / 2 ** 20 - Math.exp(-1)) < 0.003, `${empty / 2 ** 20}`);
});
