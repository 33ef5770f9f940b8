import { slot, slotCount, type Slot } from "./ids.ts";

/**
 * The slot of a key: CRC16 (XMODEM) of the key, or of its hash tag, modulo 16384, as in the Redis Cluster
 * specification ("Key distribution model", "Hash tags"). A tag is what stands between the first `{` and the
 * first `}` after it, if that is not empty; keys with one tag share a slot.
 */
export const slotOf = (key: Uint8Array): Slot => slotOfRange(key, 0, key.length);

/** The slot of the key that lies in `bytes` between `from` and `to`. */
export const slotOfRange = (bytes: Uint8Array, from: number, to: number): Slot => {
  const open = indexIn(bytes, 0x7b, { from, to });
  if (open < to) {
    const close = indexIn(bytes, 0x7d, { from: open + 1, to });
    if (close > open + 1 && close < to) return slot(crc16(bytes, open + 1, close) % slotCount);
  }
  return slot(crc16(bytes, from, to) % slotCount);
};

/** `to` where there is none. */
const indexIn = (
  bytes: Uint8Array,
  byte: number,
  { from, to }: { readonly from: number; readonly to: number },
): number => {
  let at = from;
  while (at < to && bytes[at] !== byte) at++;
  return at;
};

// CRC16-CCITT (XMODEM): polynomial 0x1021, start 0, no reflection; "123456789" gives 0x31c3. The second to fourth table are for
// bytes with one to three more behind them, so that four bytes do not wait for one another.
const tables = [0, 1, 2, 3].map((behind) =>
  Uint16Array.from({ length: 256 }, (_, byte) => {
    let crc = byte << 8;
    for (let bit = 0; bit < 8 + behind * 8; bit++)
      crc = (crc & 0x8000) !== 0 ? (crc << 1) ^ 0x1021 : crc << 1;
    return crc & 0xffff;
  }),
);
const [last = new Uint16Array(), third = last, second = last, first = last] = tables;

const crc16 = (bytes: Uint8Array, from: number, to: number): number => {
  let crc = 0;
  let i = from;
  for (; i + 4 <= to; i += 4)
    crc =
      (first[(crc >> 8) ^ (bytes[i] ?? 0)] ?? 0) ^
      (second[(crc & 0xff) ^ (bytes[i + 1] ?? 0)] ?? 0) ^
      (third[bytes[i + 2] ?? 0] ?? 0) ^
      (last[bytes[i + 3] ?? 0] ?? 0);
  for (; i < to; i++) crc = ((crc << 8) & 0xffff) ^ (last[((crc >> 8) ^ (bytes[i] ?? 0)) & 0xff] ?? 0);
  return crc;
};
