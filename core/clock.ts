import { setTimeout as sleepFor } from "node:timers/promises";

/** Time as an argument. Nothing outside this file reads a clock or sets a timer. */
export type Clock = {
  /** Milliseconds, monotonic, from an arbitrary start. For durations, leases and timeouts. */
  readonly nowMs: () => number;
  /** Milliseconds since 1970, UTC. Only for expiry instants and what people read. */
  readonly wallMs: () => number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Calls `run` after `ms` until cancelled; does not keep the process alive. */
  readonly after: (ms: number, run: () => void) => Cancel;
  /** Calls `run` every `ms` until cancelled; does not keep the process alive. */
  readonly every: (ms: number, run: () => void) => Cancel;
  /** Calls `run` once this turn of the event loop has read its input. */
  readonly soon: (run: () => void) => void;
};
export type Cancel = () => void;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (ms, signal) => sleepFor(ms, undefined, signal === undefined ? {} : { signal }),
  after: (ms, run) => {
    const timer = setTimeout(run, ms).unref();
    return () => {
      clearTimeout(timer);
    };
  },
  every: (ms, run) => {
    const timer = setInterval(run, ms).unref();
    return () => {
      clearInterval(timer);
    };
  },
  soon: (run) => {
    setImmediate(run);
  },
};

/** An instant as people and Kubernetes write it: `2026-01-31T12:00:00.000Z`. */
export const isoTime = (wallMs: number): string => new Date(wallMs).toISOString();
/** The instant that such a text names, in milliseconds since 1970; 0 where it names none. */
export const instantOf = (text: string): number => {
  const ms = Date.parse(text);
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
};
