import { live, write } from "../../../turn.ts";
import { arg, command, notInteger, one, ReplyError, type Call, type Command } from "../command.ts";
import { addLongDoubles, formatLongDouble, parseLongDouble, type LongDouble } from "../longDouble.ts";
import { fitsInt64, parseInt64, parseSafe, textOf } from "../numbers.ts";

const zero = Buffer.from("0");

/** Adds to the integer that the key holds; what there is no room for in 64 bits is refused. */
const increment = ({ args, turn, reply }: Call, by: bigint): void => {
  const key = arg(args, 1);
  const stored = live(turn, key);
  const before = stored?.value ?? zero;
  const expiresAtMs = stored?.expiresAtMs ?? null;
  // Most counters are small: no big integers for those.
  const small = parseSafe(before);
  const step = Number(by);
  let sum: number | bigint;
  if (small !== undefined && Number.isSafeInteger(step) && Number.isSafeInteger(small + step)) {
    sum = small + step;
  } else {
    const large = parseInt64(before);
    if (large === undefined) throw notInteger();
    sum = large + by;
    if (!fitsInt64(sum)) throw new ReplyError("ERR increment or decrement would overflow");
  }
  write(turn, { kind: "set", key, value: Buffer.from(String(sum), "latin1"), expiresAtMs });
  reply.integer(sum);
};

const amount = ({ args }: Call): bigint => {
  const n = parseInt64(arg(args, 2));
  if (n === undefined) throw notInteger();
  return n;
};

const decrementBy = (call: Call): void => {
  const by = amount(call);
  if (!fitsInt64(-by)) throw new ReplyError("ERR decrement would overflow");
  increment(call, -by);
};

const incrementByFloat = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  const stored = live(turn, key);
  const before = float(stored?.value ?? zero);
  const by = float(arg(args, 2));
  // Both have to be numbers before it matters that one is infinite.
  const sum = before === null || by === null ? undefined : addLongDoubles(before, by);
  if (sum === undefined) throw new ReplyError("ERR increment would produce NaN or Infinity");
  const value = Buffer.from(formatLongDouble(sum), "latin1");
  write(turn, { kind: "set", key, value, expiresAtMs: stored?.expiresAtMs ?? null });
  reply.bulk(value);
};

/** Null for one of the infinities. */
const float = (bytes: Uint8Array): LongDouble | null => {
  const text = textOf(bytes);
  const n = parseLongDouble(text);
  if (n !== undefined) return n;
  if (/^[+-]?inf(?:inity)?$/i.test(text)) return null;
  throw new ReplyError("ERR value is not a valid float");
};

export const counters: readonly Command[] = [
  command(["incr", 2, one], ["write", "denyoom", "fast"], (call) => {
    increment(call, 1n);
  }),
  command(["decr", 2, one], ["write", "denyoom", "fast"], (call) => {
    increment(call, -1n);
  }),
  command(["incrby", 3, one], ["write", "denyoom", "fast"], (call) => {
    increment(call, amount(call));
  }),
  command(["decrby", 3, one], ["write", "denyoom", "fast"], decrementBy),
  command(["incrbyfloat", 3, one], ["write", "denyoom", "fast"], incrementByFloat),
];
