import { check } from "../../core/check.ts";
import { askToCollect } from "./collect.ts";
import { carry, placeToMeet, type Cursor } from "./sweep.ts";

/**
 * Memory outside the JavaScript heap: objects of whole 8-byte units, written one after the other into segments and named
 * by a reference of 32 bits (segment, then unit; 0 names nothing). What is freed stays until its segment is compacted: the
 * living objects of the emptiest segment move elsewhere, and the segment's memory goes back to the operating system.
 *
 * A segment is large on purpose: from 32 MiB on the C library maps and unmaps each on its own, so that nothing of it
 * stays behind; and pages that were never written take no memory. It is shared memory, though nobody else sees it: V8 marks
 * the whole heap each time ordinary buffers have grown by 64 MiB, which stops requests for some ten milliseconds, and does not
 * count shared ones. For that reason it has to be asked to collect those that are gone (collect.ts).
 *
 * Objects of more than a quarter of a usual segment lie in large ones, of twice the size or as much as one object needs: each
 * begins within the first half, so that its reference fits, and there are as many large objects as fill the address space. They are ordinary buffers, which are given
 * back at once: a large value that is overwritten over and over must not pile up.
 */
export type Arena = {
  /** log2 of the units in a segment. */
  readonly unitBits: number;
  readonly unitMask: number;
  readonly objects: Objects;
  /** Both views of each segment, by its id; empty where there is none. Id 0 is never used. */
  readonly bytes: Uint8Array[];
  readonly words: Int32Array[];
  /** Units written and units freed, by segment. */
  readonly used: number[];
  readonly dead: number[];
  readonly freeIds: number[];
  /** Memory of segments that are gone, until it is used again or given back. */
  retired: SharedArrayBuffer[];
  /** Calls of `compactArena` that found nothing to do, one after the other. */
  idleCalls: number;
  /** Bytes that were let go since V8 was last asked to collect. */
  droppedBytes: number;
  /** Which segment was opened when, counted from 1; 0 where there is none. */
  readonly order: number[];
  opened: number;
  /** Whether a segment was opened for what is moved ahead of a sweep. */
  readonly isCarried: boolean[];
  /** Where new objects go, and what was moved. */
  written: Lane;
  /** Where objects go that a sweep has yet to meet; only they, so that it has no more to meet than there was. */
  carried: Lane;
  /** Sweeps under way; see sweep.ts. */
  sweeps: readonly Cursor[];
  liveUnits: number;
  deadUnits: number;
  /** Bytes of all segments, retired ones included; of large ones as much as was written. */
  heldBytes: number;
  /** The segment that is being compacted, 0 for none, and the unit up to which it is done. */
  victim: number;
  scanned: number;
};

/** The segments that are written to, of usual and of large objects; 0 for none. */
export type Lane = { usual: number; large: number };

/** What an arena needs to know of its objects. */
export type Objects = {
  /** Size in units of the object at a word, negative where it was freed. */
  readonly unitsAt: (words: Int32Array, word: number) => number;
  /** An object lies at `to` now. */
  readonly moved: (from: number, to: number) => void;
};

export const unitBytes = 8;
/** 32 MiB. */
export const usualUnitBits = 22;
const segmentsMax = 65_536;
const noBytes = new Uint8Array(0);
const noWords = new Int32Array(0);

export const createArena = (unitBits: number, objects: Objects): Arena => ({
  ...{ unitBits, unitMask: (1 << unitBits) - 1, objects },
  ...{ bytes: [noBytes], words: [noWords], used: [0], dead: [0], freeIds: [], retired: [] },
  ...{ order: [0], opened: 0, isCarried: [false], sweeps: [] },
  ...{ written: { usual: 0, large: 0 }, carried: { usual: 0, large: 0 } },
  ...{ liveUnits: 0, deadUnits: 0, heldBytes: 0, idleCalls: 0, droppedBytes: 0, victim: 0, scanned: 0 },
});

/** Room for an object. Moves none. What lies there is whatever was there before. */
export const allocate = (arena: Arena, units: number): number => allocateIn(arena, units, arena.written);

const allocateIn = (arena: Arena, units: number, lane: Lane): number => {
  const { used, unitBits, unitMask } = arena;
  arena.liveUnits += units;
  if (units * 4 > unitMask + 1) return allocateLarge(arena, units, lane);
  const before = lane.usual;
  const at = used[before] ?? 0;
  if (before !== 0 && at + units <= unitMask + 1) {
    used[before] = at + units;
    return (before << unitBits) | at;
  }
  const size = (unitMask + 1) * unitBytes;
  const reused = arena.retired.pop();
  if (reused === undefined) arena.heldBytes += size;
  const id = openSegment(arena, reused ?? new SharedArrayBuffer(size), lane);
  lane.usual = id;
  closeSegment(arena, before);
  used[id] = units;
  return id << unitBits;
};

const allocateLarge = (arena: Arena, units: number, lane: Lane): number => {
  const { used, unitBits, unitMask } = arena;
  arena.heldBytes += units * unitBytes;
  const before = lane.large;
  const at = used[before] ?? 0;
  const room = (arena.words[before]?.length ?? 0) >>> 1;
  if (before !== 0 && at <= unitMask && at + units <= room) {
    used[before] = at + units;
    return (before << unitBits) | at;
  }
  const id = openSegment(arena, new ArrayBuffer(Math.max(units, 2 * (unitMask + 1)) * unitBytes), lane);
  lane.large = id;
  closeSegment(arena, before);
  used[id] = units;
  return id << unitBits;
};

/** The object is gone. Memory of a segment without living objects is retired at once. */
export const free = (arena: Arena, ref: number, units: number): void => {
  const id = ref >>> arena.unitBits;
  const dead = (arena.dead[id] ?? 0) + units;
  arena.dead[id] = dead;
  arena.liveUnits -= units;
  arena.deadUnits += units;
  if (dead === arena.used[id] && !isOpen(arena, id)) retire(arena, id);
};

const isOpen = ({ written, carried }: Arena, id: number): boolean =>
  id === written.usual || id === written.large || id === carried.usual || id === carried.large;

const openSegment = (arena: Arena, buffer: ArrayBufferLike, lane: Lane): number => {
  const id = arena.freeIds.pop() ?? arena.bytes.length;
  check(id < Math.min(segmentsMax, 2 ** (32 - arena.unitBits)), "the store is within its address space");
  arena.bytes[id] = new Uint8Array(buffer);
  arena.words[id] = new Int32Array(buffer);
  arena.dead[id] = 0;
  arena.order[id] = ++arena.opened;
  arena.isCarried[id] = lane === arena.carried;
  return id;
};

/** Nothing more is written to it. */
const closeSegment = (arena: Arena, id: number): void => {
  if (id !== 0 && arena.dead[id] === arena.used[id]) retire(arena, id);
};

const retire = (arena: Arena, id: number): void => {
  const buffer = arena.bytes[id]?.buffer;
  check(buffer !== undefined && buffer.byteLength > 0, "a segment is retired once");
  const used = arena.used[id] ?? 0;
  arena.deadUnits -= used;
  arena.bytes[id] = noBytes;
  arena.words[id] = noWords;
  arena.used[id] = 0;
  arena.dead[id] = 0;
  arena.order[id] = 0;
  arena.freeIds.push(id);
  if (arena.victim === id) arena.victim = 0;
  if (buffer instanceof SharedArrayBuffer) {
    arena.retired.push(buffer);
  } else {
    arena.heldBytes -= used * unitBytes;
    // Gone at once, with what is viewed of it; a dropped buffer would wait for some garbage collection.
    buffer.transfer(0);
  }
};

/** Begins a sweep of all objects that are there; see sweep.ts. */
export const beginSweep = (arena: Arena): Cursor => {
  endCarrying(arena);
  const cursor = { ...{ id: 0, order: 0, unit: 0 }, lastOrder: arena.opened, lastCarried: 0 };
  arena.sweeps = [...arena.sweeps, cursor];
  return cursor;
};

/** What is moved from now on goes to segments that are opened from now on: a sweep that begins meets them last. */
const endCarrying = (arena: Arena): void => {
  const { written, carried, used } = arena;
  const { usual, large } = carried;
  carried.usual = 0;
  carried.large = 0;
  closeSegment(arena, large);
  if (usual === 0) return;
  // The one with more room is written to.
  const isRoomier = written.usual === 0 || (used[usual] ?? 0) < (used[written.usual] ?? 0);
  const closed = isRoomier ? written.usual : usual;
  if (isRoomier) written.usual = usual;
  closeSegment(arena, closed);
};

/** Frees everything. */
export const clearArena = (arena: Arena): void => {
  arena.written = { usual: 0, large: 0 };
  arena.carried = { usual: 0, large: 0 };
  for (let id = 1; id < arena.bytes.length; id++) {
    if ((arena.bytes[id]?.length ?? 0) > 0) retire(arena, id);
  }
  arena.liveUnits = 0;
  arena.deadUnits = 0;
  // The arena itself may be given up after this: nobody would give its memory back then.
  while (giveBack(arena)) continue;
  collectDropped(arena);
};

/** Lets the memory of a segment go that is gone; whether there was one. */
const giveBack = (arena: Arena): boolean => {
  const unused = arena.retired.pop();
  if (unused === undefined) return false;
  arena.heldBytes -= unused.byteLength;
  arena.droppedBytes += unused.byteLength;
  if (arena.droppedBytes >= droppedBytesMax) collectDropped(arena);
  return true;
};

const collectDropped = (arena: Arena): void => {
  if (arena.droppedBytes < droppedBytesMin) return;
  arena.droppedBytes = 0;
  askToCollect();
};

/** Nothing to compact: where that has been so for a while, what is kept to be used again is given back. False: there is no more to do at once. */
const rest = (arena: Arena): false => {
  if (++arena.idleCalls >= idleCallsMin) {
    while (giveBack(arena)) continue;
    collectDropped(arena);
  }
  return false;
};

/** Kept to be used again while there is something to compact: what is moved, or written next, goes there. */
const sparesMax = 1;
/** Some seconds, as compaction looks for work each 50 ms: who goes on writing retires segments, and needs others. */
const idleCallsMin = 100;
/** Some segments: each collection marks the whole heap, so that not every segment has one of its own. */
const droppedBytesMax = 256 * 1024 * 1024;
/** Less than this is not worth a collection: it goes with the next one that there is. */
const droppedBytesMin = 1024 * 1024;

/** What looking at one object costs, in bytes that could have been copied meanwhile. */
const objectCostBytes = 96;

/**
 * Goes on compacting while there is more to gain than `slackBytes`, for about as long as it takes to copy `bytesMax`, or one
 * object. Answers whether there is more to do.
 */
export const compactArena = (arena: Arena, bytesMax: number, slackBytes: number): boolean => {
  if (arena.retired.length > sparesMax) return giveBack(arena);
  if (arena.victim === 0) {
    // A quarter of what lives may be dead: less would mean to copy every byte over and over again under overwrites.
    if (arena.deadUnits * unitBytes <= slackBytes || arena.deadUnits * 4 <= arena.liveUnits)
      return rest(arena);
    chooseVictim(arena);
  }
  arena.idleCalls = 0;
  const { victim, unitBits, objects } = arena;
  if (victim === 0) return true;
  let budget = bytesMax;
  while (arena.victim === victim && budget > 0) {
    const from = arena.scanned;
    const words = arena.words[victim] ?? noWords;
    const units = objects.unitsAt(words, from << 1);
    arena.scanned = from + Math.abs(units);
    budget -= objectCostBytes;
    if (units < 0) continue;
    budget -= units * unitBytes;
    const place = placeToMeet(arena, victim, from);
    const to = allocateIn(arena, units, place === null ? arena.written : arena.carried);
    if (place !== null) carry(arena, place, to >>> unitBits);
    const target = arena.words[to >>> unitBits] ?? noWords;
    copyUnits(words, target, { from, to: to & arena.unitMask, units });
    const ref = (victim << unitBits) | from;
    objects.moved(ref, to);
    // The last object of a segment takes the segment with it.
    free(arena, ref, units);
  }
  return true;
};

const copyUnits = (
  source: Int32Array,
  target: Int32Array,
  { from, to, units }: { readonly from: number; readonly to: number; readonly units: number },
): void => {
  const start = from << 1;
  const count = units << 1;
  const at = to << 1;
  if (count <= 64) for (let i = 0; i < count; i++) target[at + i] = source[start + i] ?? 0;
  else target.set(source.subarray(start, start + count), at);
};

/** The segment with the largest part dead. */
const chooseVictim = (arena: Arena): void => {
  let best = 0;
  let bestPart = -1;
  for (let id = 1; id < arena.bytes.length; id++) {
    const used = arena.used[id] ?? 0;
    const part = used === 0 ? -1 : (arena.dead[id] ?? 0) / used;
    if (part > bestPart) {
      best = id;
      bestPart = part;
    }
  }
  check(best !== 0, "dead units lie in some segment");
  arena.victim = best;
  arena.scanned = 0;
  for (const lane of [arena.written, arena.carried]) {
    if (best === lane.usual) lane.usual = 0;
    if (best === lane.large) lane.large = 0;
  }
  closeSegment(arena, best);
};
