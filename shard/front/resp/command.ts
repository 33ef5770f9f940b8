import { check } from "../../../core/check.ts";
import type { Turn } from "../../turn.ts";
import type { Replies } from "./replies.ts";
import type { Server } from "./server.ts";
import type { Session } from "./session.ts";

/** One command of the table. */
export type Command = {
  /** In lower case; of a subcommand with its container: `client|id`. */
  readonly name: string;
  /** How many arguments, the name included; negative: at least so many. */
  readonly arity: number;
  readonly flags: readonly Flag[];
  /** Where the keys stand; null where there are none. */
  readonly keys: Keys | null;
  readonly run: (call: Call) => void;
  /** By name in lower case, without the container's. */
  readonly subcommands?: ReadonlyMap<string, Command>;
};

/** `write` needs the owner; `readonly` may be asked of a reader; `denyoom` may let the store grow; `immediate` is not queued in a transaction. */
export type Flag =
  | "write"
  | "denyoom"
  | "readonly"
  | "fast"
  | "admin"
  | "loading"
  | "stale"
  | "noscript"
  | "immediate"
  | "random";

/** Positions of the first and last key (negative: from the end), and the distance between two. */
export type Keys = { readonly first: number; readonly last: number; readonly step: number };

/** One command under way. */
export type Call = {
  /** The name and what follows it: views that hold until the turn ends. */
  readonly args: readonly Buffer[];
  readonly command: Command;
  readonly turn: Turn;
  readonly reply: Replies;
  readonly session: Session;
  readonly server: Server;
  /** Part of a transaction: has to be done and answered at once. */
  readonly isQueued: boolean;
};

/** What a command is answered with instead; nothing was written. The text begins with its code. */
export class ReplyError extends Error {
  constructor(text: string) {
    super(text);
    this.name = "ReplyError";
  }
}

export const one: Keys = { first: 1, last: 1, step: 1 };
export const all: Keys = { first: 1, last: -1, step: 1 };
export const pairs: Keys = { first: 1, last: -1, step: 2 };
export const two: Keys = { first: 1, last: 2, step: 1 };

/** A line of the table; `keys` null where there are none. */
export const command = (
  [name, arity, keys]: readonly [name: string, arity: number, keys: Keys | null],
  flags: readonly Flag[],
  run: (call: Call) => void,
): Command => ({ name, arity, flags, keys, run });

/** A command that consists of others. */
export const container = (name: string, commands: readonly Command[]): Command => ({
  ...{ name, arity: -2, flags: ["loading", "stale"], keys: null },
  run: () => {
    throw new ReplyError(wrongArity(name));
  },
  subcommands: new Map(commands.map((sub) => [sub.name.slice(name.length + 1), sub])),
});

/** To a client whose command waited while the owner changed. */
export const lostOwner =
  "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

export const wrongArity = (name: string): string => `ERR wrong number of arguments for '${name}' command`;
export const syntaxError = (): ReplyError => new ReplyError("ERR syntax error");
export const notInteger = (): ReplyError => new ReplyError("ERR value is not an integer or out of range");

/** The argument at `index`, which the arity says is there. */
export const arg = (args: readonly Buffer[], index: number): Buffer => {
  const found = args[index];
  check(found !== undefined, "a command has the arguments of its arity");
  return found;
};

/** An argument as an option, in upper case. */
export const option = (bytes: Buffer | undefined): string => (bytes?.toString("latin1") ?? "").toUpperCase();

/** An argument as an error repeats it: as Redis, which prints strings of C, up to the first zero. */
export const echoed = (bytes: Buffer): string => bytes.toString("latin1").split("\0", 1)[0] ?? "";

/** The keys of a command that has some. */
export const keysOf = ({ keys }: Command, args: readonly Buffer[]): Buffer[] => {
  if (keys === null) return [];
  const last = keys.last < 0 ? args.length + keys.last : keys.last;
  const found: Buffer[] = [];
  for (let i = keys.first; i <= last; i += keys.step) found.push(arg(args, i));
  return found;
};
