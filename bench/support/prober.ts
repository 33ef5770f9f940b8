import { setTimeout as sleep } from "node:timers/promises";

/** Writes growing numbers to one key, one after the other, and knows the longest time without an acknowledged one. */
export type Prober = {
  /** From now on. */
  readonly mark: () => void;
  /** Resolves once a write that began after this call is acknowledged. */
  readonly written: () => Promise<void>;
  /** The longest time between two acknowledged writes since the mark, counted from the last one before it. Milliseconds. */
  readonly gapMs: () => number;
  /** Writes since the mark that ended in an error, and the first ones' words. */
  readonly failed: () => number;
  readonly failures: () => readonly string[];
  readonly stop: () => Promise<void>;
};

const pauseMs = 2;
const failuresKept = 3;

/** `write` rejects where a write was not acknowledged. */
export const startProber = (write: (n: number) => Promise<void>): Prober => {
  const over = new AbortController();
  let failures: string[] = [];
  let failed = 0;
  let ackedMs = performance.now();
  let gapMs = 0;
  const waiting = new Set<{ readonly fromMs: number; readonly resolve: () => void }>();
  const done = (async () => {
    for (let n = 1; !over.signal.aborted; n++) {
      const beganMs = performance.now();
      try {
        await write(n);
        const nowMs = performance.now();
        gapMs = Math.max(gapMs, nowMs - ackedMs);
        ackedMs = nowMs;
        for (const one of waiting) {
          if (beganMs < one.fromMs) continue;
          waiting.delete(one);
          one.resolve();
        }
      } catch (error) {
        if (failed++ < failuresKept) failures.push(error instanceof Error ? error.message : String(error));
      }
      await sleep(pauseMs);
    }
  })();
  return {
    mark: () => {
      gapMs = 0;
      failures = [];
      failed = 0;
    },
    written: () =>
      new Promise<void>((resolve) => {
        waiting.add({ fromMs: performance.now(), resolve });
      }),
    gapMs: () => gapMs,
    failed: () => failed,
    failures: () => failures,
    stop: async () => {
      over.abort();
      await done;
    },
  };
};
