import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { shardId, type ShardId } from "../core/ids.ts";
import type { Logger } from "../core/logger.ts";
import type { Held } from "./held.ts";
import { emptyHolding } from "./holding.ts";
import { besideSuffix, readDocument, writeDocument } from "./log/document.ts";
import { promisedSchema, type Promised } from "./promise.ts";
import type { Disk } from "./log/disk.ts";
import type { Fsync, LogEvents } from "./log/log.ts";
import type { LogLimits } from "./log/logLimits.ts";
import { openLog } from "./log/open.ts";
import type { Store } from "./store/store.ts";

/** The folder on this process's volume: the data of the shard that is held below it, and of those that are not to go yet. */
export type Volume = {
  /** The shard that was held here last; null where there is none. */
  readonly found: () => Promise<ShardId | null>;
  /**
   * Reads what is there of a shard, or makes room for it. Rejects with `wrong-volume` where it is another cluster's, with
   * `damaged` where it is not what was written.
   */
  readonly open: (shard: ShardId) => Promise<Held>;
  /** What earlier processes have promised. Rejects with `damaged` where it is not what was written. */
  readonly promised: () => Promise<readonly Promised[]>;
  /** Resolves once it survives. */
  readonly promise: (promised: readonly Promised[]) => Promise<void>;
  /** What is there of other shards than these goes. */
  readonly keepOnly: (shards: readonly ShardId[]) => void;
};

export type VolumeOptions = {
  readonly disk: Disk;
  readonly folder: string;
  readonly clusterId: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly createStore: () => Store;
  readonly fsync: () => Fsync;
  readonly events: LogEvents;
  readonly limits: LogLimits;
};

const promisedName = "promised.json";
const folderName = /^shard-(?<id>[0-9]+)$/;
/** What was a shard's folder and is being removed; a process that ends meanwhile leaves a part of it. */
const droppedName = /^dropped-[0-9]+$/;

export const createVolume = (options: VolumeOptions): Volume => {
  const { disk, folder, clusterId, clock, logger, createStore, fsync, events, limits } = options;
  let aside: Promise<void> = Promise.resolve();
  let dropping: Promise<void> = Promise.resolve();
  return {
    // The first one: where there are more, the shard that is told soon is read then.
    found: async () => shardsIn(await disk.list(folder))[0] ?? null,
    open: async (shard) => {
      // What is dropped may be of this very shard.
      await dropping;
      const holding = emptyHolding(shard, createStore());
      const log = await openLog({
        ...{ disk, folder: join(folder, `shard-${shard}`), identity: { clusterId, shard } },
        ...{ holding, fsync, clock, logger, events, limits },
      });
      const { version, store } = holding;
      logger.info({ shard, version, keys: store.keys() }, "read from the volume");
      return { holding, log };
    },
    promised: async () => {
      if (!(await disk.list(folder)).includes(promisedName)) return [];
      return (await readDocument(disk, { folder, name: promisedName }, promisedSchema)).promised;
    },
    promise: async (promised) => {
      await aside;
      await writeDocument(disk, { folder, name: promisedName }, { promised });
      // A shard may be without an owner until this one is kept: only the next promise waits for what is set aside for it.
      aside = setAside(disk, `${folder}/${promisedName}${besideSuffix}`);
    },
    keepOnly: (shards) => {
      dropping = dropping
        .then(() => removeOthers(options, shards))
        .catch((error: unknown) => {
          logger.warn({ error }, "data of another shard cannot be removed");
        });
    },
  };
};

/** Room for the next promise, where a full volume has none: it takes the place of what is written here. */
const setAside = async (disk: Disk, path: string): Promise<void> => {
  try {
    const file = await disk.open(path, "create");
    try {
      await file.write([Buffer.alloc(setAsideBytes, " ")], 0);
    } finally {
      await file.close();
    }
  } catch {
    // Then the next promise needs room.
  }
};
/** A block of a usual file system; a promise of a few shards is smaller. */
const setAsideBytes = 4_096;

const shardsIn = (names: readonly string[]): readonly ShardId[] =>
  names.flatMap((name) => {
    const id = folderName.exec(name)?.groups?.["id"];
    return id === undefined ? [] : [shardId(Number(id))];
  });

/**
 * A folder is given another name before anything in it goes: half of a shard would be taken for one that is damaged, by a process that
 * is to hold the shard again.
 */
const removeOthers = async ({ disk, folder }: VolumeOptions, kept: readonly ShardId[]): Promise<void> => {
  const names = await disk.list(folder);
  const others = shardsIn(names).filter((shard) => !kept.includes(shard));
  const dropped = names.filter((name) => droppedName.test(name));
  const next = 1 + Math.max(0, ...dropped.map((name) => Number(name.slice("dropped-".length))));
  for (const [i, shard] of others.entries()) {
    const name = `dropped-${next + i}`;
    await disk.rename(join(folder, `shard-${shard}`), join(folder, name));
    dropped.push(name);
  }
  if (others.length > 0) await disk.syncFolder(folder);
  for (const name of dropped) await disk.removeFolder(join(folder, name));
};
