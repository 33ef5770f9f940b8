/**
 * The instants at which entries expire: a heap of four children per node, outside the JavaScript heap, that grows by the
 * chunk so that nothing is ever copied. Each entry knows its place in the heap, so a deadline can be taken out at any time
 * and none is ever outdated.
 */
export type Deadlines = {
  readonly chunkBits: number;
  readonly chunkMask: number;
  readonly instants: Float64Array[];
  readonly refs: Int32Array[];
  count: number;
  /** Tells an entry its place. */
  readonly placed: (ref: number, place: number) => void;
};

/** 4 Mi deadlines of 12 bytes; pages that were never written take no memory. */
export const usualChunkBits = 22;

export const createDeadlines = (chunkBits: number, placed: Deadlines["placed"]): Deadlines => ({
  ...{ chunkBits, chunkMask: (1 << chunkBits) - 1, instants: [], refs: [], count: 0, placed },
});

export const addDeadline = (deadlines: Deadlines, ref: number, atMs: number): void => {
  const place = deadlines.count++;
  if (place >> deadlines.chunkBits === deadlines.instants.length) {
    const size = deadlines.chunkMask + 1;
    const buffer = new ArrayBuffer(size * deadlineBytes);
    deadlines.instants.push(new Float64Array(buffer, 0, size));
    deadlines.refs.push(new Int32Array(buffer, size * 8, size));
  }
  rise(deadlines, place, { ref, atMs });
};

export const removeDeadline = (deadlines: Deadlines, place: number): void => {
  const last = --deadlines.count;
  const moved = { ref: refAt(deadlines, last), atMs: instantAt(deadlines, last) };
  if (place !== last) settle(deadlines, place, moved);
  // One chunk beyond the last is kept, so that a count that swings around a border frees and maps nothing.
  if (deadlines.instants.length > (last >> deadlines.chunkBits) + 2) {
    deadlines.refs.pop();
    freeChunk(deadlines.instants.pop());
  }
};

/** The entry at a place has another instant now. */
export const changeDeadline = (deadlines: Deadlines, place: number, atMs: number): void => {
  settle(deadlines, place, { ref: refAt(deadlines, place), atMs });
};

/** The entry at a place lies elsewhere now. */
export const moveDeadline = (deadlines: Deadlines, place: number, ref: number): void => {
  const { refs, chunkBits, chunkMask } = deadlines;
  const chunk = refs[place >> chunkBits];
  if (chunk !== undefined) chunk[place & chunkMask] = ref;
};

/** The entry at a place of the heap; the one that expires first is at place 0. */
export const entryAt = (deadlines: Deadlines, place: number): number => refAt(deadlines, place);

export const deadlineBytes = 12;
/** Bytes of all chunks. */
export const heldByDeadlines = ({ instants, chunkMask }: Deadlines): number =>
  instants.length * (chunkMask + 1) * deadlineBytes;

/** Up to `max` entries whose instant is `wallMs` or before. */
export const dueEntries = (deadlines: Deadlines, wallMs: number, max: number): readonly number[] => {
  const due: number[] = [];
  if (deadlines.count === 0 || instantAt(deadlines, 0) > wallMs) return due;
  // Level by level, children of those that are due only.
  const places = [0];
  for (let i = 0; i < places.length && due.length < max; i++) {
    const place = places[i] ?? 0;
    due.push(refAt(deadlines, place));
    const end = Math.min(place * 4 + 5, deadlines.count);
    for (let child = place * 4 + 1; child < end; child++)
      if (instantAt(deadlines, child) <= wallMs && places.length < max) places.push(child);
  }
  return due;
};

export const clearDeadlines = (deadlines: Deadlines): void => {
  deadlines.refs.length = 0;
  for (const chunk of deadlines.instants.splice(0)) freeChunk(chunk);
  deadlines.count = 0;
};

const freeChunk = (chunk: Float64Array | undefined): void => {
  if (chunk !== undefined && chunk.buffer instanceof ArrayBuffer) chunk.buffer.transfer(0);
};

type Deadline = { readonly ref: number; readonly atMs: number };

const refAt = ({ refs, chunkBits, chunkMask }: Deadlines, place: number): number =>
  refs[place >> chunkBits]?.[place & chunkMask] ?? 0;
const instantAt = ({ instants, chunkBits, chunkMask }: Deadlines, place: number): number =>
  instants[place >> chunkBits]?.[place & chunkMask] ?? 0;

const put = (deadlines: Deadlines, place: number, { ref, atMs }: Deadline): void => {
  const { instants, chunkBits, chunkMask, placed } = deadlines;
  const chunk = instants[place >> chunkBits];
  if (chunk !== undefined) chunk[place & chunkMask] = atMs;
  moveDeadline(deadlines, place, ref);
  placed(ref, place);
};

const settle = (deadlines: Deadlines, place: number, deadline: Deadline): void => {
  if (place > 0 && instantAt(deadlines, (place - 1) >> 2) > deadline.atMs) rise(deadlines, place, deadline);
  else sink(deadlines, place, deadline);
};

const rise = (deadlines: Deadlines, from: number, deadline: Deadline): void => {
  let place = from;
  while (place > 0) {
    const parent = (place - 1) >> 2;
    const atMs = instantAt(deadlines, parent);
    if (atMs <= deadline.atMs) break;
    put(deadlines, place, { ref: refAt(deadlines, parent), atMs });
    place = parent;
  }
  put(deadlines, place, deadline);
};

const sink = (deadlines: Deadlines, from: number, deadline: Deadline): void => {
  const { count } = deadlines;
  let place = from;
  for (let first = place * 4 + 1; first < count; first = place * 4 + 1) {
    let least = first;
    let leastMs = instantAt(deadlines, first);
    const end = Math.min(first + 4, count);
    for (let child = first + 1; child < end; child++) {
      const atMs = instantAt(deadlines, child);
      if (atMs < leastMs) {
        least = child;
        leastMs = atMs;
      }
    }
    if (leastMs >= deadline.atMs) break;
    put(deadlines, place, { ref: refAt(deadlines, least), atMs: leastMs });
    place = least;
  }
  put(deadlines, place, deadline);
};
