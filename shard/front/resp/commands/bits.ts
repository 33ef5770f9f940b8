import { valueBytesMax } from "../../../../core/limits.ts";
import { live, look, write } from "../../../turn.ts";
import {
  arg,
  command,
  notInteger,
  one,
  option,
  ReplyError,
  syntaxError,
  type Call,
  type Command,
} from "../command.ts";
import { parseLong } from "../numbers.ts";

/** Bits of a value, the highest bit of the first byte first. */

const bitOffset = (bytes: Buffer): number => {
  const n = parseLong(bytes);
  if (n === undefined || n < 0 || n >= valueBytesMax * 8)
    throw new ReplyError("ERR bit offset is not an integer or out of range");
  return n;
};

const setBit = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  const offset = bitOffset(arg(args, 2));
  const bit = parseLong(arg(args, 3));
  if (bit !== 0 && bit !== 1) throw new ReplyError("ERR bit is not an integer or out of range");
  const before = live(turn, key);
  const at = Math.floor(offset / 8);
  const was = before === undefined ? 0 : bitAt(before.value, offset);
  // As in Redis, what changes nothing writes nothing: whoever watches the key need not start again.
  if (before !== undefined && at < before.value.length && was === bit) {
    reply.integer(was);
    return;
  }
  const value = Buffer.alloc(Math.max(before?.value.length ?? 0, at + 1));
  if (before !== undefined) value.set(before.value);
  const mask = 0x80 >> (offset % 8);
  const byte = value[at] ?? 0;
  value[at] = bit === 1 ? byte | mask : byte & ~mask;
  write(turn, { kind: "set", key, value, expiresAtMs: before?.expiresAtMs ?? null });
  reply.integer(was);
};

const getBit = ({ args, turn, reply }: Call): void => {
  const offset = bitOffset(arg(args, 2));
  reply.integer(bitAt(look(turn, arg(args, 1))?.value ?? new Uint8Array(), offset));
};

const bitAt = (value: Uint8Array, offset: number): 0 | 1 =>
  ((value[Math.floor(offset / 8)] ?? 0) & (0x80 >> (offset % 8))) === 0 ? 0 : 1;

const ones = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

type Range = { readonly from: number; readonly to: number };

const long = (bytes: Buffer): number => {
  const n = parseLong(bytes);
  if (n === undefined) throw notInteger();
  return n;
};

/** Whether a range counts bits. */
const countsBits = (unit: Buffer | undefined): boolean => {
  const text = unit === undefined ? "BYTE" : option(unit);
  if (text !== "BIT" && text !== "BYTE") throw syntaxError();
  return text === "BIT";
};

/** A range with negative ends counted from the end of `length`, both ends included. */
const rangeWithin = (start: number, end: number, length: number): Range => ({
  from: start < 0 ? Math.max(0, length + start) : start,
  to: Math.min(end < 0 ? Math.max(0, length + end) : end, length - 1),
});

const bitCount = ({ args, turn, reply }: Call): void => {
  const value = look(turn, arg(args, 1))?.value;
  if (value === undefined) {
    reply.integer(0);
    return;
  }
  if (args.length === 3 || args.length > 5) throw syntaxError();
  if (args.length === 2) {
    reply.integer(countOnes(value, { from: 0, to: value.length * 8 - 1 }));
    return;
  }
  const start = long(arg(args, 2));
  const end = long(arg(args, 3));
  if (start < 0 && end < 0 && start > end) {
    reply.integer(0);
    return;
  }
  const isBits = countsBits(args[4]);
  const { from, to } = rangeWithin(start, end, isBits ? value.length * 8 : value.length);
  reply.integer(countOnes(value, isBits ? { from, to } : { from: from * 8, to: to * 8 + 7 }));
};

const countOnes = (value: Uint8Array, { from, to }: Range): number => {
  let count = 0;
  let at = from;
  for (; at <= to && at % 8 !== 0; at++) count += bitAt(value, at);
  for (; at + 7 <= to; at += 8) count += ones[value[at / 8] ?? 0] ?? 0;
  for (; at <= to; at++) count += bitAt(value, at);
  return count;
};

const bitPos = ({ args, turn, reply }: Call): void => {
  const bit = long(arg(args, 2));
  if (bit !== 0 && bit !== 1) throw new ReplyError("ERR The bit argument must be 1 or 0.");
  const value = look(turn, arg(args, 1))?.value;
  if (value === undefined) {
    reply.integer(bit === 1 ? -1 : 0);
    return;
  }
  if (args.length > 6) throw syntaxError();
  const start = args.length > 3 ? long(arg(args, 3)) : 0;
  const isBits = args.length === 6 && countsBits(args[5]);
  const length = isBits ? value.length * 8 : value.length;
  const end = args.length > 4 ? long(arg(args, 4)) : length - 1;
  const { from, to } = rangeWithin(start, end, length);
  const found = find(value, bit, isBits ? { from, to } : { from: from * 8, to: to * 8 + 7 });
  if (found !== -1 || from > to) reply.integer(found);
  // Without an end given the value goes on with zeros for ever.
  else reply.integer(bit === 0 && args.length < 5 ? value.length * 8 : -1);
};

const find = (value: Uint8Array, bit: 0 | 1, { from, to }: Range): number => {
  const without = bit === 1 ? 0x00 : 0xff;
  for (let at = from; at <= to; at++) {
    if (at % 8 === 0 && at + 7 <= to && value[at / 8] === without) at += 7;
    else if (bitAt(value, at) === bit) return at;
  }
  return -1;
};

export const bits: readonly Command[] = [
  command(["setbit", 4, one], ["write", "denyoom"], setBit),
  command(["getbit", 3, one], ["readonly", "fast"], getBit),
  command(["bitcount", -2, one], ["readonly"], bitCount),
  command(["bitpos", -3, one], ["readonly"], bitPos),
];
