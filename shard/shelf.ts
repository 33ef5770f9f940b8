import { version, type ShardId } from "../core/ids.ts";
import type { Held } from "./held.ts";
import { emptyHolding } from "./holding.ts";

/** What this process holds while nothing is served from it; gets the volume ready for what is to be served next. */
export type Shelf = {
  /** Null where there is nothing. */
  readonly held: () => Held | null;
  readonly put: (held: Held) => void;
  /** What there is of the shard, which is taken off the shelf; null where the volume has to be read first: `ready` is called after that. */
  readonly take: (shard: ShardId) => Held | null;
  /** Lets a part of a copy go, so that the shard can begin empty; `ready` is called after that. */
  readonly empty: (held: Held) => void;
  readonly close: () => Promise<void>;
};

export type ShelfOptions = {
  /** Opens what the volume has of a shard, or makes room for it. */
  readonly open: (shard: ShardId) => Promise<Held>;
  readonly ready: () => void;
  /** The volume cannot be used: the process has to end. */
  readonly failed: (error: unknown) => void;
};

export const createShelf = ({ open, ready, failed }: ShelfOptions): Shelf => {
  let kept: Held | null = null;
  let isBusy = false;
  let isClosed = false;
  const wait = (opened: Promise<Held>): void => {
    isBusy = true;
    opened
      .then((held) => {
        isBusy = false;
        kept = held;
        if (isClosed) return held.log.close();
        ready();
        return undefined;
      })
      .catch(failed);
  };
  return {
    held: () => kept,
    put: (held) => {
      kept = held;
    },
    take: (shard) => {
      if (isBusy) return null;
      const before = kept;
      kept = null;
      if (before?.holding.shard === shard) return before;
      wait(letGo(before).then(() => open(shard)));
      return null;
    },
    empty: (held) => {
      wait(emptied(held));
    },
    close: async () => {
      isClosed = true;
      await kept?.log.close();
    },
  };
};

/** Its memory goes now, and not when somebody happens to look for it. */
const letGo = async (held: Held | null): Promise<void> => {
  await held?.log.close();
  held?.holding.store.clear();
};

const emptied = async (held: Held): Promise<Held> => {
  const { holding, log } = held;
  holding.store.clear();
  Object.assign(holding, emptyHolding(holding.shard, holding.store));
  await log.beginCopy({ version: version(0) }).finish();
  return held;
};
