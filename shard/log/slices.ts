import type { Clock } from "../../core/clock.ts";

/** Lets the event loop go on now and then during long work. */
export type Slices = { readonly isOver: () => boolean; readonly next: () => Promise<void> };

const sliceMs = 5;

export const createSlices = (clock: Clock, ms = sliceMs): Slices => {
  let untilMs = clock.nowMs() + ms;
  return {
    isOver: () => clock.nowMs() >= untilMs,
    next: async () => {
      await turn(clock);
      untilMs = clock.nowMs() + ms;
    },
  };
};

/** Resolves in the next turn of the event loop. */
export const turn = (clock: Clock): Promise<void> =>
  new Promise((resolve) => {
    clock.soon(resolve);
  });
