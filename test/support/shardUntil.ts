import { setTimeout as sleep } from "node:timers/promises";

const deadlineMs = 30_000;

/** Waits until the condition holds; fails after the deadline, saying what it waited for. */
export const until = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  seen: () => string = () => "",
): Promise<void> => {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`Waited ${deadlineMs} ms for ${what}; last seen: ${seen()}`);
    await sleep(5);
  }
};
