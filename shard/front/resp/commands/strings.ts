import { valueBytesMax } from "../../../../core/limits.ts";
import { isThere, live, look, remove, write } from "../../../turn.ts";
import {
  all,
  arg,
  command,
  notInteger,
  one,
  option,
  pairs,
  ReplyError,
  syntaxError,
  wrongArity,
  type Call,
  type Command,
} from "../command.ts";
import { instantOf, type Unit } from "../expiry.ts";
import { parseLong } from "../numbers.ts";

/** What holds of a string at its edges: it never grows beyond what any client could set. */
const checkLength = (length: number): void => {
  if (length > valueBytesMax)
    throw new ReplyError("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
};

const get = ({ args, turn, reply }: Call): void => {
  reply.bulkOrNull(look(turn, arg(args, 1))?.value);
};

type SetOptions = {
  condition: "always" | "nx" | "xx" | "ifeq";
  expected: Buffer | null;
  get: boolean;
  keep: boolean;
  persist: boolean;
  unit: Unit | null;
  amount: Buffer | null;
};

const units: Readonly<Partial<Record<string, Unit>>> = {
  EX: { scale: 1000, isRelative: true },
  PX: { scale: 1, isRelative: true },
  EXAT: { scale: 1000, isRelative: false },
  PXAT: { scale: 1, isRelative: false },
};

/** Reads the options of SET (from argument 3) and of GETEX (from argument 2). */
const readOptions = (args: readonly Buffer[], from: number, isSet: boolean): SetOptions => {
  const options: SetOptions = {
    ...{ condition: "always", expected: null, get: false },
    ...{ keep: false, persist: false, unit: null, amount: null },
  };
  for (let i = from; i < args.length; i++) {
    const name = option(args[i]);
    const unit = units[name];
    if (unit !== undefined && isUntimed(options, unit) && i + 1 < args.length) {
      options.unit = unit;
      options.amount = arg(args, ++i);
    } else if (isSet && (name === "NX" || name === "XX") && isFree(options, name)) {
      options.condition = name === "NX" ? "nx" : "xx";
    } else if (isSet && name === "IFEQ" && options.condition === "always" && i + 1 < args.length) {
      options.condition = "ifeq";
      options.expected = arg(args, ++i);
    } else if (isSet && name === "GET") {
      options.get = true;
    } else if (isSet && name === "KEEPTTL" && !options.persist && options.unit === null) {
      options.keep = true;
    } else if (!isSet && name === "PERSIST" && options.unit === null) {
      options.persist = true;
    } else throw syntaxError();
  }
  return options;
};

/** An option that was given may be given again; the last one counts. */
const isUntimed = ({ keep, persist, unit }: SetOptions, asked: Unit): boolean =>
  !keep && !persist && (unit === null || unit === asked);

const isFree = ({ condition }: SetOptions, name: "NX" | "XX"): boolean =>
  condition === "always" || condition === name.toLowerCase();

const set = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  const value = arg(args, 2);
  if (args.length === 3) {
    write(turn, { kind: "set", key, value, expiresAtMs: null });
    reply.simple("OK");
    return;
  }
  const options = readOptions(args, 3, true);
  let expiresAtMs =
    options.unit === null || options.amount === null
      ? null
      : instantOf({ amount: options.amount, unit: options.unit, name: "set" }, turn.wallMs);
  const before = live(turn, key);
  if (options.get) reply.bulkOrNull(before?.value);
  const holds =
    options.condition === "always" ||
    (options.condition === "ifeq"
      ? before !== undefined && options.expected?.equals(before.value) === true
      : (options.condition === "nx") === (before === undefined));
  if (!holds) {
    if (!options.get) reply.null();
    return;
  }
  if (options.keep) expiresAtMs = before?.expiresAtMs ?? null;
  write(turn, { kind: "set", key, value, expiresAtMs });
  if (!options.get) reply.simple("OK");
};

const setNx = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  const isFree = !isThere(turn, key);
  if (isFree) write(turn, { kind: "set", key, value: arg(args, 2), expiresAtMs: null });
  reply.integer(isFree ? 1 : 0);
};

const setWithExpiry =
  (name: string, scale: number) =>
  ({ args, turn, reply }: Call): void => {
    const unit = { scale, isRelative: true };
    const expiresAtMs = instantOf({ amount: arg(args, 2), unit, name }, turn.wallMs);
    write(turn, { kind: "set", key: arg(args, 1), value: arg(args, 3), expiresAtMs });
    reply.simple("OK");
  };

const getSet = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  reply.bulkOrNull(look(turn, key)?.value);
  write(turn, { kind: "set", key, value: arg(args, 2), expiresAtMs: null });
};

const getDel = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  reply.bulkOrNull(look(turn, key)?.value);
  remove(turn, key);
};

const getEx = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  const { unit, amount, persist } = readOptions(args, 2, false);
  const stored = look(turn, key);
  if (stored === undefined) {
    reply.null();
    return;
  }
  const expiresAtMs =
    unit === null || amount === null ? null : instantOf({ amount, unit, name: "getex" }, turn.wallMs);
  reply.bulk(stored.value);
  if (expiresAtMs !== null && expiresAtMs <= turn.wallMs) remove(turn, key);
  else if (expiresAtMs !== null || (persist && stored.expiresAtMs !== null))
    write(turn, { kind: "set", key, value: Buffer.from(stored.value), expiresAtMs });
};

const mGet = ({ args, turn, reply }: Call): void => {
  reply.array(args.length - 1);
  for (let i = 1; i < args.length; i++) reply.bulkOrNull(look(turn, arg(args, i))?.value);
};

const setAll = ({ args, turn }: Call): void => {
  for (let i = 1; i < args.length; i += 2)
    write(turn, { kind: "set", key: arg(args, i), value: arg(args, i + 1), expiresAtMs: null });
};

const mSet = (call: Call): void => {
  if (call.args.length % 2 === 0) throw new ReplyError(wrongArity("mset"));
  setAll(call);
  call.reply.simple("OK");
};

const mSetNx = (call: Call): void => {
  const { args, turn, reply } = call;
  if (args.length % 2 === 0) throw new ReplyError(wrongArity("msetnx"));
  for (let i = 1; i < args.length; i += 2) {
    if (!isThere(turn, arg(args, i))) continue;
    reply.integer(0);
    return;
  }
  setAll(call);
  reply.integer(1);
};

const append = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  const before = live(turn, key);
  const value = before === undefined ? arg(args, 2) : Buffer.concat([before.value, arg(args, 2)]);
  checkLength(value.length);
  write(turn, { kind: "set", key, value, expiresAtMs: before?.expiresAtMs ?? null });
  reply.integer(value.length);
};

const strLen = ({ args, turn, reply }: Call): void => {
  reply.integer(look(turn, arg(args, 1))?.value.length ?? 0);
};

const long = (bytes: Buffer): number => {
  const n = parseLong(bytes);
  if (n === undefined) throw notInteger();
  return n;
};

const getRange = ({ args, turn, reply }: Call): void => {
  const start = long(arg(args, 2));
  const end = long(arg(args, 3));
  const value = look(turn, arg(args, 1))?.value ?? new Uint8Array();
  const from = start < 0 ? Math.max(0, value.length + start) : start;
  const to = Math.min(end < 0 ? Math.max(0, value.length + end) : end, value.length - 1);
  const isEmpty = (start < 0 && end < 0 && start > end) || from > to;
  reply.bulk(isEmpty ? new Uint8Array() : value.subarray(from, to + 1));
};

const setRange = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  const offset = long(arg(args, 2));
  const piece = arg(args, 3);
  if (offset < 0) throw new ReplyError("ERR offset is out of range");
  const before = live(turn, key);
  const length = before?.value.length ?? 0;
  if (piece.length === 0) {
    reply.integer(length);
    return;
  }
  checkLength(offset + piece.length);
  const value = Buffer.alloc(Math.max(length, offset + piece.length));
  if (before !== undefined) value.set(before.value);
  piece.copy(value, offset);
  write(turn, { kind: "set", key, value, expiresAtMs: before?.expiresAtMs ?? null });
  reply.integer(value.length);
};

export const strings: readonly Command[] = [
  command(["get", 2, one], ["readonly", "fast"], get),
  command(["set", -3, one], ["write", "denyoom"], set),
  command(["setnx", 3, one], ["write", "denyoom", "fast"], setNx),
  command(["setex", 4, one], ["write", "denyoom"], setWithExpiry("setex", 1000)),
  command(["psetex", 4, one], ["write", "denyoom"], setWithExpiry("psetex", 1)),
  command(["getset", 3, one], ["write", "denyoom", "fast"], getSet),
  command(["getdel", 2, one], ["write", "fast"], getDel),
  command(["getex", -2, one], ["write", "fast"], getEx),
  command(["mget", -2, all], ["readonly", "fast"], mGet),
  command(["mset", -3, pairs], ["write", "denyoom"], mSet),
  command(["msetnx", -3, pairs], ["write", "denyoom"], mSetNx),
  command(["append", 3, one], ["write", "denyoom", "fast"], append),
  command(["strlen", 2, one], ["readonly", "fast"], strLen),
  command(["getrange", 4, one], ["readonly"], getRange),
  command(["substr", 4, one], ["readonly"], getRange),
  command(["setrange", 4, one], ["write", "denyoom"], setRange),
];
