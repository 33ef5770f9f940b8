import { backoffMs, type Backoff } from "../core/backoff.ts";
import type { Cancel, Clock } from "../core/clock.ts";

/** Names that want work done: each is worked on by one at a time, and once more if it is added meanwhile. */
export type Queue = {
  readonly add: (key: string) => void;
  /** Resolves when nothing is worked on any more; nothing is begun after the call. */
  readonly stop: () => Promise<void>;
};

export type QueueOptions = {
  /** Does all that is to be done for a key; resolves to the milliseconds after which to do it again, or null. */
  readonly work: (key: string) => Promise<number | null>;
  readonly failed: (key: string, error: unknown, tried: number) => void;
  readonly clock: Clock;
  readonly random: () => number;
  /** From the end of one run of a key to the start of the next: what comes meanwhile is done as one. */
  readonly restMs: number;
  readonly concurrencyMax: number;
  readonly backoff: Backoff;
};

type Entry = {
  state: "idle" | "waiting" | "ready" | "working";
  again: boolean;
  failures: number;
  restUntilMs: number;
  cancel: Cancel | null;
};

export const createQueue = (options: QueueOptions): Queue => {
  const { work, failed, clock, random, restMs, concurrencyMax, backoff } = options;
  const entries = new Map<string, Entry>();
  const ready: string[] = [];
  const working = new Set<Promise<void>>();
  let stopped = false;

  const pump = (): void => {
    while (!stopped && working.size < concurrencyMax) {
      const key = ready.shift();
      const entry = key === undefined ? undefined : entries.get(key);
      if (key === undefined || entry === undefined) return;
      const run = runOnce(key, entry).finally(() => {
        working.delete(run);
        pump();
      });
      working.add(run);
    }
  };
  const readyNow = (key: string, entry: Entry): void => {
    entry.cancel = null;
    entry.state = "ready";
    ready.push(key);
    pump();
  };
  const wait = (key: string, entry: Entry, ms: number): void => {
    entry.cancel?.();
    entry.state = "waiting";
    entry.cancel = clock.after(ms, () => {
      readyNow(key, entry);
    });
  };
  const runOnce = async (key: string, entry: Entry): Promise<void> => {
    entry.state = "working";
    entry.again = false;
    let againMs: number | null;
    try {
      againMs = await work(key);
      entry.failures = 0;
    } catch (error) {
      failed(key, error, ++entry.failures);
      againMs = backoffMs(backoff, entry.failures, random());
    }
    entry.restUntilMs = clock.nowMs() + restMs;
    if (stopped) return;
    // After a failure the backoff holds, whatever else wants the key.
    if (wasAdded(entry) && entry.failures === 0) wait(key, entry, restMs);
    else if (againMs !== null) wait(key, entry, againMs);
    else entries.delete(key);
  };

  return {
    add: (key) => {
      if (stopped) return;
      const entry = entries.get(key) ?? newEntry();
      entries.set(key, entry);
      if (entry.state === "working") entry.again = true;
      else if (entry.state === "idle") readyNow(key, entry);
      else if (entry.state === "waiting" && entry.failures === 0) {
        wait(key, entry, Math.max(0, entry.restUntilMs - clock.nowMs()));
      }
    },
    stop: async () => {
      stopped = true;
      for (const { cancel } of entries.values()) cancel?.();
      await Promise.allSettled(working);
    },
  };
};

const newEntry = (): Entry => ({ state: "idle", again: false, failures: 0, restUntilMs: 0, cancel: null });
/** A call, because the compiler believes that nobody adds while the work is awaited. */
const wasAdded = ({ again }: Entry): boolean => again;
