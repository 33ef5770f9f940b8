import { makeRoom } from "../../memory.ts";
import { ReplyError, type Call, type Command } from "./command.ts";

/** As Redis says it, so that clients that know the error know this one. */
const diskFull = "MISCONF Errors writing to the AOF file: No space left on device";
const outOfMemory = "OOM command not allowed when used memory > 'maxmemory'.";

/**
 * Throws where the command writes and the volume is full, or may let the store grow and there is no room; evicts before, where that is the policy. EXEC is
 * such a command where it has queued one; and as in Redis nothing at all is queued while there is no room.
 */
export const checkRoom = ({ turn, session }: Pick<Call, "turn" | "session">, command: Command): void => {
  if (turn.isFull && (command.flags.includes("write") || command.name === "exec"))
    throw new ReplyError(diskFull);
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

/** Commands that end a transaction. */
const leaving: ReadonlySet<string> = new Set(["discard", "quit", "reset"]);

const mayGrow = ({ flags }: Command): boolean => flags.includes("denyoom");
