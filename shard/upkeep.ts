import type { Cancel, Clock } from "../core/clock.ts";
import { compactedBytesPerTurnMax } from "../core/limits.ts";
import type { Store } from "./store/store.ts";

const expireEveryMs = 50;
const compactEveryMs = 50;

/** Removes keys that have expired now and then, and a step in each turn of the event loop for as long as there are more. */
export const keepExpiring = (clock: Clock, expire: () => { readonly isMore: boolean }): Cancel => {
  let isExpiring = false;
  const run = (): void => {
    isExpiring = expire().isMore;
    if (isExpiring) clock.soon(run);
  };
  return clock.every(expireEveryMs, () => {
    // One step in each turn: what is begun beside it would go on beside it, and there would be more of them each time.
    if (!isExpiring) run();
  });
};

/** Compacts what is held now and then, and a step in each turn of the event loop for as long as there is something to gain. */
export const keepCompacting = (clock: Clock, store: () => Store | undefined): Cancel => {
  let isCompacting = false;
  const run = (): void => {
    isCompacting = store()?.compact(compactedBytesPerTurnMax) ?? false;
    if (isCompacting) clock.soon(run);
  };
  return clock.every(compactEveryMs, () => {
    if (!isCompacting) run();
  });
};

/** What has to be looked at now and then, but only for a while. */
export type Ticker = {
  /** Looks from now on, unless it does already. */
  readonly start: () => void;
  readonly stop: () => void;
};

/** Calls `look` every so often after `start`, for as long as it answers that there is something to wait for: an idle process sleeps. */
export const createTicker = (clock: Clock, everyMs: number, look: () => boolean): Ticker => {
  let cancel: Cancel | null = null;
  const stop = (): void => {
    cancel?.();
    cancel = null;
  };
  return {
    start: () => {
      cancel ??= clock.every(everyMs, () => {
        if (!look()) stop();
      });
    },
    stop,
  };
};
