import test from "ava";
import fc from "fast-check";
import { slotOf, slotOfRange } from "../../core/slot.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

test("the check value of the Redis Cluster specification holds", (t) => {
  t.is(Number(slotOf(bytes("123456789"))), 0x31c3);
});

test("known keys fall into the slots that Redis Cluster gives them", (t) => {
  t.is(Number(slotOf(bytes("foo"))), 12182);
  t.is(Number(slotOf(bytes("bar"))), 5061);
  t.is(Number(slotOf(bytes("somekey"))), 11058);
});

test("keys with one hash tag share its slot", (t) => {
  t.is(slotOf(bytes("{user1000}.following")), slotOf(bytes("user1000")));
  t.is(slotOf(bytes("foo{bar}{zap}")), slotOf(bytes("bar")));
  t.is(slotOf(bytes("foo{{bar}}zap")), slotOf(bytes("{bar")));
});

test("an empty or unclosed tag is no tag", (t) => {
  t.not(slotOf(bytes("foo{}{bar}")), slotOf(bytes("bar")));
  t.not(slotOf(bytes("foo{bar")), slotOf(bytes("bar")));
});

test("every key has a slot below 16384, and a tag of its own bytes keeps it", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (key) => {
      const slot = slotOf(key);
      t.true(Number.isInteger(slot) && slot >= 0 && slot < 16384);
      if (key.includes(0x7b) || key.includes(0x7d)) return;
      t.is(slotOf(Buffer.concat([bytes("x{"), key, bytes("}y")])), slot);
    }),
  );
});

/** Bit by bit, as the polynomial is defined. */
const crcOf = (key: Uint8Array): number => {
  let crc = 0;
  for (const byte of key)
    for (let bit = 7; bit >= 0; bit--) {
      const top = ((crc >> 15) ^ (byte >> bit)) & 1;
      crc = ((crc << 1) & 0xffff) ^ (top * 0x1021);
    }
  return crc;
};

test("the tables give what the polynomial gives, wherever in a buffer the key lies", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 70 }), fc.nat(9), (key, from) => {
      const padded = Buffer.concat([bytes("{y}{y}{y}".slice(0, from)), key, bytes("}{z}")]);
      t.is(slotOfRange(padded, from, from + key.length), slotOf(key));
      if (!key.includes(0x7b)) t.is(Number(slotOf(key)), crcOf(key) % 16384);
    }),
  );
});
