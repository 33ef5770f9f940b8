import { totalmem } from "node:os";
import type { Call } from "./command.ts";

/** Memory, in bytes, in the words of INFO: what is used is what counts against the maximum. */
export type MemoryFigures = {
  readonly used: number;
  /** Keys and values alone. */
  readonly dataset: number;
  /** What compaction can give back. */
  readonly dead: number;
  readonly peak: number;
  /** 0 for no maximum. */
  readonly max: number;
  /** Of the whole process. */
  readonly resident: number;
  /** Of the JavaScript heap. */
  readonly heap: number;
  /** Half-sent commands and transactions. */
  readonly clients: number;
  readonly system: number;
};

export const memoryFigures = ({ server, turn }: Call): MemoryFigures => {
  const { store } = turn.holding;
  const { usage } = turn;
  const { rss, heapUsed } = process.memoryUsage();
  const used = store.usedBytes();
  return {
    used,
    dataset: store.bytes(),
    dead: store.memory().deadBytes,
    peak: Math.max(used, usage.peakBytes),
    max: Number.isFinite(usage.maxBytes) ? usage.maxBytes : 0,
    resident: rss,
    heap: heapUsed,
    clients: [...server.sessions.values()].reduce((sum, session) => sum + session.held(), 0),
    system: totalmem(),
  };
};
