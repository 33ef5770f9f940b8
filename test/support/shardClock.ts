import type { Clock } from "../../core/clock.ts";

/** A clock that goes when it is told to. */
export type ManualClock = Clock & {
  /** Runs what was to be done soon, and what that asks for, `turns` times at most. */
  readonly turn: (turns?: number) => void;
  readonly advance: (ms: number) => void;
};

export const createManualClock = (): ManualClock => {
  let nowMs = 0;
  let soon: (() => void)[] = [];
  type Timer = { readonly run: () => void; readonly everyMs: number | null; atMs: number };
  const timers = new Set<Timer>();
  const add = (timer: Timer) => {
    timers.add(timer);
    return () => {
      timers.delete(timer);
    };
  };
  return {
    nowMs: () => nowMs,
    wallMs: () => nowMs,
    sleep: () => Promise.reject(new Error("nobody sleeps here")),
    after: (ms, run) => add({ run, everyMs: null, atMs: nowMs + ms }),
    every: (ms, run) => add({ run, everyMs: ms, atMs: nowMs + ms }),
    soon: (run) => {
      soon.push(run);
    },
    turn: (turns = 1) => {
      for (let i = 0; i < turns && soon.length > 0; i++) {
        const due = soon;
        soon = [];
        for (const run of due) run();
      }
    },
    advance: (ms) => {
      nowMs += ms;
      for (const timer of [...timers]) {
        if (timer.atMs > nowMs || !timers.has(timer)) continue;
        if (timer.everyMs === null) timers.delete(timer);
        else timer.atMs = nowMs + timer.everyMs;
        timer.run();
      }
    },
  };
};
