import { EdisError } from "../../core/errors.ts";
import { version } from "../../core/ids.ts";
import { encodeMessage } from "../../core/message.ts";
import type { Connection } from "../../net/connection.ts";
import type { Held } from "../held.ts";
import { historyUpTo } from "./history.ts";
import { encodeEntries, entriesBuffer } from "./recordEncoder.ts";

/**
 * Sends everything that is held to one process, on a connection of its own: a sweep over the keys while writes go on. The
 * records from where the sweep began are kept until the connection ends, for the process to take them from the stream.
 */
export type CopySender = {
  /** Sends as much as one turn of the event loop may. Answers whether there is more that could go out at once. */
  readonly feed: () => boolean;
  readonly isDone: () => boolean;
  readonly end: () => void;
};

export type CopyLimits = {
  /** Bytes sent and not taken, before it has to take some. */
  readonly ahead: number;
  /** Bytes of entries per turn of the event loop. */
  readonly entriesPerTurn: number;
};

export const startCopy = (
  { holding, log }: Held,
  connection: Connection,
  { limits, sent }: { readonly limits: CopyLimits; readonly sent: (bytes: number) => void },
): CopySender => {
  if (!holding.complete)
    throw new EdisError("not-serving", "Cannot send a copy: this process does not hold all of a shard");
  const { epoch, history, bytes, mapVersion } = holding;
  const hold = log.hold(version(holding.version + 1));
  const sweep = holding.store.sweep();
  let room = entriesBuffer(limits.entriesPerTurn);
  let isDone = false;
  connection.send(
    encodeMessage({
      ...{ kind: "copying", epoch, version: holding.version, bytes },
      ...{ keys: holding.store.keys(), history: historyUpTo(history, epoch), mapVersion },
    }),
  );
  return {
    feed: () => {
      if (isDone || connection.unsentBytes() >= limits.ahead) return false;
      const { frame, done } = encodeEntries(sweep, limits.entriesPerTurn, room);
      if (frame.length > 0) connection.send(frame);
      // What the operating system has taken may be written over; the rest is left alone.
      if (connection.unsentBytes() > 0) room = entriesBuffer(limits.entriesPerTurn);
      sent(frame.length);
      if (!done) return true;
      isDone = true;
      connection.send(encodeMessage({ kind: "copied", version: holding.version }));
      return false;
    },
    isDone: () => isDone,
    end: () => {
      sweep.end();
      hold.release();
    },
  };
};
