import type { Arena } from "./arena.ts";

/**
 * A sweep goes through all objects of an arena, segment after segment in the order in which they were opened, and within
 * each from front to back, while objects are written, freed and moved. What it must not miss is what was there when it began.
 *
 * Compaction moves objects. One that a sweep has yet to meet is carried: to a segment that was opened after every sweep
 * began, and that takes nothing else. So it stays ahead of the sweep; and the sweep has no more to meet than there was, so
 * that it ends however much is written. Where a segment is opened after the one an object lies in, of the same kind (usual
 * or large), the object is never moved to where the sweep has been.
 */
export type Cursor = {
  /** The segment it is in, when that was opened, and the unit where it goes on. Segment 0: it has not begun. */
  id: number;
  order: number;
  unit: number;
  /** When the last segment was opened that was there at the beginning. */
  readonly lastOrder: number;
  /** When the last segment was opened that holds what was carried for it. */
  lastCarried: number;
};

/** The next object, 0 where there is none any more; the sweep has ended then. */
export const nextObject = (arena: Arena, cursor: Cursor): number => {
  do {
    const { id } = cursor;
    // A segment that is gone had nothing any more; its number may be another's.
    if (arena.order[id] !== cursor.order) continue;
    const words = arena.words[id];
    const used = arena.used[id] ?? 0;
    if (words === undefined) continue;
    // What compaction has done with was moved or is dead.
    let unit = id === arena.victim ? Math.max(cursor.unit, arena.scanned) : cursor.unit;
    while (unit < used) {
      const units = arena.objects.unitsAt(words, unit << 1);
      const at = unit;
      unit += Math.abs(units);
      if (units < 0) continue;
      cursor.unit = unit;
      return (id << arena.unitBits) | at;
    }
    cursor.unit = unit;
  } while (enterNext(arena, cursor));
  endSweep(arena, cursor);
  return 0;
};

/** Nothing is carried for it any more. */
export const endSweep = (arena: Arena, cursor: Cursor): void => {
  arena.sweeps = arena.sweeps.filter((one) => one !== cursor);
};

/** Where an object lies that some sweep has yet to meet; null where none has. */
export const placeToMeet = ({ sweeps, order, isCarried }: Arena, id: number, unit: number): Place | null => {
  if (sweeps.length === 0) return null;
  const place = { order: order[id] ?? 0, unit, isCarried: isCarried[id] ?? false };
  return sweeps.some((cursor) => isAheadOf(cursor, place)) ? place : null;
};

/** An object goes from its place to a segment that was opened after it: the sweeps that have yet to meet it will go there. */
export const carry = ({ sweeps, order }: Arena, place: Place, to: number): void => {
  for (const cursor of sweeps)
    if (isAheadOf(cursor, place)) cursor.lastCarried = Math.max(cursor.lastCarried, order[to] ?? 0);
};

type Place = { readonly order: number; readonly unit: number; readonly isCarried: boolean };

const isAheadOf = (cursor: Cursor, { order, unit, isCarried }: Place): boolean =>
  order === cursor.order ? unit >= cursor.unit : order > cursor.order && isWithin(cursor, order, isCarried);

const isWithin = ({ lastOrder, lastCarried }: Cursor, order: number, isCarried: boolean): boolean =>
  order <= lastOrder || (isCarried && order <= lastCarried);

const enterNext = (arena: Arena, cursor: Cursor): boolean => {
  const { order, isCarried } = arena;
  let next = 0;
  for (let id = 1; id < order.length; id++) {
    const opened = order[id] ?? 0;
    if (opened <= cursor.order || !isWithin(cursor, opened, isCarried[id] ?? false)) continue;
    if (next === 0 || opened < (order[next] ?? 0)) next = id;
  }
  if (next === 0) return false;
  cursor.id = next;
  cursor.order = order[next] ?? 0;
  cursor.unit = 0;
  return true;
};
