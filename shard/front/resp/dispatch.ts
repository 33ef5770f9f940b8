import { check } from "../../../core/check.ts";
import { echoed, option, ReplyError, wrongArity, type Call, type Command } from "./command.ts";
import { textOf } from "./numbers.ts";
import { commands } from "./commands/table.ts";
import { checkServed, slotOfKeys } from "./redirectKeys.ts";
import { checkRoom } from "./room.ts";
import type { Session } from "./session.ts";
import { abort, queue, unwatchAll } from "./transaction.ts";

/** What a command runs in. */
export type Surroundings = Omit<Call, "args" | "command" | "isQueued">;

/** Answers one command: looks it up, judges it, and carries it out or puts it into the transaction. */
export const dispatch = (surroundings: Surroundings, args: readonly Buffer[]): void => {
  const { reply, session } = surroundings;
  const start = reply.written();
  let isAccepted = false;
  try {
    const command = lookUp(args);
    session.lastCommand = command.name;
    checkServed(surroundings, command, slotOfKeys(command, args));
    checkRoom(surroundings, command);
    if (session.transaction !== null && !command.flags.includes("immediate")) {
      queue(session.transaction, command, args);
      reply.simple("QUEUED");
      return;
    }
    isAccepted = true;
    command.run({ ...surroundings, args, command, isQueued: false });
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    reply.cut(start);
    surroundings.server.counters.errors++;
    reply.error(isAccepted ? error.message : rejected(session, args, error.message));
  }
};

/** What a command is refused with before it is carried out: that spoils the transaction it was meant for. */
const rejected = (session: Session, [name]: readonly Buffer[], message: string): string => {
  if (option(name) === "EXEC") {
    session.transaction = null;
    unwatchAll(session.watching);
    return `EXECABORT Transaction discarded because of: ${message.replace(/^ERR /, "")}`;
  }
  if (session.transaction !== null) abort(session.transaction);
  return message;
};

/** The command, or the subcommand, that is meant. Throws where there is none or the number of arguments is wrong. */
export const lookUp = (args: readonly Buffer[]): Command => {
  const [name] = args;
  check(name !== undefined, "a command has a name");
  const found = commands.get(name.toString("latin1").toLowerCase());
  if (found === undefined) throw new ReplyError(unknown(args));
  const command = args.length === 1 ? found : subcommand(found, args);
  const { arity } = command;
  if (arity < 0 ? args.length < -arity : args.length !== arity)
    throw new ReplyError(wrongArity(command.name));
  return command;
};

const subcommand = (command: Command, [, sub]: readonly Buffer[]): Command => {
  if (command.subcommands === undefined || sub === undefined) return command;
  const name = textOf(sub);
  const found = command.subcommands.get(name.toLowerCase());
  if (found !== undefined) return found;
  throw new ReplyError(
    `ERR unknown subcommand '${echoed(sub).slice(0, 128)}'. Try ${command.name.toUpperCase()} HELP.`,
  );
};

const unknown = ([name, ...args]: readonly Buffer[]): string => {
  let shown = "";
  for (const text of args) {
    if (shown.length >= 128) break;
    shown += `'${echoed(text).slice(0, 128 - shown.length)}' `;
  }
  const called = echoed(name ?? Buffer.alloc(0)).slice(0, 128);
  return `ERR unknown command '${called}', with args beginning with: ${shown}`;
};
