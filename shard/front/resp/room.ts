import { makeRoom } from "../../memory.ts";
import { ReplyError, type Call, type Command } from "./command.ts";

const outOfMemory = "OOM command not allowed when used memory > 'maxmemory'.";

/**
 * Throws where the command may let the store grow and there is no room; evicts before, where that is the policy. EXEC is
 * such a command where it has queued one.
 */
export const checkRoom = ({ turn, session }: Pick<Call, "turn" | "session">, command: Command): void => {
  if (turn.holding.store.usedBytes() <= turn.usage.maxBytes) return;
  const grows =
    mayGrow(command) ||
    (command.name === "exec" &&
      session.transaction?.queue.some((queued) => mayGrow(queued.command)) === true);
  if (!grows || makeRoom(turn)) return;
  turn.usage.refusedWrites++;
  throw new ReplyError(outOfMemory);
};

const mayGrow = ({ flags }: Command): boolean => flags.includes("denyoom");
