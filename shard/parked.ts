import type { Clock } from "../core/clock.ts";
import { parkedBytesMax, parkedMax, parkedMsMax } from "../core/limits.ts";

/** Requests that cannot be answered now, and soon can: they wait, in order, until something has changed or a moment is over. */
export type Parked = {
  /** Takes a request that could not be answered. Where there is no room for more, it is answered at once, as at the end of its time. */
  readonly park: (request: ParkedRequest) => void;
  /** Something has changed: each is looked at again. */
  readonly again: () => void;
};

export type ParkedRequest = {
  /** That it keeps from being freed. */
  readonly bytes: number;
  /** Answers, where that is possible now; whatever is so with `isLast`. Answers whether it has. */
  readonly answer: (isLast: boolean) => boolean;
};

type Waiting = ParkedRequest & { readonly untilMs: number };

const lookEveryMs = 20;

export const createParked = (clock: Clock): Parked => {
  let waiting: Waiting[] = [];
  let bytes = 0;
  let isWatching = false;

  const look = (isOver: (one: Waiting) => boolean): void => {
    const before = waiting;
    // What is answered now may be followed by others that have to wait.
    waiting = [];
    const kept = before.filter((one) => {
      if (!one.answer(isOver(one))) return true;
      bytes -= one.bytes;
      return false;
    });
    waiting = [...kept, ...waiting];
  };
  const watch = (): void => {
    isWatching = waiting.length > 0;
    if (!isWatching) return;
    clock.after(lookEveryMs, () => {
      const nowMs = clock.nowMs();
      if (waiting.some(({ untilMs }) => untilMs <= nowMs)) look(({ untilMs }) => untilMs <= nowMs);
      watch();
    });
  };
  return {
    park: (request) => {
      if (waiting.length >= parkedMax || bytes + request.bytes > parkedBytesMax) {
        request.answer(true);
        return;
      }
      bytes += request.bytes;
      waiting.push({ ...request, untilMs: clock.nowMs() + parkedMsMax });
      if (!isWatching) watch();
    },
    again: () => {
      if (waiting.length > 0) look(() => false);
    },
  };
};
