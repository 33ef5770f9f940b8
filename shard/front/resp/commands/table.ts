import type { Command } from "../command.ts";
import { connection } from "./connection.ts";
import { transactions } from "./transactions.ts";
import { strings } from "./strings.ts";

/** Every command there is, by name in lower case. */
export const commands: ReadonlyMap<string, Command> = new Map(
  [...connection, ...strings, ...transactions].map((command) => [command.name, command]),
);
