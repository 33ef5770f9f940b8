import {
  arg,
  command,
  container,
  keysOf,
  lostOwner,
  ReplyError,
  type Call,
  type Command,
} from "../command.ts";
import { infoText } from "../info.ts";
import { matches } from "../glob.ts";
import { parseSafe } from "../numbers.ts";
import type { Replies } from "../replies.ts";
import type { Server } from "../server.ts";
import type { Turn } from "../../../turn.ts";
import { connectionsMax, respCommandBytesMax, valueBytesMax } from "../../../../core/limits.ts";
import { usualSettings } from "../../../../core/settings.ts";
import { drawn } from "../../../store/eviction.ts";

const time = ({ turn, reply, server }: Call): void => {
  const micros = Math.floor((server.clock.nowMs() % 1) * 1000);
  reply.array(2);
  reply.text(String(Math.floor(turn.wallMs / 1000)));
  reply.text(String((turn.wallMs % 1000) * 1000 + micros));
};

const info = (call: Call): void => {
  call.reply.verbatim(infoText(call, call.args.slice(1)));
};

/** Settings as Redis names them, where they say something here. They are limits, or what the ShardCluster says. */
const settings = ({ server, turn }: Call): Readonly<Record<string, string>> => {
  const { maxBytes, eviction } = turn.usage;
  const { fsync } = server.topology()?.topology.settings ?? usualSettings;
  return {
    appendonly: "no",
    appendfsync: fsync === "never" ? "no" : fsync,
    "cluster-enabled": "yes",
    databases: "1",
    maxclients: String(connectionsMax),
    maxmemory: Number.isFinite(maxBytes) ? String(maxBytes) : "0",
    "maxmemory-policy": eviction,
    "maxmemory-samples": String(drawn),
    port: String(server.port()),
    "proto-max-bulk-len": String(valueBytesMax),
    save: "",
    timeout: "0",
    "client-query-buffer-limit": String(respCommandBytesMax),
  };
};

/** Where a setting is changed that the ShardCluster says. */
const fields: Readonly<Record<string, string>> = {
  appendfsync: "spec.durability.fsync",
  maxmemory: "spec.memory.max",
  "maxmemory-policy": "spec.memory.eviction",
};

const configGet = (call: Call): void => {
  const { args, reply } = call;
  const found = Object.entries(settings(call)).filter(([name]) =>
    args.slice(2).some((pattern) => matches(Buffer.from(option(pattern)), Buffer.from(name))),
  );
  reply.map(found.length);
  for (const [name, value] of found) {
    reply.text(name);
    reply.text(value);
  }
};

const option = (bytes: Buffer): string => bytes.toString("latin1").toLowerCase();

const configSet = (call: Call): void => {
  const { args } = call;
  if (args.length % 2 !== 0) throw new ReplyError("ERR wrong number of arguments for 'config|set' command");
  const known = settings(call);
  for (let i = 2; i < args.length; i += 2) {
    const name = arg(args, i).toString("latin1");
    if (known[name.toLowerCase()] === undefined)
      throw new ReplyError(`ERR Unknown option or number of arguments for CONFIG SET - '${name}'`);
    const field = fields[name.toLowerCase()];
    const why = field === undefined ? "can't set immutable config" : `set ${field} of the ShardCluster`;
    throw new ReplyError(`ERR CONFIG SET failed (possibly related to argument '${name}') - ${why}`);
  }
};

const resetStat = ({ turn, reply, server }: Call): void => {
  const { counters, processCounters } = server;
  for (const name of ["hits", "misses", "expiredKeys"] as const) processCounters[name] = 0;
  for (const name of ["hits", "misses", "evictedKeys", "refusedWrites"] as const) turn.usage[name] = 0;
  counters.commands = 0;
  counters.calls.reset();
  for (const name of ["errors", "rejected", "inputBytes", "outputBytes"] as const) counters[name] = 0;
  reply.simple("OK");
};

/** Waits for readers that hold all that was written before it. */
const wait = ({ args, turn, reply, session, server, isQueued }: Call): void => {
  const wanted = parseSafe(arg(args, 1));
  if (wanted === undefined) throw new ReplyError("ERR value is not an integer or out of range");
  const timeout = parseSafe(arg(args, 2));
  if (timeout === undefined) throw new ReplyError("ERR timeout is not an integer or out of range");
  if (timeout < 0) throw new ReplyError("ERR timeout is negative");
  if (server.roles.standing().kind === "reader")
    throw new ReplyError(
      "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.",
    );
  const { version } = turn.holding;
  const reached = (now: Turn): number => acknowledged(server, now, version);
  if (isQueued || reached(turn) >= wanted) {
    reply.integer(reached(turn));
    return;
  }
  const untilMs = timeout === 0 ? Infinity : server.clock.nowMs() + timeout;
  session.pending = (now, answer) => {
    const isLost = now.holding !== turn.holding || server.roles.standing().kind !== "owner";
    const count = isLost ? 0 : reached(now);
    if (isLost) answer.error(lostOwner);
    else if (count >= wanted || server.clock.nowMs() >= untilMs) answer.integer(count);
    else {
      server.clock.after(Math.max(1, Math.min(waitEveryMs, untilMs - server.clock.nowMs())), session.proceed);
      return false;
    }
    return true;
  };
  server.clock.after(waitEveryMs, session.proceed);
};

/** Readers acknowledge every 5 ms at most. */
const waitEveryMs = 2;

/** Readers that hold everything up to a version. */
const acknowledged = ({ report }: Server, { holding }: Turn, version: number): number =>
  report().readers.filter(({ lag }) => holding.version - lag.versions >= version).length;

const describe = (reply: Replies, { name, arity, flags, keys, subcommands }: Command): void => {
  reply.array(10);
  reply.text(name);
  reply.integer(arity);
  const shown = flags.filter((flag) => flag !== "immediate" && flag !== "random");
  reply.set(shown.length);
  for (const flag of shown) reply.simple(flag);
  reply.integer(keys?.first ?? 0);
  reply.integer(keys?.last ?? 0);
  reply.integer(keys?.step ?? 0);
  reply.set(0);
  reply.array(0);
  reply.array(0);
  const subs = [...(subcommands?.values() ?? [])];
  reply.array(subs.length);
  for (const sub of subs) describe(reply, sub);
};

/** COMMAND, which speaks of the table that it is part of. */
export const commandOf = (table: () => ReadonlyMap<string, Command>): Command => {
  const find = (bytes: Buffer): Command | undefined => {
    const [name = "", sub] = option(bytes).split("|");
    const found = table().get(name);
    return sub === undefined ? found : found?.subcommands?.get(sub);
  };
  const all = ({ reply }: Call): void => {
    reply.array(table().size);
    for (const one of table().values()) describe(reply, one);
  };
  const container_ = container("command", [
    command(["command|count", 2, null], ["loading", "stale"], ({ reply }) => {
      reply.integer(table().size);
    }),
    command(["command|info", -2, null], ["loading", "stale"], (call) => {
      if (call.args.length === 2) {
        all(call);
        return;
      }
      const { args, reply } = call;
      reply.array(args.length - 2);
      for (const bytes of args.slice(2)) {
        const found = find(bytes);
        if (found === undefined) reply.nullArray();
        else describe(reply, found);
      }
    }),
    command(["command|docs", -2, null], ["loading", "stale"], ({ args, reply }) => {
      const asked = args.length === 2 ? [...table().values()] : args.slice(2).map(find);
      const found = asked.filter((one) => one !== undefined);
      reply.map(found.length);
      for (const { name } of found) {
        reply.text(name);
        reply.map(0);
      }
    }),
    command(["command|list", -2, null], ["loading", "stale"], ({ args, reply }) => {
      if (args.length > 2) throw new ReplyError("ERR syntax error");
      reply.array(table().size);
      for (const name of table().keys()) reply.text(name);
    }),
    command(["command|getkeys", -3, null], ["loading", "stale"], ({ args, reply }) => {
      const asked = args.slice(2);
      const container = find(arg(asked, 0));
      const found = container?.subcommands?.get(option(asked[1] ?? Buffer.alloc(0))) ?? container;
      if (found === undefined) throw new ReplyError("ERR Invalid command specified");
      const { arity } = found;
      if (found.keys === null) throw new ReplyError("ERR The command has no key arguments");
      if (arity < 0 ? asked.length < -arity : asked.length !== arity)
        throw new ReplyError("ERR Invalid number of arguments specified for command");
      const keys = keysOf(found, asked);
      reply.array(keys.length);
      for (const key of keys) reply.bulk(key);
    }),
  ]);
  return { ...container_, arity: -1, run: all };
};

export const server: readonly Command[] = [
  command(["time", 1, null], ["loading", "stale", "fast"], time),
  command(["info", -1, null], ["loading", "stale"], info),
  command(["wait", 3, null], [], wait),
  container("config", [
    command(["config|get", -3, null], ["admin", "loading", "stale"], configGet),
    command(["config|set", -4, null], ["admin", "loading", "stale"], configSet),
    command(["config|resetstat", 2, null], ["admin", "loading", "stale"], resetStat),
  ]),
];
