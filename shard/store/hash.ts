/** A secret of 64 bits, drawn once per process: without it nobody can make keys that meet in one place of the index. */
export type HashSeed = { readonly low: number; readonly high: number };

/**
 * HalfSipHash-1-3 of the key, 32 bits, signed. A keyed function of its kind is needed where strangers choose the keys;
 * for faster ones colliding keys are known whatever the seed. Allocates nothing.
 */
export const hashOf = (key: Uint8Array, seed: HashSeed): number =>
  hashOfRange({ bytes: key, from: 0, to: key.length }, seed);

/** The same of the bytes between `from` and `to`. */
export const hashOfRange = (
  { bytes, from, to }: { readonly bytes: Uint8Array; readonly from: number; readonly to: number },
  { low, high }: HashSeed,
): number => {
  const length = to - from;
  const words = length >>> 2;
  let v0 = low | 0;
  let v1 = high | 0;
  let v2 = 0x6c796765 ^ low;
  let v3 = 0x74656462 ^ high;
  // All words, the last few bytes with the length, then three rounds without input.
  for (let i = 0; i < words + 4; i++) {
    let word = 0;
    if (i < words) word = wordAt(bytes, from + (i << 2));
    else if (i === words) word = (length << 24) | tailOf(bytes, from + (i << 2), to);
    else if (i === words + 1) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
};

const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at] ?? 0) |
  ((bytes[at + 1] ?? 0) << 8) |
  ((bytes[at + 2] ?? 0) << 16) |
  ((bytes[at + 3] ?? 0) << 24);

/** The last bytes, up to three. */
const tailOf = (bytes: Uint8Array, at: number, to: number): number => {
  let word = 0;
  for (let i = at; i < to; i++) word |= (bytes[i] ?? 0) << ((i - at) << 3);
  return word;
};
