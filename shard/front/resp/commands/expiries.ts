import { live, lookThere, remove, write, type Turn } from "../../../turn.ts";
import { arg, command, echoed, one, option, ReplyError, type Call, type Command } from "../command.ts";
import { deadlineOf, type Unit } from "../expiry.ts";

const conditions = (args: readonly Buffer[]): ReadonlySet<string> => {
  const found = new Set<string>();
  for (const bytes of args.slice(3)) {
    const name = option(bytes);
    if (!["NX", "XX", "GT", "LT"].includes(name))
      throw new ReplyError(`ERR Unsupported option ${echoed(bytes)}`);
    found.add(name);
  }
  if (found.has("NX") && found.size > 1)
    throw new ReplyError("ERR NX and XX, GT or LT options at the same time are not compatible");
  if (found.has("GT") && found.has("LT"))
    throw new ReplyError("ERR GT and LT options at the same time are not compatible");
  return found;
};

/** Whether the conditions let `next` replace the expiry that is (null: never). */
const allows = (wanted: ReadonlySet<string>, now: number | null, next: number): boolean => {
  if (wanted.has("NX") && now !== null) return false;
  if (wanted.has("XX") && now === null) return false;
  if (wanted.has("GT") && (now === null || next <= now)) return false;
  return !(wanted.has("LT") && now !== null && next >= now);
};

const expire =
  (name: string, unit: Unit) =>
  ({ args, turn, reply }: Call): void => {
    const key = arg(args, 1);
    const wanted = conditions(args);
    const atMs = deadlineOf({ amount: arg(args, 2), unit, name }, turn.wallMs);
    const stored = live(turn, key);
    if (stored === undefined || !allows(wanted, stored.expiresAtMs, atMs)) {
      reply.integer(0);
      return;
    }
    if (atMs <= turn.wallMs) remove(turn, key);
    else write(turn, { kind: "set", key, value: Buffer.from(stored.value), expiresAtMs: atMs });
    reply.integer(1);
  };

const persist = ({ args, turn, reply }: Call): void => {
  const key = arg(args, 1);
  const stored = live(turn, key);
  const isTimed = stored !== undefined && stored.expiresAtMs !== null;
  if (isTimed) write(turn, { kind: "set", key, value: Buffer.from(stored.value), expiresAtMs: null });
  reply.integer(isTimed ? 1 : 0);
};

/** -2 where there is no key, -1 where it never expires, else what `read` makes of the instant. */
const shown =
  (read: (expiresAtMs: number, turn: Turn) => number) =>
  ({ args, turn, reply }: Call): void => {
    const key = arg(args, 1);
    const expiresAtMs = lookThere(turn, key) ? turn.holding.store.expiryOf(key) : undefined;
    if (expiresAtMs === undefined) reply.integer(-2);
    else if (expiresAtMs === null) reply.integer(-1);
    else reply.integer(read(expiresAtMs, turn));
  };

const seconds = (ms: number): number => Math.floor((ms + 500) / 1000);

export const expiries: readonly Command[] = [
  command(["expire", -3, one], ["write", "fast"], expire("expire", { scale: 1000, isRelative: true })),
  command(["pexpire", -3, one], ["write", "fast"], expire("pexpire", { scale: 1, isRelative: true })),
  command(["expireat", -3, one], ["write", "fast"], expire("expireat", { scale: 1000, isRelative: false })),
  command(["pexpireat", -3, one], ["write", "fast"], expire("pexpireat", { scale: 1, isRelative: false })),
  command(["persist", 2, one], ["write", "fast"], persist),
  command(
    ["ttl", 2, one],
    ["readonly", "fast"],
    shown((atMs, { wallMs }) => seconds(atMs - wallMs)),
  ),
  command(
    ["pttl", 2, one],
    ["readonly", "fast"],
    shown((atMs, { wallMs }) => atMs - wallMs),
  ),
  command(["expiretime", 2, one], ["readonly", "fast"], shown(seconds)),
  command(
    ["pexpiretime", 2, one],
    ["readonly", "fast"],
    shown((atMs) => atMs),
  ),
];
