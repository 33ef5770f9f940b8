import { systemClock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";

export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

/** Waits until `holds`, looking every 5 ms; rejects with `what` after `withinMs`. */
export const until = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 5_000,
): Promise<void> => {
  const deadline = systemClock.nowMs() + withinMs;
  while (!(await holds())) {
    if (systemClock.nowMs() > deadline) throw new Error(`Not within ${withinMs} ms: ${what}`);
    await systemClock.sleep(5);
  }
};
