import type { Entry } from "../../../../core/record.ts";
import { hasExpired, isThere, remove, type Turn } from "../../../turn.ts";
import {
  arg,
  command,
  lostOwner,
  notInteger,
  option,
  ReplyError,
  syntaxError,
  type Call,
  type Command,
} from "../command.ts";
import { flushedPerTurnMax } from "../../../../core/limits.ts";
import { slotOf } from "../../../../core/slot.ts";
import { shownKeys } from "../../../holding.ts";
import { frozenSlot } from "../../../route.ts";
import { matches } from "../glob.ts";
import { parseLong } from "../numbers.ts";
import { changingHands } from "../redirect.ts";
import { MustWait } from "../redirectKeys.ts";

/** Commands over all keys of the shard. Those without a key are answered by whoever is asked, of what it holds. */

/** Keys of slots that are not the shard's own are on their way: here, or to be deleted. */
const isOwn = (key: Uint8Array, { holding }: Turn): boolean => holding.slots[slotOf(key)] !== 0;

const isShown = ({ key, expiresAtMs }: Entry, turn: Turn): boolean =>
  !hasExpired(expiresAtMs, turn.wallMs) && isOwn(key, turn);

const keys = ({ args, turn, reply }: Call): void => {
  const pattern = arg(args, 1);
  const found: Uint8Array[] = [];
  const walk = turn.holding.store.walk();
  for (let next = walk.next(); next.done !== true; next = walk.next())
    if (isShown(next.value, turn) && matches(pattern, next.value.key)) found.push(next.value.key);
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
      isShown(next.value, turn) &&
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

/** A shard where nearly all keys have expired and are being removed has none to show. */
const drawsMax = 100;

const randomKey = ({ turn, reply }: Call): void => {
  const { store } = turn.holding;
  for (let i = 0; i < drawsMax; i++) {
    const key = store.draw();
    if (key === undefined) break;
    if (isOwn(key, turn) && isThere(turn, key)) {
      reply.bulk(key);
      return;
    }
  }
  reply.null();
};

const dbSize = ({ turn, reply }: Call): void => {
  reply.integer(shownKeys(turn.holding));
};

/** Looks again whether slots are frozen still. */
const heldUpMs = 20;

const throwFrozen = ({ session, isQueued }: Call): never => {
  if (session.mayWait && !isQueued) throw new MustWait();
  session.mayWait = true;
  throw new ReplyError(changingHands);
};

const flush = (call: Call): void => {
  const { args, turn, reply, session, server } = call;
  const how = option(args[1]);
  if (args.length > 2 || (args.length === 2 && how !== "ASYNC" && how !== "SYNC")) throw syntaxError();
  if (server.roles.standing().kind !== "owner")
    throw new ReplyError("READONLY You can't write against a read only replica.");
  if (turn.holding.slots.includes(frozenSlot)) throwFrozen(call);
  const walk = turn.holding.store.walk();
  if (deleteSome(turn, walk, call.isQueued ? Infinity : flushedPerTurnMax)) {
    reply.simple("OK");
    return;
  }
  let outcome: "running" | "done" | "lost" = "running";
  let isHeldUp = false;
  session.pending = (_, answer) => {
    if (outcome === "done") answer.simple("OK");
    else if (outcome === "lost") answer.error(lostOwner);
    return outcome !== "running";
  };
  // It goes on whether or not the client stays.
  const step = (): void => {
    server.execute({
      run: (now) => {
        isHeldUp = false;
        const isOwner = now.holding === turn.holding && server.roles.standing().kind === "owner";
        if (!isOwner) outcome = "lost";
        else if (now.holding.slots.includes(frozenSlot)) isHeldUp = true;
        else if (deleteSome(now, walk, flushedPerTurnMax)) outcome = "done";
      },
      release: (isDurable) => {
        if (!isDurable) outcome = "lost";
        if (isHeldUp) server.clock.after(heldUpMs, step);
        else if (outcome === "running") server.clock.soon(step);
        else session.proceed();
      },
    });
  };
  server.clock.soon(step);
};

/** Deletes up to `max` keys, each with its record; whether the walk has ended. */
const deleteSome = (turn: Turn, walk: Iterator<Entry>, max: number): boolean => {
  for (let i = 0; i < max; i++) {
    const next = walk.next();
    if (next.done === true) return true;
    if (isOwn(next.value.key, turn)) remove(turn, next.value.key);
  }
  return false;
};

export const keyspace: readonly Command[] = [
  command(["keys", 2, null], ["readonly"], keys),
  command(["scan", -2, null], ["readonly"], scan),
  command(["randomkey", 1, null], ["readonly", "random"], randomKey),
  command(["dbsize", 1, null], ["readonly", "fast"], dbSize),
  command(["flushall", -1, null], ["write"], flush),
  command(["flushdb", -1, null], ["write"], flush),
];
