import { valueBytesMax } from "../../core/limits.ts";
import type { Random } from "../support/random.ts";

/** Random command sequences from a seed: all keys share a slot, and values are those at which behaviour turns. */
const keyNames = ["{t}a", "{t}b", "{t}c", "{t}d", "{t}\xff\x00", "{t}e*"];
const values = [
  ..."0|1|-1|10|9223372036854775807|-9223372036854775808|9223372036854775808|9007199254740993".split("|"),
  ..."3.14|1e3|-0|+5| 5|5 |007|abc|\x00\x01\xff|1.5e300|0.1|nan|inf|.5|5.|".split("|"),
  ..."hello world\r\n|foobar".split("|"),
  "x".repeat(44),
  "y".repeat(45),
  "\xff".repeat(20),
];
const integers = [
  ..."0|1|-1|2|5|-5|7|100|-100|1000000|-1000000|9223372036854775807|-9223372036854775808".split("|"),
  ..."9223372036854775808|abc|1.5|| 1|01|-0".split("|"),
];
const offsets = [..."0|1|2|-1|-2|3|7|8|9|15|16|-3|-8|-100|100|20".split("|"), "9223372036854775807", "x"];
const oddTimes = ["0", "-1", "abc", "9223372036854775807", "-9223372036854775808"];
/**
 * Relative expiries, in seconds or milliseconds. No two are alike: which of two equal ones ends later depends on the
 * milliseconds between the commands, and those are each server's own.
 */
const time = (random: Random): string =>
  random.below(2) === 0 ? random.pick(oddTimes) : String(1_000 * (100 + random.below(1_000_000)));
const instants = ["4000000000", "5000000000", "1", "0", "-5", "abc"];
const instantsMs = ["4000000000000", "5000000000000", "1", "0", "-5", "abc"];
const floats = [
  "0.1",
  "-0.1",
  "3",
  "1e2",
  "-1.5e-3",
  "abc",
  "inf",
  "nan",
  "5.0e3",
  "1e17",
  "0.00000000000000001",
  "1e400",
  "3.0000000000000001",
];

type Make = (random: Random) => readonly string[];
const key = (random: Random): string => random.pick(keyNames);
const value = (random: Random): string => random.pick(values);
const some = (random: Random, make: (random: Random) => string, max = 3): string[] =>
  Array.from({ length: random.below(max) + 1 }, () => make(random));
const maybe = (random: Random, ...words: readonly string[]): string[] =>
  random.below(2) === 0 ? [] : [...words];

const setOption: Make = (random) =>
  random.pick<() => readonly string[]>([
    () => ["NX"],
    () => ["xx"],
    () => ["GET"],
    () => ["KEEPTTL"],
    () => ["EX", time(random)],
    () => ["PX", time(random)],
    () => ["EXAT", random.pick(instants)],
    () => ["PXAT", random.pick(instantsMs)],
    () => ["PERSIST"],
    () => ["bogus"],
    () => ["EX"],
  ])();
const options = (random: Random, max = 3): string[] =>
  Array.from({ length: random.below(max) }, () => setOption(random)).flat();
const expireOptions = (random: Random): string[] =>
  Array.from({ length: random.below(3) }, () => random.pick(["NX", "XX", "gt", "LT", "QQ"]));

const makers: Readonly<Record<string, Make>> = {
  get: (r) => [key(r)],
  set: (r) => [key(r), value(r), ...options(r)],
  setnx: (r) => [key(r), value(r)],
  setex: (r) => [key(r), time(r), value(r)],
  psetex: (r) => [key(r), time(r), value(r)],
  getset: (r) => [key(r), value(r)],
  getdel: (r) => [key(r)],
  getex: (r) => [key(r), ...options(r, 2)],
  mget: (r) => some(r, key),
  mset: (r) => [
    ...some(r, (x) => key(x)).flatMap((k) => [k, value(r)]),
    ...(r.below(6) === 0 ? [key(r)] : []),
  ],
  msetnx: (r) => some(r, (x) => key(x)).flatMap((k) => [k, value(r)]),
  append: (r) => [key(r), value(r)],
  strlen: (r) => [key(r)],
  getrange: (r) => [key(r), r.pick(offsets), r.pick(offsets)],
  substr: (r) => [key(r), r.pick(offsets), r.pick(offsets)],
  setrange: (r) => [key(r), r.pick([...offsets, "1048576", String(valueBytesMax)]), value(r)],
  incr: (r) => [key(r)],
  decr: (r) => [key(r)],
  incrby: (r) => [key(r), r.pick(integers)],
  decrby: (r) => [key(r), r.pick(integers)],
  incrbyfloat: (r) => [key(r), r.pick(floats)],
  setbit: (r) => [key(r), r.pick(offsets), r.pick(["0", "1", "1", "2", "x"])],
  getbit: (r) => [key(r), r.pick(offsets)],
  bitcount: (r) => [
    key(r),
    ...maybe(r, r.pick(offsets), r.pick(offsets), ...maybe(r, r.pick(["BIT", "byte", "x"]))),
  ],
  bitpos: (r) => [
    key(r),
    r.pick(["0", "1", "2"]),
    ...maybe(r, r.pick(offsets), ...maybe(r, r.pick(offsets), ...maybe(r, r.pick(["BIT", "byte", "x"])))),
  ],
  exists: (r) => some(r, key),
  touch: (r) => some(r, key),
  del: (r) => some(r, key),
  unlink: (r) => some(r, key),
  type: (r) => [key(r)],
  rename: (r) => [key(r), key(r)],
  renamenx: (r) => [key(r), key(r)],
  copy: (r) => [key(r), key(r), ...maybe(r, r.pick(["REPLACE", "x"])), ...maybe(r, "DB", "0")],
  expire: (r) => [key(r), time(r), ...expireOptions(r)],
  pexpire: (r) => [key(r), time(r), ...expireOptions(r)],
  expireat: (r) => [key(r), r.pick(instants), ...expireOptions(r)],
  pexpireat: (r) => [key(r), r.pick(instantsMs), ...expireOptions(r)],
  ttl: (r) => [key(r)],
  pttl: (r) => [key(r)],
  expiretime: (r) => [key(r)],
  pexpiretime: (r) => [key(r)],
  persist: (r) => [key(r)],
  keys: (r) => [
    r.pick(["*", "{t}?", "{t}[a-c]", "{t}[^a]", "x*", "{t}\\a", "*e\\*", "{t}[", "{t}[a", "*\xff*", ""]),
  ],
  scan: (r) => [
    r.pick(["0", "x"]),
    ...maybe(r, "COUNT", r.pick(["100", "0", "x"])),
    ...maybe(r, "MATCH", "*"),
  ],
  ping: (r) => r.pick([[], ["x"], ["x", "y"]]),
  echo: (r) => [value(r)],
  select: () => ["0"],
  multi: () => [],
  exec: () => [],
  discard: () => [],
  watch: (r) => some(r, key),
  unwatch: () => [],
  readonlyy: (r) => [value(r), value(r)],
  hello: (r) =>
    r.pick([
      ["4"],
      ["x"],
      ["2", "bogus"],
      ["3", "AUTH", "a", "b"],
      ["2", "SETNAME", "a b"],
      ["2", "SETNAME"],
    ]),
  auth: (r) => r.pick([["x"], ["default", "x"], ["a", "b"], ["a", "b", "c"]]),
  client: (r) =>
    r.pick([
      ["getname"],
      ["setname", "x"],
      ["setname", ""],
      ["setname", "a b"],
      ["bogus"],
      ["getname", "x"],
      ["reply"],
      [],
    ]),
  object: (r) =>
    r.pick([
      ...[["help"], ["freq", key(r)], ["bogus"], ["idletime", key(r)], ["refcount", "{t}none"]],
      ...[
        ["idletime", "{t}none"],
        ["encoding", "{t}none"],
      ],
    ]),
  // What a key takes is each server's own.
  memory: (r) =>
    r.pick([
      ...[
        ["usage", "{t}none"],
        ["usage", "{t}none", "SAMPLES", "5"],
        ["usage", key(r), "SAMPLES", "-1"],
      ],
      ...[
        ["usage", key(r), "samples", "x"],
        ["usage", key(r), "bogus", "5"],
        ["usage", key(r), "SAMPLES"],
      ],
      ...[["usage"], ["bogus"]],
    ]),
  config: (r) => [
    "get",
    r.pick(["maxmemory", "maxmemory-policy", "maxmemory-samples", "appendfsync", "save"]),
  ],
  wait: (r) => [r.pick(["0", "x"]), r.pick(["0", "x", "-1"])],
  flushall: (r) => r.pick([["bogus"], ["async", "x"], ["sync"], ["async"]]),
  flushdb: (r) => r.pick([["bogus"], ["sync", "x"]]),
};
const names = Object.keys(makers);

/** One command: mostly right, now and then with an argument too few, too many, or of another case. */
export const randomCommand = (random: Random): readonly string[] => {
  const name = random.pick(names);
  const args = [random.below(4) === 0 ? name.toUpperCase() : name, ...(makers[name]?.(random) ?? [])];
  switch (random.below(40)) {
    case 0:
      return args.length > 1 ? args.slice(0, -1) : args;
    case 1:
      return [...args, key(random)];
    default:
      return args;
  }
};

/** Commands that leave some keys, of every kind of value. */
export const fillCommands = (random: Random): readonly (readonly string[])[] =>
  Array.from({ length: 8 }, () => ["SET", key(random), value(random), ...maybe(random, "EX", "100000")]);
