import { frozenSlot } from "../../../route.ts";
import { command, ReplyError, all, type Call, type Command } from "../command.ts";
import { checkServed, crossSlot, MustWait, slotOfKeys } from "../redirectKeys.ts";
import { begin, unwatchAll, watchKey, wasTouched, type Transaction } from "../transaction.ts";

const multi = ({ reply, session }: Call): void => {
  if (session.transaction !== null) throw new ReplyError("ERR MULTI calls can not be nested");
  session.transaction = begin();
  reply.simple("OK");
};

const discard = ({ reply, session }: Call): void => {
  if (session.transaction === null) throw new ReplyError("ERR DISCARD without MULTI");
  session.transaction = null;
  unwatchAll(session.watching);
  reply.simple("OK");
};

const watch = ({ args, turn, reply, session }: Call): void => {
  if (session.transaction !== null) throw new ReplyError("ERR WATCH inside MULTI is not allowed");
  for (const key of args.slice(1)) watchKey(session.watching, key, turn);
  reply.simple("OK");
};

const unwatch = ({ reply, session }: Call): void => {
  unwatchAll(session.watching);
  reply.simple("OK");
};

/** Carries out what was queued, in one turn: nothing comes between. */
const exec = (call: Call): void => {
  const { session, reply, turn } = call;
  const { transaction } = session;
  if (transaction === null) throw new ReplyError("ERR EXEC without MULTI");
  // Where one of its slots is changing hands, it waits as it is.
  if (!transaction.isBroken) awaitSlots(call, transaction);
  const isTouched = wasTouched(session.watching, turn);
  session.transaction = null;
  unwatchAll(session.watching);
  if (transaction.isBroken)
    throw new ReplyError("EXECABORT Transaction discarded because of previous errors.");
  let slot = -1;
  for (const { command, args } of transaction.queue) {
    const its = slotOfKeys(command, args);
    if (its === -1) continue;
    if (slot !== -1 && its !== slot) throw crossSlot();
    slot = its;
    checkServed(call, command, slot);
  }
  if (isTouched) {
    reply.nullArray();
    return;
  }
  reply.array(transaction.queue.length);
  for (const { command, args } of transaction.queue) {
    const start = reply.written();
    try {
      command.run({ ...call, command, args, isQueued: true });
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      reply.cut(start);
      reply.error(error.message);
    }
  }
};

/** Throws where it has to wait. */
const awaitSlots = (call: Call, { queue }: Transaction): void => {
  const { session, turn } = call;
  if (!session.mayWait) return;
  const anyFrozen = turn.holding.slots.includes(frozenSlot);
  for (const { command, args } of queue) {
    try {
      const slot = slotOfKeys(command, args);
      // One that writes to no key in particular writes to all.
      if (slot === -1 && anyFrozen && command.flags.includes("write")) throw new MustWait();
      checkServed(call, command, slot);
    } catch (error) {
      // Whatever else is wrong is said below.
      if (error instanceof MustWait) throw error;
      return;
    }
  }
};

export const transactions: readonly Command[] = [
  command(["multi", 1, null], ["noscript", "loading", "stale", "fast", "immediate"], multi),
  command(["exec", 1, null], ["noscript", "loading", "stale", "immediate"], exec),
  command(["discard", 1, null], ["noscript", "loading", "stale", "fast", "immediate"], discard),
  command(["watch", -2, all], ["noscript", "loading", "stale", "fast", "immediate"], watch),
  command(["unwatch", 1, null], ["noscript", "loading", "stale", "fast"], unwatch),
];
