import {
  arg,
  command,
  container,
  option,
  ReplyError,
  syntaxError,
  type Call,
  type Command,
} from "../command.ts";
import { parseLong } from "../numbers.ts";
import type { Session } from "../session.ts";

/** A name as CLIENT SETNAME takes it. */
export const checkName = (bytes: Buffer): string => {
  if (bytes.every((byte) => byte >= 0x21 && byte <= 0x7e)) return bytes.toString("latin1");
  throw new ReplyError("ERR Client names cannot contain spaces, newlines or special characters.");
};

const id = ({ reply, session }: Call): void => {
  reply.integer(session.id);
};

const getName = ({ reply, session }: Call): void => {
  if (session.name === "") reply.null();
  else reply.text(session.name);
};

const setName = ({ args, reply, session }: Call): void => {
  session.name = checkName(arg(args, 2));
  reply.simple("OK");
};

const setInfo = ({ args, reply, session }: Call): void => {
  const attribute = arg(args, 2).toString("latin1").toLowerCase();
  const value = arg(args, 3);
  if (attribute !== "lib-name" && attribute !== "lib-ver")
    throw new ReplyError(`ERR Unrecognized option '${arg(args, 2).toString("latin1")}'`);
  if (!value.every((byte) => byte >= 0x21 && byte <= 0x7e))
    throw new ReplyError(`ERR ${attribute} cannot contain spaces, newlines or special characters.`);
  if (attribute === "lib-name") session.libName = value.toString("latin1");
  else session.libVersion = value.toString("latin1");
  reply.simple("OK");
};

const describe = (session: Session, nowMs: number): string => {
  const seconds = (sinceMs: number): number => Math.floor((nowMs - sinceMs) / 1000);
  const { transaction, isReadonly, pending } = session;
  const flags = `${transaction === null ? "" : "x"}${pending === null ? "" : "b"}${isReadonly ? "r" : ""}`;
  return [
    `id=${session.id}`,
    `addr=${session.address}`,
    `laddr=${session.localAddress}`,
    "fd=-1",
    `name=${session.name}`,
    `age=${seconds(session.openedAtMs)}`,
    `idle=${seconds(session.activeAtMs)}`,
    `flags=${flags === "" ? "N" : flags}`,
    "db=0",
    "sub=0",
    "psub=0",
    "ssub=0",
    `multi=${transaction === null ? -1 : transaction.queue.length}`,
    `qbuf=${session.held()}`,
    `cmd=${session.lastCommand}`,
    "user=default",
    `resp=${session.protocol()}`,
    `lib-name=${session.libName}`,
    `lib-ver=${session.libVersion}`,
  ].join(" ");
};

const info = ({ reply, session, server }: Call): void => {
  reply.verbatim(`${describe(session, server.clock.nowMs())}\n`);
};

const list = ({ args, reply, server }: Call): void => {
  let shown = [...server.sessions.values()];
  if (args.length > 2) {
    const what = option(args[2]);
    if (what === "TYPE" && args.length === 4) {
      const type = checkType(arg(args, 3));
      if (type !== "normal") shown = [];
    } else if (what === "ID" && args.length > 3) {
      const ids = args.slice(3).map(clientId);
      shown = shown.filter((session) => ids.includes(session.id));
    } else throw syntaxError();
  }
  const nowMs = server.clock.nowMs();
  reply.verbatim(shown.map((session) => `${describe(session, nowMs)}\n`).join(""));
};

const checkType = (bytes: Buffer): string => {
  const type = bytes.toString("latin1").toLowerCase();
  if (["normal", "master", "replica", "slave", "pubsub"].includes(type)) return type;
  throw new ReplyError(`ERR Unknown client type '${bytes.toString("latin1")}'`);
};

const clientId = (bytes: Buffer): number => {
  const n = parseLong(bytes);
  if (n === undefined || n <= 0) throw new ReplyError("ERR Invalid client ID");
  return n;
};

type Filter = (session: Session) => boolean;

const kill = ({ args, reply, session, server }: Call): void => {
  const isOld = args.length === 3;
  let skipsMe = !isOld;
  const filters: Filter[] = [];
  if (isOld) {
    const address = arg(args, 2).toString("latin1");
    filters.push((one) => one.address === address);
  } else {
    if (args.length % 2 !== 0) throw syntaxError();
    for (let i = 2; i < args.length; i += 2) {
      const what = option(args[i]);
      const value = arg(args, i + 1);
      if (what === "SKIPME") skipsMe = yes(value);
      else filters.push(filterOf(what, value));
    }
  }
  const found = [...server.sessions.values()].filter(
    (one) => !(skipsMe && one === session) && filters.every((filter) => filter(one)),
  );
  if (isOld && found.length === 0) throw new ReplyError("ERR No such client");
  if (isOld) reply.simple("OK");
  else reply.integer(found.length);
  for (const one of found) {
    // The one that asks gets its answer first.
    if (one === session) session.isClosing = true;
    else one.cut();
  }
};

const yes = (value: Buffer): boolean => {
  const text = option(value);
  if (text === "YES" || text === "NO") return text === "YES";
  throw syntaxError();
};

const filterOf = (what: string, value: Buffer): Filter => {
  const text = value.toString("latin1");
  switch (what) {
    case "ID": {
      const n = parseLong(value);
      if (n === undefined || n <= 0) throw new ReplyError("ERR client-id should be greater than 0");
      return ({ id }) => id === n;
    }
    case "ADDR":
      return ({ address }) => address === text;
    case "LADDR":
      return ({ localAddress }) => localAddress === text;
    case "TYPE": {
      const type = checkType(value);
      return () => type === "normal";
    }
    case "USER":
      if (text !== "default") throw new ReplyError(`ERR No such user '${text}'`);
      return () => true;
    default:
      throw syntaxError();
  }
};

const answers = ({ args, reply, session }: Call): void => {
  switch (option(args[2])) {
    case "ON":
      session.answers = "on";
      reply.simple("OK");
      return;
    case "OFF":
      session.answers = "off";
      return;
    case "SKIP":
      if (session.answers === "on") session.answers = "skipNext";
      return;
    default:
      throw syntaxError();
  }
};

const onOff = ({ args, reply, session }: Call): void => {
  const text = option(args[2]);
  if (text !== "ON" && text !== "OFF") throw syntaxError();
  session.noEvict = text === "ON";
  reply.simple("OK");
};

const flags = ["noscript", "loading", "stale"] as const;

/** CLIENT and its subcommands. */
export const client: Command = container("client", [
  command(["client|id", 2, null], flags, id),
  command(["client|getname", 2, null], flags, getName),
  command(["client|setname", 3, null], flags, setName),
  command(["client|setinfo", 4, null], flags, setInfo),
  command(["client|info", 2, null], flags, info),
  command(["client|list", -2, null], flags, list),
  command(["client|kill", -3, null], [...flags, "admin"], kill),
  command(["client|reply", 3, null], flags, answers),
  command(["client|no-evict", 3, null], [...flags, "admin"], onOff),
  command(["client|no-touch", 3, null], flags, onOff),
]);
