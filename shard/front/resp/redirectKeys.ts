import { keyBytesMax } from "../../../core/limits.ts";
import { slotOf } from "../../../core/slot.ts";
import { ReplyError, type Call, type Command } from "./command.ts";
import { changingHands } from "./redirect.ts";

export const crossSlot = (): ReplyError =>
  new ReplyError("CROSSSLOT Keys in request don't hash to the same slot");

/** The slot of the command's keys, -1 where it has none. Throws where they have several, or one is no key. */
export const slotOfKeys = ({ keys }: Command, args: readonly Buffer[]): number => {
  if (keys === null) return -1;
  const last = keys.last < 0 ? args.length + keys.last : keys.last;
  let slot = -1;
  for (let i = keys.first; i <= last; i += keys.step) {
    const key = args[i];
    if (key === undefined) break;
    if (key.length === 0 || key.length > keyBytesMax)
      throw new ReplyError(`ERR invalid key: it has ${key.length} bytes, wanted are 1 to ${keyBytesMax}`);
    const its = slotOf(key);
    if (slot !== -1 && its !== slot) throw crossSlot();
    slot = its;
  }
  return slot;
};

/** Thrown instead of carrying a command out, before anything was changed: its slot is changing hands, and it can be read again in a moment. */
export class MustWait extends Error {
  constructor() {
    super("the slot is changing hands");
    this.name = "MustWait";
  }
}

/** Throws the error that says who serves the slot, or why nobody does, unless it is served here. */
export const checkServed = (
  { server, session }: Pick<Call, "server" | "session">,
  command: Command,
  slot: number,
): void => {
  if (slot === -1) return;
  const isReadOnly = session.isReadonly && command.flags.includes("readonly");
  const refusal = server.redirection(slot, isReadOnly);
  if (refusal === null) return;
  if (refusal === changingHands && session.mayWait) throw new MustWait();
  // Only the first command of those that waited has waited for that long.
  session.mayWait = true;
  throw new ReplyError(refusal);
};
