import { badMessage, endOf } from "./cbor.ts";
import { keyBytesMax, valueBytesMax } from "./limits.ts";

/**
 * Reads CBOR (RFC 8949) in place, item by item, for the frames of which there are millions: nothing is allocated, and
 * nothing is read that is not there. `take…` moves `at` behind what it read. All throw `bad-message`.
 */
export type CborReader = {
  bytes: Uint8Array;
  /** Where the next item begins. */
  at: number;
  /** Where the content of the byte or text string that was taken last begins; it ends at `at`. */
  start: number;
};

export const createCborReader = (): CborReader => ({ bytes: new Uint8Array(), at: 0, start: 0 });

/** Takes the header of an array: how many items follow. There are at least as many bytes. */
export const takeArray = (reader: CborReader, what: string): number => {
  const first = peek(reader);
  if (first >> 5 !== 4) throw badMessage(`${what} is not an array`);
  const length = takeArgument(reader, first);
  if (length <= reader.bytes.length - reader.at) return length;
  throw badMessage("an array or map in it is longer than the message");
};

/** Takes a byte string and gives its length; -1, and nothing is taken, where the next item is something else. */
export const takeBytes = (reader: CborReader): number => takeString(reader, 2);

/** Takes a key, from `start` to `at`. */
export const takeKey = (reader: CborReader): void => {
  const length = takeBytes(reader);
  if (length < 1 || length > keyBytesMax) throw badMessage(`a key is not 1 to ${keyBytesMax} bytes`);
};

/** Takes a value, from `start` to `at`. */
export const takeValue = (reader: CborReader): void => {
  const length = takeBytes(reader);
  if (length < 0 || length > valueBytesMax) throw badMessage(`a value is not 0 to ${valueBytesMax} bytes`);
};

/** Takes a text string as `takeBytes` does. */
export const takeText = (reader: CborReader): number => takeString(reader, 3);

const takeString = (reader: CborReader, major: number): number => {
  const first = peek(reader);
  if (first >> 5 !== major) return -1;
  const length = takeArgument(reader, first);
  if (length > reader.bytes.length - reader.at) throw badMessage("a string in it is longer than the message");
  reader.start = reader.at;
  reader.at += length;
  return length;
};

/** Takes an integer of at most 53 bits in any width, or a float that is one. */
export const takeInteger = (reader: CborReader, what: string): number => {
  const n = takeNumber(reader);
  if (Number.isSafeInteger(n)) return n;
  throw badMessage(`${what} is not an integer of at most 53 bits`);
};

/** `takeInteger`, and not negative. */
export const takeCount = (reader: CborReader, what: string): number => {
  const n = takeInteger(reader, what);
  if (n >= 0) return n;
  throw badMessage(`${what} is negative`);
};

/** Takes any number; NaN, and nothing is taken, where the next item is something else. */
export const takeNumber = (reader: CborReader): number => {
  const first = peek(reader);
  if (first < 24) {
    reader.at++;
    return first;
  }
  if (first < 0x20) return takeArgument(reader, first);
  if (first < 0x40) return -1 - takeArgument(reader, first);
  return first >= 0xf9 && first <= 0xfb ? takeFloat(reader, first) : NaN;
};

/** Skips one item of any kind that nests no deeper than `depthMax`, and returns what is left of `itemsLeft` items. Throws `too-large` too. */
export const skipItem = (reader: CborReader, depthMax: number, itemsLeft: number): number => {
  const { bytes } = reader;
  const room = {
    left: itemsLeft,
    budget: { bytesMax: bytes.length, depthMax, itemsMax: itemsLeft },
  };
  reader.at = endOf(bytes, reader.at, room);
  return room.left;
};

/** The first byte of the next item. */
export const peek = ({ bytes, at }: CborReader): number => {
  const byte = bytes[at];
  if (byte === undefined) throw badMessage("it is cut off");
  return byte;
};

/** The argument of the header whose first byte is `first`. */
const takeArgument = (reader: CborReader, first: number): number => {
  const info = first & 0x1f;
  if (info < 24) {
    reader.at++;
    return info;
  }
  if (info > 27) throw badMessage("it holds an indefinite or reserved length");
  const { bytes } = reader;
  let at = reader.at + 1;
  const end = at + (1 << (info - 24));
  if (end > bytes.length) throw badMessage("it is cut off");
  let argument = 0;
  while (at < end) argument = argument * 256 + (bytes[at++] ?? 0);
  reader.at = at;
  return argument;
};

const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);

const takeFloat = (reader: CborReader, first: number): number => {
  const { bytes, at } = reader;
  const size = 1 << (first - 0xf8);
  if (at + 1 + size > bytes.length) throw badMessage("it is cut off");
  for (let i = 0; i < size; i++) scratch[i] = bytes[at + 1 + i] ?? 0;
  reader.at = at + 1 + size;
  // Minus zero is zero: whoever compares counts does not tell them apart.
  if (size === 8) return scratchView.getFloat64(0) + 0;
  return (size === 4 ? scratchView.getFloat32(0) : half(scratchView.getUint16(0))) + 0;
};

/** A 16-bit float (RFC 8949, appendix D). Edis writes none, others may. */
const half = (bits: number): number => {
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (mantissa + 1024) * 2 ** (exponent - 25);
};
