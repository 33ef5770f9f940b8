import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { version } from "../../core/ids.ts";
import type { Logger } from "../../core/logger.ts";
import type { Holding } from "../holding.ts";
import { createCatalog, type Catalog } from "./catalog.ts";
import { createCopy, type Copy } from "./copy.ts";
import { damaged } from "./damage.ts";
import { isNoSpace, type Disk } from "./disk.ts";
import { besideSuffix } from "./document.ts";
import { parseSegmentFile, parseSnapshotFile } from "./layout.ts";
import { createLine, type Line, type LineOptions } from "./line.ts";
import type { CopyPlace, Fsync, Log, LogEvents } from "./log.ts";
import { usualLimits, type LogLimits } from "./logLimits.ts";
import * as manifests from "./manifest.ts";
import { quarantineName } from "./quarantine.ts";
import { readRecords } from "./readRecords.ts";
import { recover, type Recovered } from "./recovery.ts";
import { createRoom, type Room } from "./room.ts";
import type { Setting } from "./setting.ts";
import { createSnapshots, type Snapshots } from "./snapshots.ts";

export type LogOptions = {
  readonly disk: Disk;
  /** Of this shard alone; made where it is not there. */
  readonly folder: string;
  readonly identity: manifests.Identity;
  /** Empty; filled with what is there. */
  readonly holding: Holding;
  /** Asked whenever something was appended: it may change. */
  readonly fsync: () => Fsync;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: LogEvents;
  readonly limits?: LogLimits;
};

/**
 * Opens the log in a folder and fills the holding with what it has. Rejects with `wrong-volume` where the folder holds
 * another cluster's or shard's data (nothing is touched), with `damaged` where what was synced is not there any more, and
 * with what the disk says.
 */
export const openLog = async (options: LogOptions): Promise<Log> => {
  const { disk, folder, clock, logger, identity, holding, limits = usualLimits } = options;
  const setting: Setting = { disk, folder, clock, logger: logger.child({ log: folder }), limits };
  const beganMs = clock.nowMs();
  const manifest = await findManifest(setting, identity);
  const recovered = await recover(setting, manifest, holding);
  const state = assemble(options, setting, { manifest, recovered });
  try {
    await commitFirst(state, recovered);
    await recovered.tidy();
    state.line.open();
    await state.line.ready();
  } catch (error) {
    await state.line.leave();
    throw error;
  }
  state.room.look();
  verifyLater(state);
  setting.logger.info(
    {
      ...{ version: holding.version, epoch: holding.epoch, keys: holding.store.keys() },
      ...{ isComplete: holding.complete, ms: Math.round(clock.nowMs() - beganMs) },
    },
    "log opened",
  );
  return createLog(state);
};

/** A full volume can be read as it is, as long as nothing has to be taken out of it. */
const commitFirst = async ({ catalog }: State, { isWhole }: Recovered): Promise<void> => {
  try {
    await catalog.commit();
  } catch (error) {
    if (!isNoSpace(error) || !isWhole) throw error;
  }
};

/** The manifest that is there, or a new one where the folder is empty. */
const findManifest = async (setting: Setting, identity: manifests.Identity): Promise<manifests.Manifest> => {
  const { disk, folder, clock } = setting;
  const names = await disk.list(folder);
  if (names.includes(manifests.identityName)) await manifests.checkIdentity(disk, folder, identity);
  if (names.includes(manifests.manifestName)) {
    if (names.includes(manifests.identityName)) return manifests.readManifest(disk, folder, identity);
    throw damaged({ file: `${folder}/${manifests.identityName}`, offset: 0, what: "it is missing" });
  }
  const lost = names.find((name) => parseSegmentFile(name) !== null || parseSnapshotFile(name) !== null);
  if (lost !== undefined)
    throw damaged({
      file: `${folder}/${manifests.manifestName}`,
      offset: 0,
      what: `it is missing, but there is ${lost}`,
    });
  const foreign = names.find((name) => !ours.has(name) && !name.endsWith(besideSuffix));
  if (foreign !== undefined)
    throw manifests.wrongVolume(folder, `there is something else in it: ${foreign}`, identity);
  await disk.makeFolder(folder);
  // Its own name has to survive a loss of power, too.
  await disk.syncFolder(dirname(folder));
  if (!names.includes(manifests.identityName)) await manifests.writeIdentity(disk, folder, identity);
  // So that no other log's frames go on from it.
  const checksum = crc32(`${identity.clusterId}/${identity.shard}/${clock.wallMs()}`);
  return {
    ...{ format: 1, ...identity, synced: version(0), keys: 0, snapshots: [] },
    segments: { line: 1, first: 1, last: 0, version: version(1), checksum },
  };
};

const ours = new Set([manifests.identityName, quarantineName, "lost+found"]);

type Found = { readonly manifest: manifests.Manifest; readonly recovered: Recovered };

type State = {
  readonly options: LogOptions;
  readonly setting: Setting;
  readonly room: Room;
  readonly catalog: Catalog;
  readonly snapshots: Snapshots;
  /** What is appended to. */
  line: Line;
  nextLine: number;
  copy: Copy | null;
  closing: Promise<void> | null;
};

const assemble = (options: LogOptions, setting: Setting, found: Found): State => {
  const { events, identity, holding } = options;
  const { manifest, recovered } = found;
  const room = createRoom({ ...setting, changed: events.room });
  const { segments, nextSequence, checksum } = recovered;
  const { version: newest } = holding;
  const line = createLine(
    lineOptions(options, setting, () => state),
    {
      ...{ id: manifest.segments.line, segments, nextSequence, newest, checksum, isCommitted: true },
    },
  );
  const nextSnapshot = 1 + manifest.snapshots.reduce((most, { sequence }) => Math.max(most, sequence), 0);
  const catalog = createCatalog(setting, identity, {
    ...{ line, snapshots: recovered.snapshots, nextSnapshot },
    keys: () => holding.store.keys(),
  });
  const snapshots = createSnapshots(setting, { catalog, holding, room }, recovered.bytesBehind);
  const state: State = {
    ...{ options, setting, room, catalog, snapshots, line, nextLine: line.id + 1, copy: null, closing: null },
  };
  return state;
};

const lineOptions = (options: LogOptions, setting: Setting, stateOf: () => State): LineOptions => ({
  ...setting,
  fsync: options.fsync,
  heldBytes: () => setting.limits.heldBytes * stateOf().room.share(),
  events: {
    durable: options.events.durable,
    wrote: (bytes) => {
      const { room, snapshots } = stateOf();
      room.wrote(bytes);
      snapshots.wrote(bytes);
    },
    stuck: (isStuck) => {
      stateOf().room.stuck(isStuck);
    },
    moved: () => {
      const { catalog } = stateOf();
      catalog.commit().catch((error: unknown) => {
        setting.logger.warn({ reason: messageOf(error) }, "the manifest was not written; the next one is");
      });
    },
    failed: options.events.failed,
  },
});

const createLog = (state: State): Log => {
  const { catalog, snapshots } = state;
  return {
    append: (batch) => {
      state.line.append(batch);
    },
    flush: () => state.line.flush(),
    sync: (through) => state.line.syncThrough(through),
    newest: () => state.line.newest(),
    durable: () => state.line.durable(),
    first: () => state.line.first(),
    read: async (from, bytesMax) => {
      const held = snapshots.hold(from);
      try {
        return await readRecords(state.line, from, bytesMax);
      } finally {
        held.release();
      }
    },
    hold: snapshots.hold,
    snapshot: () => snapshots.take(),
    beginCopy: (place) => beginCopy(state, place),
    figures: () => {
      const segments = catalog.line.segments();
      const sizes = [...segments, ...catalog.snapshots].map(({ bytes }) => bytes);
      return {
        ...{ segments: segments.length, bytes: sizes.reduce((sum, bytes) => sum + bytes, 0) },
        ...{ snapshots: catalog.snapshots.length, snapshotVersion: catalog.snapshots[0]?.version ?? null },
        ...snapshots.figures(),
      };
    },
    close: () => {
      state.closing ??= close(state);
      return state.closing;
    },
  };
};

const close = async ({ snapshots, copy, catalog, room }: State): Promise<void> => {
  snapshots.pause();
  try {
    // What was here before the copy is what a restart finds.
    await copy?.abort();
    await catalog.line.close();
    await catalog.commit();
  } finally {
    // A snapshot may have waited for the line.
    await snapshots.idle();
    room.stop();
  }
};

const beginCopy = (state: State, place: CopyPlace): Copy => {
  const { options, setting, catalog, snapshots } = state;
  const { holding } = options;
  state.copy?.abort().catch((error: unknown) => {
    setting.logger.warn({ reason: messageOf(error) }, "files of a copy that was given up are still there");
  });
  snapshots.pause();
  const id = state.nextLine++;
  const line = createLine(
    lineOptions(options, setting, () => state),
    {
      ...{ id, segments: [], nextSequence: 1, newest: place.version },
      ...{ checksum: crc32(`${id}/${place.version}/${setting.clock.wallMs()}`), isCommitted: false },
    },
  );
  const copy = createCopy({
    ...{ setting, catalog, holding, place, line },
    ended: (isFinished) => {
      if (state.copy === copy) state.copy = null;
      if (!isFinished) state.line = catalog.line;
      else {
        snapshots.resume(line.segments().reduce((sum, { bytes }) => sum + bytes, 0));
        verifyLater(state);
      }
    },
    failed: options.events.failed,
  });
  state.copy = copy;
  state.line = line;
  line.open();
  return copy;
};

const verifyLater = ({ snapshots, setting }: State): void => {
  snapshots.verify().catch((error: unknown) => {
    setting.logger.warn({ reason: messageOf(error) }, "a copy was not read back");
  });
};
