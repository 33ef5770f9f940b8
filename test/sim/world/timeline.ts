import type { Clock } from "../../../core/clock.ts";
import { mixed } from "./seeded.ts";

/**
 * Virtual time: events in the order of their instants, one after the other, each followed by all the promises that it
 * settles. Everything happens within one synchronous call, so that a run takes as long as its events do and the same seed
 * gives the same order.
 */
export type Timeline = {
  /** Milliseconds since the world began. */
  readonly nowMs: () => number;
  /** Runs `run` at an instant, for `of` where it is a process's own: later if that is paused, never once it has ended. */
  readonly at: (atMs: number, of: Process | null, run: () => void) => SimEvent;
  /** Runs events until `isOver`, or until the instant `untilMs`; answers whether it was over. */
  readonly run: (untilMs: number, isOver: () => boolean) => boolean;
  readonly events: () => number;
  /** Of all events so far: differs where the order of anything does. */
  readonly hash: () => number;
  /** The process whose event runs now. */
  readonly running: () => Process | null;
};

export type SimEvent = {
  atMs: number;
  readonly order: number;
  readonly of: Process | null;
  readonly run: () => void;
  isCancelled: boolean;
};

/** A process of the world. */
export type Process = {
  readonly id: number;
  readonly name: string;
  isAlive: boolean;
  isPaused: boolean;
  /** What came while it was paused. */
  held: SimEvent[];
};

/** Something of the product threw where nothing may. */
export type Thrown = (error: unknown, of: Process | null) => void;

export const createTimeline = (thrown: Thrown): Timeline => {
  const heap: SimEvent[] = [];
  let nowMs = 0;
  let order = 0;
  let events = 0;
  let hash = 0;
  let running: Process | null = null;

  const push = (event: SimEvent): void => {
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const up = (i - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[i] = parent;
      i = up;
    }
    heap[i] = event;
  };
  const pop = (): SimEvent | undefined => {
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      let child = heap[down];
      if (child === undefined) break;
      const right = heap[down + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        down++;
      }
      if (!isBefore(child, last)) break;
      heap[i] = child;
      i = down;
    }
    heap[i] = last;
    return first;
  };
  const carryOut = ({ of, run }: SimEvent): void => {
    running = of;
    try {
      run();
    } catch (error) {
      thrown(error, of);
    }
    settlePromises();
    running = null;
  };

  return {
    nowMs: () => nowMs,
    at: (atMs, of, run) => {
      const event = { atMs: Math.max(atMs, nowMs), order: order++, of, run, isCancelled: false };
      push(event);
      return event;
    },
    run: (untilMs, isOver) => {
      settlePromises();
      while (!isOver()) {
        const event = pop();
        if (event === undefined || event.atMs > untilMs) {
          if (event !== undefined) push(event);
          nowMs = untilMs;
          return false;
        }
        nowMs = event.atMs;
        if (event.isCancelled || event.of?.isAlive === false) continue;
        if (event.of?.isPaused === true) {
          event.of.held.push(event);
          continue;
        }
        events++;
        hash = mixed(mixed(hash, Math.round(nowMs * 1000)), event.of?.id ?? 0);
        carryOut(event);
      }
      return true;
    },
    events: () => events,
    hash: () => hash,
    running: () => running,
  };
};

const isBefore = (a: SimEvent, b: SimEvent): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

const tick: unknown = Reflect.get(process, "_tickCallback");
/**
 * Runs everything that promises have asked for, and what that asks for, before it returns. Only from outside of a promise's
 * own callback: from setImmediate, say.
 */
export const settlePromises = (): void => {
  if (typeof tick !== "function") throw new Error("This Node.js cannot run promises on demand");
  tick();
};

/** How one process sees time. Its monotonic clock starts anywhere and runs a little fast or slow; timers follow it. */
export const clockOf = (
  timeline: Timeline,
  of: Process,
  { startMs, rate, wallAheadMs }: { startMs: number; rate: number; wallAheadMs: number },
): Clock => {
  const bornMs = timeline.nowMs();
  const after = (ms: number, run: () => void): SimEvent =>
    timeline.at(timeline.nowMs() + Math.max(0.05, ms) / rate, of, run);
  return {
    nowMs: () => startMs + (timeline.nowMs() - bornMs) * rate,
    wallMs: () => Math.floor(worldBeganMs + wallAheadMs + timeline.nowMs()),
    after: (ms, run) => {
      const event = after(ms, run);
      return () => {
        event.isCancelled = true;
      };
    },
    every: (ms, run) => {
      let event: SimEvent;
      const next = (): void => {
        event = after(ms, fire);
      };
      const fire = (): void => {
        next();
        run();
      };
      next();
      return () => {
        event.isCancelled = true;
      };
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const refuse = (): void => {
          event.isCancelled = true;
          reject(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
        };
        const event = after(ms, () => {
          signal?.removeEventListener("abort", refuse);
          resolve();
        });
        if (signal?.aborted === true) refuse();
        else signal?.addEventListener("abort", refuse, { once: true });
      }),
    soon: (run) => {
      timeline.at(timeline.nowMs() + 0.01, of, run);
    },
  };
};

/** A morning in 2026. */
const worldBeganMs = 1_780_000_000_000;
