/** Numbers as Redis reads and writes them. */

const minusSign = 0x2d;
const zero = 0x30;

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;

/** The decimal integer of a length line, undefined where there is none or it is beyond 53 bits. */
export const parseLength = (buffer: Uint8Array, from: number, to: number): number | undefined => {
  let at = from;
  const isNegative = buffer[at] === minusSign;
  if (isNegative) at++;
  if (at === to || to - at > 15) return undefined;
  if (buffer[at] === zero && (isNegative || to - at > 1)) return undefined;
  let n = 0;
  for (; at < to; at++) {
    const digit = (buffer[at] ?? 0) - zero;
    if (digit < 0 || digit > 9) return undefined;
    n = n * 10 + digit;
  }
  return isNegative ? -n : n;
};

/** A whole number in the one way to write it (no sign but `-`, no leading zeros, no blanks), within 53 bits; else undefined. */
export const parseSafe = (bytes: Uint8Array): number | undefined => {
  return parseLength(bytes, 0, bytes.length);
};

/** The same within 64 bits. */
export const parseInt64 = (bytes: Uint8Array): bigint | undefined => {
  const small = parseSafe(bytes);
  if (small !== undefined) return BigInt(small);
  if (bytes.length > 20) return undefined;
  const text = textOf(bytes);
  if (!/^-?[1-9][0-9]*$/.test(text)) return undefined;
  const n = BigInt(text);
  return fitsInt64(n) ? n : undefined;
};

export const fitsInt64 = (n: bigint): boolean => n >= int64Min && n <= int64Max;

/** One character per byte. */
export const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");

/** A 64-bit integer as a number where that is exact enough to compare it with limits; beyond 53 bits it is rounded. */
export const parseLong = (bytes: Uint8Array): number | undefined => {
  const small = parseSafe(bytes);
  if (small !== undefined) return small;
  const large = parseInt64(bytes);
  return large === undefined ? undefined : Number(large);
};
