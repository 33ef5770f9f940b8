import type { Entry } from "../../../../core/record.ts";
import { hasExpired, write, type Turn } from "../../../turn.ts";
import {
  arg,
  command,
  notInteger,
  option,
  ReplyError,
  syntaxError,
  type Call,
  type Command,
} from "../command.ts";
import { matches } from "../glob.ts";
import { parseLong } from "../numbers.ts";

/** Commands over all keys of the shard. Those without a key are answered by whoever is asked, of what it holds. */

const hasGone = ({ expiresAtMs }: Entry, { wallMs }: Turn): boolean => hasExpired(expiresAtMs, wallMs);

const keys = ({ args, turn, reply }: Call): void => {
  const pattern = arg(args, 1);
  const found: Uint8Array[] = [];
  const walk = turn.holding.store.walk();
  for (let next = walk.next(); next.done !== true; next = walk.next())
    if (!hasGone(next.value, turn) && matches(pattern, next.value.key)) found.push(next.value.key);
  reply.array(found.length);
  for (const key of found) reply.bulk(key);
};

type ScanOptions = { count: number; pattern: Buffer | null; type: string };

const scanOptions = (args: readonly Buffer[]): ScanOptions => {
  const options: ScanOptions = { count: 10, pattern: null, type: "string" };
  for (let i = 2; i < args.length; i += 2) {
    const value = args[i + 1];
    if (value === undefined) throw syntaxError();
    switch (option(args[i])) {
      case "COUNT": {
        const count = parseLong(value);
        if (count === undefined) throw notInteger();
        if (count < 1) throw syntaxError();
        options.count = count;
        break;
      }
      case "MATCH":
        options.pattern = value;
        break;
      case "TYPE":
        options.type = value.toString("latin1").toLowerCase();
        break;
      default:
        throw syntaxError();
    }
  }
  return options;
};

/** Keys that one SCAN looks at, whatever its COUNT says: some milliseconds of work. */
const scannedMax = 10_000;

const scan = ({ args, turn, reply, server }: Call): void => {
  const cursor = arg(args, 1).toString("latin1");
  if (!/^[0-9]{1,20}$/.test(cursor)) throw new ReplyError("ERR invalid cursor");
  const { count, pattern, type } = scanOptions(args);
  const { scans } = server;
  const walk = cursor === "0" ? turn.holding.store.walk() : scans.open(cursor, turn.holding);
  const found: Uint8Array[] = [];
  let isDone = false;
  for (let seen = 0; seen < Math.min(count, scannedMax) && !isDone; seen++) {
    const next = walk.next();
    if (next.done === true) isDone = true;
    else if (
      !hasGone(next.value, turn) &&
      type === "string" &&
      (pattern === null || matches(pattern, next.value.key))
    )
      found.push(next.value.key);
  }
  reply.array(2);
  reply.text(isDone ? "0" : scans.keep(walk, turn.holding));
  reply.array(found.length);
  for (const key of found) reply.bulk(key);
};

/** One of so many keys is drawn. */
const drawnFrom = 1_000;

const randomKey = ({ turn, reply, server }: Call): void => {
  const walk = turn.holding.store.walk();
  const drawn: Uint8Array[] = [];
  while (drawn.length < drawnFrom) {
    const next = walk.next();
    if (next.done === true) break;
    if (!hasGone(next.value, turn)) drawn.push(next.value.key);
  }
  reply.bulkOrNull(drawn[Math.floor(server.random() * drawn.length)]);
};

const dbSize = ({ turn, reply }: Call): void => {
  reply.integer(turn.holding.store.keys());
};

/** Deletes every key, each with its record, in one turn. */
const flush = ({ args, turn, reply, server }: Call): void => {
  const how = option(args[1]);
  if (args.length > 2 || (args.length === 2 && how !== "ASYNC" && how !== "SYNC")) throw syntaxError();
  if (server.roles.standing().kind !== "owner")
    throw new ReplyError("READONLY You can't write against a read only replica.");
  const walk = turn.holding.store.walk();
  for (let next = walk.next(); next.done !== true; next = walk.next())
    write(turn, { kind: "delete", key: next.value.key });
  reply.simple("OK");
};

export const keyspace: readonly Command[] = [
  command(["keys", 2, null], ["readonly"], keys),
  command(["scan", -2, null], ["readonly"], scan),
  command(["randomkey", 1, null], ["readonly", "random"], randomKey),
  command(["dbsize", 1, null], ["readonly", "fast"], dbSize),
  command(["flushall", -1, null], ["write"], flush),
  command(["flushdb", -1, null], ["write"], flush),
];
