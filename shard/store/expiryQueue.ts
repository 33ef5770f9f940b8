/** Keys by the instant at which they expire. What is outdated in it is found by asking the one who knows. */
export type ExpiryQueue = {
  readonly add: (key: string, atMs: number) => void;
  /** Up to `max` keys due at `wallMs`, the earliest first. They stay in the queue for as long as they are current. */
  readonly due: (wallMs: number, max: number) => string[];
  readonly clear: () => void;
  /** Entries held, outdated ones included. */
  readonly length: () => number;
};

type Deadline = { readonly key: string; readonly atMs: number };

/** Outdated deadlines are swept out once there are this many, and as many as current ones. */
const sweepFrom = 1024;

/**
 * A binary heap. A key whose expiry changes is added again and its old deadline skipped when it comes up; `current`
 * says when a key expires now (undefined: not at all), `count` how many keys expire.
 */
export const createExpiryQueue = (
  current: (key: string) => number | undefined,
  count: () => number,
): ExpiryQueue => {
  let heap: Deadline[] = [];

  const isCurrent = ({ key, atMs }: Deadline): boolean => current(key) === atMs;

  const sweep = (): void => {
    const seen = new Set<string>();
    // A sorted array is a heap.
    heap = heap
      .filter((deadline) => {
        if (!isCurrent(deadline) || seen.has(deadline.key)) return false;
        seen.add(deadline.key);
        return true;
      })
      .sort((a, b) => a.atMs - b.atMs);
  };

  return {
    add: (key, atMs) => {
      if (heap.length >= sweepFrom && heap.length > 2 * count()) sweep();
      push(heap, { key, atMs });
    },
    due: (wallMs, max) => {
      const taken = new Map<string, Deadline>();
      for (let next = heap[0]; next !== undefined && next.atMs <= wallMs; next = heap[0]) {
        if (taken.size === max) break;
        pop(heap);
        if (isCurrent(next)) taken.set(next.key, next);
      }
      for (const deadline of taken.values()) push(heap, deadline);
      return [...taken.keys()];
    },
    clear: () => {
      heap = [];
    },
    length: () => heap.length,
  };
};

const push = (heap: Deadline[], deadline: Deadline): void => {
  let at = heap.length;
  heap.push(deadline);
  while (at > 0) {
    const parentAt = (at - 1) >> 1;
    const parent = heap[parentAt];
    if (parent === undefined || parent.atMs <= deadline.atMs) break;
    heap[at] = parent;
    at = parentAt;
  }
  heap[at] = deadline;
};

const pop = (heap: Deadline[]): void => {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const leftAt = 2 * at + 1;
    const left = heap[leftAt];
    if (left === undefined) break;
    const right = heap[leftAt + 1];
    const [child, childAt] =
      right !== undefined && right.atMs < left.atMs ? [right, leftAt + 1] : [left, leftAt];
    if (child.atMs >= last.atMs) break;
    heap[at] = child;
    at = childAt;
  }
  heap[at] = last;
};
