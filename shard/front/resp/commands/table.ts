import type { Command } from "../command.ts";
import { bits } from "./bits.ts";
import { cluster } from "./cluster.ts";
import { connection } from "./connection.ts";
import { counters } from "./counters.ts";
import { expiries } from "./expiries.ts";
import { keys } from "./keys.ts";
import { keyspace } from "./keyspace.ts";
import { memory } from "./memory.ts";
import { persistence } from "./persistence.ts";
import { commandOf, server } from "./server.ts";
import { strings } from "./strings.ts";
import { transactions } from "./transactions.ts";

const families = [
  ...[connection, transactions, strings, counters, bits, keys, expiries, keyspace, server, persistence],
  [cluster, memory, commandOf(() => commands)],
];

/** Every command there is, by name in lower case. */
export const commands: ReadonlyMap<string, Command> = new Map(
  families.flat().map((command) => [command.name, command]),
);
