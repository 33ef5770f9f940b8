import { check } from "../../core/check.ts";

/**
 * Memory outside the JavaScript heap: objects of whole 8-byte units, written one after the other into segments and named
 * by a reference of 32 bits (segment, then unit; 0 names nothing). What is freed stays until its segment is compacted: the
 * living objects of the emptiest segment move elsewhere, and the segment's memory goes back to the operating system.
 *
 * A segment is large on purpose: from 32 MiB on the C library maps and unmaps each on its own, so that nothing of it
 * stays behind; and pages that were never written take no memory.
 *
 * Objects of more than a quarter of a usual segment lie in large ones, of twice the size or as much as one object needs: each
 * begins within the first half, so that its reference fits, and there are as many large objects as fill the address space.
 */
export type Arena = {
  /** log2 of the units in a segment. */
  readonly unitBits: number;
  readonly unitMask: number;
  readonly objects: Objects;
  /** Both views of each segment, by its id; empty where there is none. Id 0 is never used. */
  readonly bytes: Uint8Array<ArrayBuffer>[];
  readonly words: Int32Array<ArrayBuffer>[];
  /** Units written and units freed, by segment. */
  readonly used: number[];
  readonly dead: number[];
  readonly freeIds: number[];
  /** Memory of segments that are gone, until it is used again or given back. */
  retired: ArrayBuffer[];
  /** The segments that are written to, 0 for none. */
  current: number;
  currentLarge: number;
  liveUnits: number;
  deadUnits: number;
  /** Bytes of all segments, retired ones included; of large ones as much as was written. */
  heldBytes: number;
  /** The segment that is being compacted, 0 for none, and the unit up to which it is done. */
  victim: number;
  scanned: number;
};

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
  ...{ current: 0, currentLarge: 0, liveUnits: 0, deadUnits: 0, heldBytes: 0, victim: 0, scanned: 0 },
});

/** Room for an object. Moves none. What lies there is whatever was there before. */
export const allocate = (arena: Arena, units: number): number => {
  const { current, used, unitBits, unitMask } = arena;
  arena.liveUnits += units;
  if (units * 4 > unitMask + 1) return allocateLarge(arena, units);
  const at = used[current] ?? 0;
  if (current !== 0 && at + units <= unitMask + 1) {
    used[current] = at + units;
    return (current << unitBits) | at;
  }
  const size = (unitMask + 1) * unitBytes;
  const reused = arena.retired.pop();
  if (reused === undefined) arena.heldBytes += size;
  const id = openSegment(arena, reused ?? new ArrayBuffer(size));
  const before = arena.current;
  arena.current = id;
  closeSegment(arena, before);
  used[id] = units;
  return id << unitBits;
};

const allocateLarge = (arena: Arena, units: number): number => {
  const { currentLarge, used, unitBits, unitMask } = arena;
  arena.heldBytes += units * unitBytes;
  const at = used[currentLarge] ?? 0;
  const room = (arena.words[currentLarge]?.length ?? 0) >>> 1;
  if (currentLarge !== 0 && at <= unitMask && at + units <= room) {
    used[currentLarge] = at + units;
    return (currentLarge << unitBits) | at;
  }
  const id = openSegment(arena, new ArrayBuffer(Math.max(units, 2 * (unitMask + 1)) * unitBytes));
  arena.currentLarge = id;
  closeSegment(arena, currentLarge);
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
  if (dead === arena.used[id] && id !== arena.current && id !== arena.currentLarge) retire(arena, id);
};

const openSegment = (arena: Arena, buffer: ArrayBuffer): number => {
  const id = arena.freeIds.pop() ?? arena.bytes.length;
  check(id < Math.min(segmentsMax, 2 ** (32 - arena.unitBits)), "the store is within its address space");
  arena.bytes[id] = new Uint8Array(buffer);
  arena.words[id] = new Int32Array(buffer);
  arena.dead[id] = 0;
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
  arena.freeIds.push(id);
  if (arena.victim === id) arena.victim = 0;
  if (buffer.byteLength === (arena.unitMask + 1) * unitBytes) {
    arena.retired.push(buffer);
  } else {
    // Whoever overwrites a large value over and over must not pile up what is gone until the next compaction.
    arena.heldBytes -= used * unitBytes;
    buffer.transfer(0);
  }
};

/** Frees everything. */
export const clearArena = (arena: Arena): void => {
  arena.current = 0;
  arena.currentLarge = 0;
  for (let id = 1; id < arena.bytes.length; id++) {
    if ((arena.bytes[id]?.length ?? 0) > 0) retire(arena, id);
  }
  arena.liveUnits = 0;
  arena.deadUnits = 0;
};

/** What looking at one object costs, in bytes that could have been copied meanwhile. */
const objectCostBytes = 96;

/**
 * Goes on compacting while there is more to gain than `slackBytes`, for about as long as it takes to copy `bytesMax`, or one
 * object. Answers whether there is more to do.
 */
export const compactArena = (arena: Arena, bytesMax: number, slackBytes: number): boolean => {
  const unused = arena.retired.pop();
  if (unused !== undefined) {
    arena.heldBytes -= unused.byteLength;
    // Gone at once, with what is viewed of it; a dropped buffer would wait for some garbage collection.
    unused.transfer(0);
    return true;
  }
  if (arena.victim === 0) {
    // A quarter of what lives may be dead: less would mean to copy every byte over and over again under overwrites.
    if (arena.deadUnits * unitBytes <= slackBytes || arena.deadUnits * 4 <= arena.liveUnits) return false;
    chooseVictim(arena);
  }
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
    const to = allocate(arena, units);
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
  const isOpen = best === arena.current || best === arena.currentLarge;
  if (best === arena.current) arena.current = 0;
  if (best === arena.currentLarge) arena.currentLarge = 0;
  if (isOpen) closeSegment(arena, best);
};
