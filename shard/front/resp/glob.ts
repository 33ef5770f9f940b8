/** Redis's glob (`*`, `?`, `[a-z]`, `[^…]`, `\` before what stands for itself) over bytes. Time is bounded by pattern times text. */
export const matches = (pattern: Uint8Array, text: Uint8Array): boolean => {
  let p = 0;
  let t = 0;
  // Where to go back to: behind the last star, which then takes one byte more.
  let star = -1;
  let taken = 0;
  while (t < text.length) {
    if (pattern[p] === asterisk) {
      star = ++p;
      taken = t;
      continue;
    }
    const next = p < pattern.length ? matchOne(pattern, p, text[t] ?? 0) : -1;
    if (next !== -1) {
      p = next;
      t++;
    } else if (star !== -1) {
      p = star;
      t = ++taken;
    } else return false;
  }
  while (pattern[p] === asterisk) p++;
  return p >= pattern.length;
};

const asterisk = 0x2a;
const question = 0x3f;
const bracket = 0x5b;
const closing = 0x5d;
const caret = 0x5e;
const backslash = 0x5c;
const dash = 0x2d;

/** The place in the pattern behind what matched the byte, -1 where it does not match. */
const matchOne = (pattern: Uint8Array, p: number, byte: number): number => {
  const at = pattern[p];
  if (at === question) return p + 1;
  if (at === bracket) return matchClass(pattern, p + 1, byte);
  if (at !== backslash || p + 1 === pattern.length) return at === byte ? p + 1 : -1;
  return pattern[p + 1] === byte ? p + 2 : -1;
};

const matchClass = (pattern: Uint8Array, start: number, byte: number): number => {
  let p = start;
  const isNegated = pattern[p] === caret;
  if (isNegated) p++;
  let isFound = false;
  for (; p < pattern.length && pattern[p] !== closing; p++) {
    const at = pattern[p] ?? 0;
    if (at === backslash && p + 1 < pattern.length) {
      if (pattern[++p] === byte) isFound = true;
    } else if (pattern[p + 1] === dash && p + 2 < pattern.length) {
      const to = pattern[p + 2] ?? 0;
      if (byte >= Math.min(at, to) && byte <= Math.max(at, to)) isFound = true;
      p += 2;
    } else if (at === byte) isFound = true;
  }
  // A class that is not closed ends with the pattern.
  return isFound === isNegated ? -1 : Math.min(p + 1, pattern.length);
};
