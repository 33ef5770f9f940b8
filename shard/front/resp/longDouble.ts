/**
 * INCRBYFLOAT counts in the 80-bit floats of x86 (64 bits of mantissa) and prints 17 decimals without the zeros at their
 * end. Exact integers do the same here: a number is `mantissa * 2^exponent`.
 */
export type LongDouble = { readonly mantissa: bigint; readonly exponent: number };

const mantissaBits = 64;
/** Beyond these the real one is infinite or zero. */
const exponentMax = 16_383;
/** Digits of a text that is read at all. */
const textBytesMax = 512;

/** The nearest long double to a decimal number; undefined where the text is none (or infinite, or written in hexadecimal). */
export const parseLongDouble = (text: string): LongDouble | undefined => {
  if (text.length > textBytesMax) return undefined;
  const parts = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,5}))?$/.exec(text);
  if (parts === null) return undefined;
  const [, sign, whole = "", fraction = "", power = "0"] = parts;
  if (whole === "" && fraction === "") return undefined;
  const digits = BigInt(`${whole}${fraction}`);
  const scale = Number(power) - fraction.length;
  if (digits !== 0n && Math.abs(scale) > 5_000) return undefined;
  const magnitude =
    scale >= 0
      ? round(digits * 10n ** BigInt(scale), 1n)
      : digits === 0n
        ? { mantissa: 0n, exponent: 0 }
        : round(digits, 10n ** BigInt(-scale));
  if (bits(magnitude.mantissa) + magnitude.exponent > exponentMax) return undefined;
  return { ...magnitude, mantissa: sign === "-" ? -magnitude.mantissa : magnitude.mantissa };
};

/** The nearest to the sum; undefined where it is infinite. */
export const addLongDoubles = (a: LongDouble, b: LongDouble): LongDouble | undefined => {
  const exponent = Math.min(a.exponent, b.exponent);
  const exact = (a.mantissa << BigInt(a.exponent - exponent)) + (b.mantissa << BigInt(b.exponent - exponent));
  const rounded = round(exact < 0n ? -exact : exact, 1n);
  const sum = {
    mantissa: exact < 0n ? -rounded.mantissa : rounded.mantissa,
    exponent: rounded.exponent + exponent,
  };
  return bits(rounded.mantissa) + sum.exponent > exponentMax ? undefined : sum;
};

/** As `%.17Lf` prints it, without zeros at the end. */
export const formatLongDouble = ({ mantissa, exponent }: LongDouble): string => {
  const scaled = (mantissa < 0n ? -mantissa : mantissa) * 10n ** 17n;
  const whole = exponent >= 0 ? scaled << BigInt(exponent) : divide(scaled, 1n << BigInt(-exponent));
  const digits = whole.toString().padStart(18, "0");
  const text = `${digits.slice(0, -17)}.${digits.slice(-17)}`.replace(/\.?0+$/, "");
  return mantissa < 0n && text !== "0" ? `-${text}` : text;
};

/** `numerator / denominator`, neither negative, to 64 bits, half to even. */
const round = (numerator: bigint, denominator: bigint): LongDouble => {
  if (numerator === 0n) return { mantissa: 0n, exponent: 0 };
  const exponent = bits(numerator) - bits(denominator) - mantissaBits;
  const near =
    exponent >= 0
      ? divide(numerator, denominator << BigInt(exponent))
      : divide(numerator << BigInt(-exponent), denominator);
  if (bits(near) <= mantissaBits) return { mantissa: near, exponent };
  // One bit too many: rounded again from the exact value.
  return {
    mantissa:
      exponent + 1 >= 0
        ? divide(numerator, denominator << BigInt(exponent + 1))
        : divide(numerator << BigInt(-exponent - 1), denominator),
    exponent: exponent + 1,
  };
};

const divide = (numerator: bigint, denominator: bigint): bigint => {
  const quotient = numerator / denominator;
  const twice = (numerator - quotient * denominator) * 2n;
  const isUp = twice > denominator || (twice === denominator && (quotient & 1n) === 1n);
  return isUp ? quotient + 1n : quotient;
};

const bits = (n: bigint): number => (n === 0n ? 0 : n.toString(2).length);
