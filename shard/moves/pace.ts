import type { Clock } from "../../core/clock.ts";

/** Bounds how much is sent a second, over all who ask. */
export type Pace = {
  /** Milliseconds until more may be sent; 0: now. */
  readonly waitMs: () => number;
  readonly sent: (bytes: number) => void;
};

/** What may be sent at once after a pause: a tenth of a second's. */
const burstSeconds = 0.1;

/** `bytesPerSecondMax` is asked each time; 0: no bound. */
export const createPace = (clock: Clock, bytesPerSecondMax: () => number): Pace => {
  /** Bytes that may be sent; below 0 where a frame went beyond it. */
  let left = 0;
  let atMs = clock.nowMs();
  return {
    waitMs: () => {
      const rate = bytesPerSecondMax();
      if (rate === 0) return 0;
      const nowMs = clock.nowMs();
      left = Math.min(left + ((nowMs - atMs) / 1000) * rate, rate * burstSeconds);
      atMs = nowMs;
      return left > 0 ? 0 : Math.max(1, Math.ceil((-left / rate) * 1000));
    },
    sent: (bytes) => {
      if (bytesPerSecondMax() > 0) left -= bytes;
    },
  };
};
