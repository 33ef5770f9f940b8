import { makeRoom } from "../../memory.ts";
import { ReplyError, type Call, type Command } from "./command.ts";
import type { Transaction } from "./transaction.ts";

/** As Redis says it, so that clients that know the error know this one. */
const diskFull = "MISCONF Errors writing to the AOF file: No space left on device";
const notEnough = "NOREPLICAS Not enough good replicas to write.";
const outOfMemory = "OOM command not allowed when used memory > 'maxmemory'.";

/**
 * Throws where the command writes and the volume is full, or may let the store grow and there is no room; evicts before, where that is the policy. EXEC is
 * such a command where it has queued one; and as in Redis nothing at all is queued while there is no room.
 */
export const checkRoom = ({ turn, session }: Pick<Call, "turn" | "session">, command: Command): void => {
  if (turn.isFull && (command.flags.includes("write") || command.name === "exec"))
    throw new ReplyError(diskFull);
  if (turn.isShort && writes(command, session.transaction)) throw new ReplyError(notEnough);
  if (turn.holding.store.usedBytes() <= turn.usage.maxBytes) return;
  const { transaction } = session;
  const grows =
    command.name === "exec"
      ? transaction?.queue.some((queued) => mayGrow(queued.command)) === true
      : mayGrow(command) || (transaction !== null && !leaving.has(command.name));
  if (!grows || makeRoom(turn)) return;
  turn.usage.refusedWrites++;
  throw new ReplyError(outOfMemory);
};

/** Whether it writes, or carries out what does. */
const writes = ({ flags, name }: Command, transaction: Transaction | null): boolean =>
  flags.includes("write") ||
  (name === "exec" && transaction?.queue.some(({ command }) => command.flags.includes("write")) === true);

/** Commands that end a transaction. */
const leaving: ReadonlySet<string> = new Set(["discard", "quit", "reset"]);

const mayGrow = ({ flags }: Command): boolean => flags.includes("denyoom");
