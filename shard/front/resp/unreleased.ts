import { check } from "../../../core/check.ts";

/**
 * Of a session's batches that ran and are not released, in order: where their replies end, and since when they are carried out.
 * Most sessions have one and none in turn; room that was made is kept, as a list that is empty time and again would not.
 */
export type Unreleased = {
  readonly add: (end: number, startMs: number) => void;
  readonly count: () => number;
  /** Takes the oldest. */
  readonly take: () => void;
  /** Of the one that was taken last. */
  readonly end: () => number;
  readonly startMs: () => number;
};

/** Those that fit at first; a power of 2, as always. */
const firstRoom = 4;

export const createUnreleased = (): Unreleased => {
  let room = firstRoom;
  let ends = new Float64Array(room);
  let startsMs = new Float64Array(room);
  /** How many were ever taken, and added. */
  let taken = 0;
  let added = 0;
  let last = 0;
  const grow = (): void => {
    const [formerEnds, formerStarts, mask] = [ends, startsMs, room - 1];
    room *= 2;
    ends = new Float64Array(room);
    startsMs = new Float64Array(room);
    for (let i = taken; i < added; i++) {
      ends[i & (room - 1)] = formerEnds[i & mask] ?? 0;
      startsMs[i & (room - 1)] = formerStarts[i & mask] ?? 0;
    }
  };
  return {
    add: (end, startMs) => {
      if (added - taken === room) grow();
      const at = added++ & (room - 1);
      ends[at] = end;
      startsMs[at] = startMs;
    },
    count: () => added - taken,
    take: () => {
      check(taken < added, "a batch that ran is released once");
      last = taken++ & (room - 1);
    },
    end: () => ends[last] ?? 0,
    startMs: () => startsMs[last] ?? 0,
  };
};
