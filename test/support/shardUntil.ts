import { setTimeout as sleep } from "node:timers/promises";

/** Waits until the condition holds; fails after the deadline, saying what it waited for. */
export const until = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  seen: () => string = () => "",
  deadlineMs = 20_000,
): Promise<void> => {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`Waited ${deadlineMs} ms for ${what}; last seen: ${seen()}`);
    await sleep(5);
  }
};
