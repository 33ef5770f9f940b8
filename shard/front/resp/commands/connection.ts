import { arg, command, echoed, option, ReplyError, wrongArity, type Call, type Command } from "../command.ts";
import { redisVersion } from "../info.ts";
import { parseLong, parseSafe } from "../numbers.ts";
import { unwatchAll } from "../transaction.ts";
import { client, checkName } from "./client.ts";

const ping = ({ args, reply }: Call): void => {
  if (args.length > 2) throw new ReplyError(wrongArity("ping"));
  if (args.length === 2) reply.bulk(arg(args, 1));
  else reply.simple("PONG");
};

const echo = ({ args, reply }: Call): void => {
  reply.bulk(arg(args, 1));
};

/** Nobody has a password here: what Redis says where the default user has none. */
const authenticate = (user: string | null): void => {
  if (user === null)
    throw new ReplyError(
      "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
    );
  if (user !== "default")
    throw new ReplyError("WRONGPASS invalid username-password pair or user is disabled.");
};

const auth = ({ args, reply }: Call): void => {
  if (args.length > 3) throw new ReplyError("ERR syntax error");
  authenticate(args.length === 2 ? null : arg(args, 1).toString("latin1"));
  reply.simple("OK");
};

const hello = ({ args, reply, session, server }: Call): void => {
  let protocol: 2 | 3 = reply.protocol;
  let name: string | null = null;
  if (args.length > 1) {
    const asked = parseSafe(arg(args, 1));
    if (asked === undefined) throw new ReplyError("ERR Protocol version is not an integer or out of range");
    if (asked !== 2 && asked !== 3) throw new ReplyError("NOPROTO unsupported protocol version");
    protocol = asked;
  }
  for (let i = 2; i < args.length; i++) {
    const left = args.length - 1 - i;
    const what = option(args[i]);
    if (what === "AUTH" && left >= 2) {
      authenticate(arg(args, i + 1).toString("latin1"));
      i += 2;
    } else if (what === "SETNAME" && left >= 1) {
      name = checkName(arg(args, ++i));
    } else {
      throw new ReplyError(`ERR Syntax error in HELLO option '${echoed(arg(args, i))}'`);
    }
  }
  if (name !== null) session.name = name;
  reply.protocol = protocol;
  reply.map(7);
  reply.text("server");
  reply.text("redis");
  reply.text("version");
  reply.text(redisVersion);
  reply.text("proto");
  reply.integer(protocol);
  reply.text("id");
  reply.integer(session.id);
  reply.text("mode");
  reply.text("cluster");
  reply.text("role");
  reply.text(server.roles.role().kind === "reader" ? "replica" : "master");
  reply.text("modules");
  reply.array(0);
};

const select = ({ args, reply }: Call): void => {
  const index = parseLong(arg(args, 1));
  if (index === undefined) throw new ReplyError("ERR value is not an integer or out of range");
  if (index !== 0) throw new ReplyError("ERR SELECT is not allowed in cluster mode");
  reply.simple("OK");
};

const quit = ({ reply, session }: Call): void => {
  reply.simple("OK");
  session.isClosing = true;
};

const reset = ({ reply, session }: Call): void => {
  session.transaction = null;
  unwatchAll(session.watching);
  session.name = "";
  session.isReadonly = false;
  session.answers = "on";
  reply.protocol = 2;
  reply.simple("RESET");
};

const setReadonly =
  (isReadonly: boolean) =>
  ({ reply, session }: Call): void => {
    session.isReadonly = isReadonly;
    reply.simple("OK");
  };

const asking = ({ reply }: Call): void => {
  reply.simple("OK");
};

export const connection: readonly Command[] = [
  command(["ping", -1, null], ["fast"], ping),
  command(["echo", 2, null], ["fast"], echo),
  command(["auth", -2, null], ["noscript", "loading", "stale", "fast"], auth),
  command(["hello", -1, null], ["noscript", "loading", "stale", "fast"], hello),
  command(["select", 2, null], ["loading", "stale", "fast"], select),
  command(["quit", -1, null], ["noscript", "loading", "stale", "fast", "immediate"], quit),
  command(["reset", 1, null], ["noscript", "loading", "stale", "fast", "immediate"], reset),
  command(["readonly", 1, null], ["loading", "stale", "fast"], setReadonly(true)),
  command(["readwrite", 1, null], ["loading", "stale", "fast"], setReadonly(false)),
  command(["asking", 1, null], ["fast"], asking),
  client,
];
