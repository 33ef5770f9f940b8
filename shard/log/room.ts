import type { Cancel, Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { logReserveShareMax } from "../../core/limits.ts";
import type { Logger } from "../../core/logger.ts";
import type { Disk, Space } from "./disk.ts";
import type { LogLimits } from "./logLimits.ts";

/** Watches whether a volume has room for more: looks now and then while something is written, and goes on looking while it is full. */
export type Room = {
  readonly isThere: () => boolean;
  readonly wrote: (bytes: number) => void;
  readonly look: () => void;
  /** A write found no room (true), or was done after all (false). */
  readonly stuck: (isStuck: boolean) => void;
  /** Size of the volume when it was last looked at; Infinity before. */
  readonly totalBytes: () => number;
  /** Bytes that could be written without touching the reserve; looks now. */
  readonly left: () => Promise<number>;
  /** The volume's reserve as a share of the usual one: what comes out of the reserve is less on a small volume. */
  readonly share: () => number;
  readonly stop: () => void;
};

export type RoomOptions = {
  readonly disk: Disk;
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: LogLimits;
  readonly changed: (isThere: boolean) => void;
};

const lookEveryMs = 250;
/** So that it does not come and go with each segment. */
const againShare = 1.25;

export const createRoom = (options: RoomOptions): Room => {
  const { clock, changed, logger, folder, limits } = options;
  let isThere = true;
  let isShort = false;
  let isStuck = false;
  let isLooking = false;
  let isStopped = false;
  let lookedAtMs = clock.nowMs();
  /** Written since a look began last. */
  let bytes = 0;
  /** Bytes above the reserve: what the last look found, without what was written since it was over. */
  let leftBytes = Infinity;
  let totalBytes = Infinity;
  let share = 1;
  let cancel: Cancel = () => undefined;

  const settle = (): void => {
    if (isStopped || isThere === !(isShort || isStuck)) return;
    isThere = !isThere;
    logger.warn({ folder, isThere }, isThere ? "the volume has room again" : "the volume is full");
    changed(isThere);
    if (!isThere) again();
  };
  const again = (): void => {
    cancel();
    cancel = clock.after(lookEveryMs, () => {
      look();
      if (!isThere) again();
    });
  };
  const look = (): void => {
    if (isLooking || isStopped) return;
    isLooking = true;
    lookedAtMs = clock.nowMs();
    bytes = 0;
    left(options).then(
      ({ free, total, reserve }) => {
        isLooking = false;
        totalBytes = total;
        leftBytes = free - reserve;
        share = limits.reserveBytes === 0 ? 1 : reserve / limits.reserveBytes;
        isShort = free < (isShort ? reserve * againShare : reserve);
        settle();
      },
      (error: unknown) => {
        isLooking = false;
        logger.warn({ folder, reason: messageOf(error) }, "cannot see how much room the volume has");
      },
    );
  };
  return {
    isThere: () => isThere,
    wrote: (count) => {
      bytes += count;
      // A look may take long where much is written: what is written meanwhile is not there any more, whatever it will say.
      leftBytes -= count;
      isShort ||= leftBytes < 0;
      settle();
      if (bytes >= limits.lookEveryBytes * share || clock.nowMs() - lookedAtMs >= lookEveryMs) look();
    },
    look,
    stuck: (is) => {
      isStuck = is;
      settle();
    },
    totalBytes: () => totalBytes,
    left: () => aboveReserve(options),
    share: () => share,
    stop: () => {
      isStopped = true;
      cancel();
    },
  };
};

const aboveReserve = async (options: RoomOptions): Promise<number> => {
  const { free, reserve } = await left(options);
  return free - reserve;
};

const left = async ({ disk, folder, limits }: RoomOptions): Promise<Space & { readonly reserve: number }> => {
  const { free, total } = await disk.space(folder);
  return { free, total, reserve: Math.min(limits.reserveBytes, total * logReserveShareMax) };
};
