import type { Clock } from "./clock.ts";

/** How long to wait between attempts: doubling from `firstMs` to `maxMs`, each cut by up to half at random. */
export type Backoff = { readonly firstMs: number; readonly maxMs: number };

/**
 * The wait before attempt `attempt` (1 is the first retry), in milliseconds. `random` is in [0, 1); the jitter keeps
 * a thousand peers that lost one server from coming back in the same instant.
 */
export const backoffMs = ({ firstMs, maxMs }: Backoff, attempt: number, random: number): number =>
  Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30)) * (1 - random / 2);

/** Repeats `attempt` until it succeeds or the signal is aborted; `failed` hears of each failure. */
export const untilSuccess = async <T>(
  attempt: () => Promise<T>,
  backoff: Backoff,
  { clock, signal, random, failed }: Retry,
): Promise<T> => {
  for (let tried = 1; ; tried++) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      failed?.(error, tried);
      await clock.sleep(backoffMs(backoff, tried, random()), signal);
    }
  }
};

export type Retry = {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly random: () => number;
  readonly failed?: (error: unknown, tried: number) => void;
};
