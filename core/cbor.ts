import { Decoder, Encoder } from "cbor-x";
import { EdisError } from "./errors.ts";

/**
 * CBOR (RFC 8949) with a budget. Bytes from outside are walked once, header by header, before anything is allocated:
 * only definite lengths, no tags, bounded depth, items and length. What passes is then decoded by cbor-x, which
 * would otherwise spend seconds on a bignum tag of 100 kB and accept much that nobody here sends.
 */
export type Budget = { readonly bytesMax: number; readonly depthMax: number; readonly itemsMax: number };

const codec = {
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  variableMapSize: true,
  int64AsNumber: true,
} as const;
const encoder = new Encoder(codec);
const decoder = new Decoder(codec);

/** One value as CBOR. Numbers from 2^32 up are written as 64-bit floats; every safe integer survives. */
export const encode = (value: unknown): Uint8Array => encoder.encode(value);

/** Reads exactly one value. Byte strings are views of `bytes`. Throws `bad-message` or `too-large`. */
export const decode = (bytes: Uint8Array, budget: Budget): unknown => {
  const end = endOf(bytes, 0, { left: budget.itemsMax, budget });
  if (end !== bytes.length) throw badMessage(`${bytes.length - end} bytes follow its value`);
  return decodeChecked(bytes);
};

const decodeChecked = (bytes: Uint8Array): unknown => {
  try {
    return decoder.decode(bytes) as unknown;
  } catch (error) {
    throw new EdisError("bad-message", "Cannot read the message: it is not well-formed CBOR", {
      cause: error,
    });
  }
};

export type Room = { left: number; readonly budget: Budget };

/** The offset behind the value at `start`. Iterative, so that no depth of nesting can overflow the stack. */
export const endOf = (bytes: Uint8Array, start: number, room: Room): number => {
  if (bytes.length > room.budget.bytesMax) {
    throw tooLarge(`it has ${bytes.length} bytes, the maximum is ${room.budget.bytesMax}`);
  }
  const pending: number[] = [];
  let at = start;
  let wanted = 1;
  for (;;) {
    while (wanted === 0) {
      const outer = pending.pop();
      if (outer === undefined) return at;
      wanted = outer;
    }
    wanted--;
    if (room.left-- === 0) throw tooLarge(`it holds more than ${room.budget.itemsMax} items`);
    const { major, argument, next } = header(bytes, at);
    at = next;
    switch (major) {
      case 0: // unsigned
      case 1: // negative
      case 7: // simple and float
        break;
      case 2: // bytes
      case 3: // text
        if (argument > bytes.length - at) throw badMessage("a string in it is longer than the message");
        at += argument;
        break;
      case 4: // array
      case 5: // map
        if (argument > bytes.length - at)
          throw badMessage("an array or map in it is longer than the message");
        pending.push(wanted);
        if (pending.length > room.budget.depthMax)
          throw tooLarge(`it nests deeper than ${room.budget.depthMax}`);
        wanted = major === 4 ? argument : argument * 2;
        break;
      default:
        throw badMessage("it holds a tag");
    }
  }
};

const header = (bytes: Uint8Array, at: number): { major: number; argument: number; next: number } => {
  const first = byteAt(bytes, at);
  const major = first >> 5;
  const info = first & 0x1f;
  if (info < 24) {
    if (major === 7 && info < 20) throw badMessage("it holds an unassigned simple value");
    return { major, argument: info, next: at + 1 };
  }
  if (info > 27) throw badMessage("it holds an indefinite or reserved length");
  if (major === 7 && info === 24) throw badMessage("it holds an unassigned simple value");
  const size = 1 << (info - 24);
  let argument = 0;
  for (let i = 1; i <= size; i++) argument = argument * 256 + byteAt(bytes, at + i);
  return { major, argument, next: at + 1 + size };
};

const byteAt = (bytes: Uint8Array, at: number): number => {
  const byte = bytes[at];
  if (byte === undefined) throw badMessage("it is cut off");
  return byte;
};

/** What a message is refused with. */
export const badMessage = (what: string): EdisError =>
  new EdisError("bad-message", `Cannot read the message: ${what}`);
/** What a message above its limits is refused with. */
export const tooLarge = (what: string): EdisError =>
  new EdisError("too-large", `Cannot read the message: ${what}`);
