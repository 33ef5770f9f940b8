import { isThere, live, lookThere, remove, write } from "../../../turn.ts";
import {
  all,
  arg,
  command,
  container,
  one,
  option,
  ReplyError,
  syntaxError,
  two,
  type Call,
  type Command,
} from "../command.ts";
import { parseInt64, parseLong } from "../numbers.ts";

const exists = ({ args, turn, reply }: Call): void => {
  let count = 0;
  for (let i = 1; i < args.length; i++) if (lookThere(turn, arg(args, i))) count++;
  reply.integer(count);
};

const touch = (call: Call): void => {
  const { args, turn } = call;
  // What gets a key uses it.
  for (let i = 1; i < args.length; i++) turn.holding.store.get(arg(args, i));
  exists(call);
};

const del = ({ args, turn, reply }: Call): void => {
  let count = 0;
  for (let i = 1; i < args.length; i++) if (remove(turn, arg(args, i))) count++;
  reply.integer(count);
};

const type = ({ args, turn, reply }: Call): void => {
  reply.simple(lookThere(turn, arg(args, 1)) ? "string" : "none");
};

/** Moves a key with its value and expiry; the copy is made first, so that nothing is read from where it was written. */
const move = ({ args, turn }: Call): void => {
  const from = arg(args, 1);
  const stored = live(turn, from);
  if (stored === undefined) throw noSuchKey();
  const { expiresAtMs } = stored;
  const value = Buffer.from(stored.value);
  write(turn, { kind: "set", key: arg(args, 2), value, expiresAtMs });
  remove(turn, from);
};

const noSuchKey = (): ReplyError => new ReplyError("ERR no such key");

const rename = (call: Call): void => {
  const { args, turn, reply } = call;
  if (!arg(args, 1).equals(arg(args, 2))) move(call);
  else if (!isThere(turn, arg(args, 1))) throw noSuchKey();
  reply.simple("OK");
};

const renameNx = (call: Call): void => {
  const { args, turn, reply } = call;
  if (!isThere(turn, arg(args, 1))) throw noSuchKey();
  const isTaken = isThere(turn, arg(args, 2));
  if (!isTaken) move(call);
  reply.integer(isTaken ? 0 : 1);
};

const copy = ({ args, turn, reply }: Call): void => {
  let isReplacing = false;
  for (let i = 3; i < args.length; i++) {
    const name = option(args[i]);
    if (name === "REPLACE") isReplacing = true;
    else if (name === "DB" && i + 1 < args.length) {
      const database = parseLong(arg(args, ++i));
      if (database === undefined) throw new ReplyError("ERR value is not an integer or out of range");
      if (database !== 0)
        throw new ReplyError("ERR Copying to another database is not allowed in cluster mode");
    } else throw syntaxError();
  }
  const [from, to] = [arg(args, 1), arg(args, 2)];
  if (from.equals(to)) throw new ReplyError("ERR source and destination objects are the same");
  const stored = live(turn, from);
  if (stored === undefined || (!isReplacing && isThere(turn, to))) {
    reply.integer(0);
    return;
  }
  const { expiresAtMs } = stored;
  write(turn, { kind: "set", key: to, value: Buffer.from(stored.value), expiresAtMs });
  reply.integer(1);
};

/** Short strings lie beside their header in Redis. */
const embeddedBytesMax = 44;

const encoding = ({ args, turn, reply }: Call): void => {
  const value = live(turn, arg(args, 2))?.value;
  if (value === undefined) reply.null();
  else if (parseInt64(value) !== undefined) reply.text("int");
  else reply.text(value.length <= embeddedBytesMax ? "embstr" : "raw");
};

/** A key of a store of bytes has one name. */
const references = ({ args, turn, reply }: Call): void => {
  if (lookThere(turn, arg(args, 2))) reply.integer(1);
  else reply.null();
};

/** Counted by this process, whatever the policy: in seconds, up to some hours (store/eviction.ts). */
const idleTime = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 2);
  const seconds = lookThere(turn, key) ? turn.holding.store.idleSeconds(key) : undefined;
  if (seconds === undefined) reply.null();
  else reply.integer(seconds);
};

const frequency = ({ args, turn, reply }: Call): void => {
  if (!isThere(turn, arg(args, 2))) {
    reply.null();
    return;
  }
  throw new ReplyError(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
  );
};

const help = ({ reply }: Call): void => {
  const lines = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Prints this help.",
  ];
  reply.array(lines.length);
  for (const text of lines) reply.simple(text);
};

const second = { first: 2, last: 2, step: 1 };

export const keys: readonly Command[] = [
  command(["exists", -2, all], ["readonly", "fast"], exists),
  command(["touch", -2, all], ["readonly", "fast"], touch),
  command(["del", -2, all], ["write"], del),
  command(["unlink", -2, all], ["write", "fast"], del),
  command(["type", 2, one], ["readonly", "fast"], type),
  command(["rename", 3, two], ["write"], rename),
  command(["renamenx", 3, two], ["write", "fast"], renameNx),
  command(["copy", -3, two], ["write", "denyoom"], copy),
  container("object", [
    command(["object|encoding", 3, second], ["readonly"], encoding),
    command(["object|freq", 3, second], ["readonly"], frequency),
    command(["object|idletime", 3, second], ["readonly"], idleTime),
    command(["object|refcount", 3, second], ["readonly"], references),
    command(["object|help", 2, null], ["loading", "stale"], help),
  ]),
];
