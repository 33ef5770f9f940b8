import { makeRoom } from "../../memory.ts";
import { ReplyError, type Call, type Command } from "./command.ts";

const outOfMemory = "OOM command not allowed when used memory > 'maxmemory'.";

/**
 * Throws where the command may let the store grow and there is no room; evicts before, where that is the policy. EXEC is
 * such a command where it has queued one; and as in Redis nothing at all is queued while there is no room.
 */
export const checkRoom = ({ turn, session }: Pick<Call, "turn" | "session">, command: Command): void => {
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
