import { EdisError, messageOf } from "../../core/errors.ts";
import { version, type Version } from "../../core/ids.ts";
import type { Holding } from "../holding.ts";
import { encodeEntries, entriesBuffer } from "../replication/recordEncoder.ts";
import type { Catalog } from "./catalog.ts";
import { isNoSpace } from "./disk.ts";
import type { SnapshotInfo, SnapshotPlace } from "./manifest.ts";
import type { Room } from "./room.ts";
import type { Setting } from "./setting.ts";
import { turn } from "./slices.ts";
import {
  openSnapshot,
  readSnapshot,
  snapshotPath,
  writeSnapshot,
  type SnapshotWriter,
} from "./snapshotFile.ts";

/**
 * Writes snapshots while the holding goes on changing: sweeps the store in short slices; what changed meanwhile is in the
 * log behind the place where the sweep began. Two generations are kept, and the log behind the older one.
 */
export type Snapshots = {
  /** Now; waits for the one under way. Rejects where it had to be given up. */
  readonly take: () => Promise<void>;
  /** So many bytes were appended: takes one when it is time. */
  readonly wrote: (bytes: number) => void;
  /** Gives the one under way up, and takes none until `resume`. */
  readonly pause: () => void;
  readonly resume: (bytesBehind: number) => void;
  /** Resolves once none is under way. */
  readonly idle: () => Promise<void>;
  /** Reads a snapshot back that was not yet, and drops what no restart needs. */
  readonly verify: () => Promise<void>;
  /** Removes segments that nobody needs. */
  readonly trim: () => Promise<void>;
  readonly hold: (from: Version) => { readonly release: () => void };
  readonly figures: () => SnapshotFigures;
};

export type SnapshotFigures = {
  readonly bytesBehindSnapshot: number;
  readonly isSnapshotting: boolean;
  readonly failedSnapshots: number;
  readonly longestSnapshotTurnMs: number;
};

type State = {
  readonly setting: Setting;
  readonly catalog: Catalog;
  readonly holding: Holding;
  readonly room: Room;
  bytesBehind: number;
  /** After one that failed. */
  notBeforeMs: number;
  isPaused: boolean;
  /** The one under way. */
  taking: Promise<void> | null;
  attempt: { isGivenUp: boolean };
  readonly holds: Set<Hold>;
  failed: number;
  longestTurnMs: number;
};
type Hold = { readonly from: Version };

const retryMs = 30_000;

export const createSnapshots = (
  setting: Setting,
  parts: { readonly catalog: Catalog; readonly holding: Holding; readonly room: Room },
  bytesBehind: number,
): Snapshots => {
  const state: State = {
    ...{ setting, ...parts, bytesBehind, notBeforeMs: 0, isPaused: false, taking: null },
    ...{ attempt: { isGivenUp: false }, holds: new Set<Hold>(), failed: 0, longestTurnMs: 0 },
  };
  const { clock, logger } = setting;
  return {
    take: async () => {
      await state.taking?.catch(() => undefined);
      await take(state);
    },
    wrote: (bytes) => {
      state.bytesBehind += bytes;
      if (!isDue(state)) return;
      take(state).catch((error: unknown) => {
        state.notBeforeMs = clock.nowMs() + retryMs;
        logger.warn({ reason: messageOf(error) }, "no snapshot was taken; it is tried again later");
      });
    },
    pause: () => {
      state.isPaused = true;
      state.attempt.isGivenUp = true;
    },
    resume: (bytes) => {
      state.isPaused = false;
      state.bytesBehind = bytes;
    },
    idle: async () => {
      await state.taking?.catch(() => undefined);
    },
    verify: () => verifyAll(state),
    trim: () => trim(state),
    hold: (from) => {
      const hold = { from };
      state.holds.add(hold);
      return {
        release: () => {
          if (!state.holds.delete(hold)) return;
          trim(state).catch((error: unknown) => {
            logger.warn({ reason: messageOf(error) }, "old segments were not removed");
          });
        },
      };
    },
    figures: () => ({
      bytesBehindSnapshot: state.bytesBehind,
      isSnapshotting: state.taking !== null,
      failedSnapshots: state.failed,
      longestSnapshotTurnMs: state.longestTurnMs,
    }),
  };
};

const isDue = ({ setting, holding, room, bytesBehind, notBeforeMs, isPaused, taking }: State): boolean =>
  bytesBehind > dueBytes(setting, holding, room) &&
  taking === null &&
  !isPaused &&
  holding.complete &&
  room.isThere() &&
  setting.clock.nowMs() >= notBeforeMs;

/** Seldom, since each writes the whole store; but a small volume has to hold two of them and the log behind the older one. */
const dueBytes = ({ limits }: Setting, { store }: Holding, room: Room): number =>
  Math.min(
    Math.max(limits.snapshotEveryBytes, 2 * store.bytes()),
    room.totalBytes() * limits.snapshotEveryShareMax,
  );

/** One at a time. */
const take = (state: State): Promise<void> => {
  if (state.taking !== null) return state.taking;
  const attempt = { isGivenUp: state.isPaused };
  state.attempt = attempt;
  const taking = write(state, attempt)
    .catch((error: unknown) => {
      state.failed++;
      throw error;
    })
    .finally(() => {
      state.taking = null;
    });
  state.taking = taking;
  return taking;
};

type Attempt = { readonly isGivenUp: boolean };

const write = async (state: State, attempt: Attempt): Promise<void> => {
  const { setting, catalog, holding } = state;
  const { disk, folder, logger, clock } = setting;
  await checkRoom(state);
  const at = { folder, sequence: catalog.nextSnapshot++ };
  const file = await openSnapshot(disk, at);
  const { line } = catalog;
  const beganMs = clock.nowMs();
  // In one turn: the place, and the sweep that begins there.
  await turn(clock);
  const { version, epoch, bytes, history, mapVersion } = holding;
  const behindBefore = state.bytesBehind;
  const place: SnapshotPlace = { version, epoch, bytes, history, mapVersion };
  const writer = writeSnapshot(disk, { file, at }, place);
  try {
    const through = await sweepAll(state, writer, attempt);
    const info = await writer.finish(through);
    await line.syncThrough(through);
    await check(setting, info);
    checkAttempt(attempt);
    await adopt(state, info);
    state.bytesBehind -= behindBefore;
    logger.info(
      { version, through, entries: info.entries, bytes: info.bytes, ms: Math.round(clock.nowMs() - beganMs) },
      "snapshot",
    );
  } catch (error) {
    await writer.abort().catch(() => undefined);
    throw isNoSpace(error) ? noRoom(folder) : error;
  }
};

/** Writes all entries; answers the version at the end of the sweep. */
const sweepAll = async (state: State, writer: SnapshotWriter, attempt: Attempt): Promise<Version> => {
  const { holding, room, setting } = state;
  const { clock, limits, folder } = setting;
  checkAttempt(attempt);
  const sweep = holding.store.sweep();
  // As many as are ahead of the disk, used again and again: V8 need not collect them.
  const free: Buffer[] = [];
  try {
    for (;;) {
      const fromMs = clock.nowMs();
      let isDone = false;
      do {
        const room = free.pop() ?? entriesBuffer(limits.blockBytes);
        const { frame, entries: count, done } = encodeEntries(sweep, limits.blockBytes, room);
        if (count > 0) void writer.add(frame, count).then(() => free.push(room));
        isDone = done;
      } while (!isDone && clock.nowMs() - fromMs < limits.sliceMs);
      state.longestTurnMs = Math.max(state.longestTurnMs, clock.nowMs() - fromMs);
      if (isDone) return holding.version;
      await writer.taken();
      await giveWay(setting);
      checkAttempt(attempt);
      if (!room.isThere()) throw noRoom(folder);
    }
  } finally {
    sweep.end();
  }
};

/** Of a slice: as much other work in a turn says that there are requests. */
const busyShare = 0.1;
/** Slices that requests get for each one of the snapshot. */
const givenSlices = 3;

const giveWay = async ({ clock, limits }: Setting): Promise<void> => {
  const fromMs = clock.nowMs();
  await turn(clock);
  if (clock.nowMs() - fromMs > limits.sliceMs * busyShare) await clock.sleep(limits.sliceMs * givenSlices);
};

const checkAttempt = ({ isGivenUp }: Attempt): void => {
  if (isGivenUp)
    throw new EdisError(
      "aborted",
      "Cannot take a snapshot: a full copy replaces what it would hold, or the log is closed",
    );
};

const checkRoom = async ({ room, holding, setting, catalog }: State): Promise<void> => {
  // An entry takes some bytes more than key and value.
  const wanted = Math.max(holding.store.bytes() * 1.1, catalog.snapshots[0]?.bytes ?? 0);
  if ((await room.left()) < wanted) throw noRoom(setting.folder);
};

const noRoom = (folder: string): EdisError =>
  new EdisError("disk-full", `Cannot take a snapshot: ${folder} has no room for it; make the volume larger`);

/** Reads it back: the log behind an older one is only let go for one that can be read. */
const check = async (setting: Setting, info: SnapshotInfo): Promise<void> => {
  const { disk, clock, folder, limits } = setting;
  const { sliceMs } = limits;
  await readSnapshot(
    { disk, clock, at: { folder, sequence: info.sequence }, info, sliceMs },
    () => undefined,
  );
};

/** Makes it the newest generation, and lets go what is older than the one before. */
const adopt = async (state: State, info: SnapshotInfo): Promise<void> => {
  const { catalog, setting } = state;
  const before = catalog.snapshots;
  const [previous, ...older] = before;
  const after = [{ ...info, verified: true }, ...(previous === undefined ? [] : [previous])];
  catalog.snapshots = after;
  try {
    await catalog.commit();
  } catch (error) {
    if (catalog.snapshots === after) catalog.snapshots = before;
    throw error;
  }
  for (const { sequence } of older)
    await setting.disk.remove(snapshotPath({ folder: setting.folder, sequence }));
  await trim(state);
};

/** Lets go what stands before the older snapshot, as long as two can be read, and before every hold. */
const trim = async ({ catalog, setting, holds }: State): Promise<void> => {
  const [newest, older] = catalog.snapshots;
  if (newest?.verified !== true || older?.verified !== true) return;
  const keep = [...holds].reduce<number>((least, { from }) => Math.min(least, from - 1), older.version);
  const dropped = catalog.line.dropBefore(version(keep + 1));
  if (dropped.length === 0) return;
  await catalog.commit();
  for (const { file, path } of dropped) {
    await file.close();
    await setting.disk.remove(path);
  }
};

const verifyAll = async (state: State): Promise<void> => {
  const { catalog, setting } = state;
  for (const info of catalog.snapshots.filter(({ verified }) => !verified)) {
    try {
      await check(setting, info);
    } catch (error) {
      // Another copy may have taken its place.
      if (!catalog.snapshots.includes(info)) continue;
      setting.logger.error({ reason: messageOf(error) }, "a snapshot cannot be read back: another is taken");
      await take(state);
      catalog.snapshots = catalog.snapshots.filter(({ sequence }) => sequence !== info.sequence);
      await catalog.commit();
      return;
    }
    if (!catalog.snapshots.includes(info)) continue;
    catalog.snapshots = catalog.snapshots.map((one) => (one === info ? { ...one, verified: true } : one));
    await catalog.commit();
  }
};
