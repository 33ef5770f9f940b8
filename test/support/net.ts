import { once } from "node:events";
import { createServer } from "node:net";
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

/** A port that was free a moment ago, for a process that is told which one to take. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
};
