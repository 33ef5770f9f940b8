import { slot, slotCount, type Slot } from "./ids.ts";

/**
 * The slot of a key: CRC16 (XMODEM) of the key, or of its hash tag, modulo 16384, as in the Redis Cluster
 * specification ("Key distribution model", "Hash tags"). A tag is what stands between the first `{` and the
 * first `}` after it, if that is not empty; keys with one tag share a slot.
 */
export const slotOf = (key: Uint8Array): Slot => {
  const open = key.indexOf(0x7b);
  if (open !== -1) {
    const close = key.indexOf(0x7d, open + 1);
    if (close > open + 1) return slot(crc16(key, open + 1, close) % slotCount);
  }
  return slot(crc16(key, 0, key.length) % slotCount);
};

/** The slot of the key that lies in `bytes` between `from` and `to`. */
export const slotOfRange = (bytes: Uint8Array, from: number, to: number): Slot => {
  // Most keys have no tag: one look at the bytes says so.
  for (let open = from; open < to; open++) {
    if (bytes[open] !== 0x7b) continue;
    const close = bytes.indexOf(0x7d, open + 1);
    if (close > open + 1 && close < to) return slot(crc16(bytes, open + 1, close) % slotCount);
    break;
  }
  return slot(crc16(bytes, from, to) % slotCount);
};

// CRC16-CCITT (XMODEM): polynomial 0x1021, start 0, no reflection; "123456789" gives 0x31c3.
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) !== 0 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc & 0xffff;
});

const crc16 = (bytes: Uint8Array, from: number, to: number): number => {
  let crc = 0;
  for (let i = from; i < to; i++) {
    crc = ((crc << 8) & 0xffff) ^ (table[((crc >> 8) ^ (bytes[i] ?? 0)) & 0xff] ?? 0);
  }
  return crc;
};
