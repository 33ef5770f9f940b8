import { respScansMax } from "../../../core/limits.ts";
import type { Entry } from "../../../core/record.ts";
import type { Holding } from "../../holding.ts";

/**
 * Walks that SCAN goes on with. A cursor names a walk and how often it was gone on with; one that is not known any more
 * begins anew, so that a client that follows its cursors to 0 has seen every key that was there all the time.
 */
export type Scans = {
  readonly open: (cursor: string, holding: Holding) => Iterator<Entry>;
  /** The cursor to go on with. */
  readonly keep: (walk: Iterator<Entry>, holding: Holding) => string;
};

export const createScans = (): Scans => {
  const kept = new Map<string, { readonly walk: Iterator<Entry>; readonly holding: Holding }>();
  let count = 0;
  return {
    open: (cursor, holding) => {
      const found = kept.get(cursor);
      kept.delete(cursor);
      return found?.holding === holding ? found.walk : holding.store.walk();
    },
    keep: (walk, holding) => {
      const cursor = String(++count);
      kept.set(cursor, { walk, holding });
      if (kept.size > respScansMax) for (const oldest of kept.keys()) return drop(kept, oldest, cursor);
      return cursor;
    },
  };
};

const drop = (kept: Map<string, unknown>, ...[oldest, cursor]: readonly [string, string]): string => {
  kept.delete(oldest);
  return cursor;
};
