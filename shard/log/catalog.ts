import type { Line } from "./line.ts";
import { writeManifest, type Identity, type SnapshotInfo } from "./manifest.ts";
import type { Setting } from "./setting.ts";

/** What a restart finds: the line and the snapshots that count. Its manifest is replaced as a whole, one write at a time. */
export type Catalog = {
  line: Line;
  /** Newest first. */
  snapshots: readonly SnapshotInfo[];
  nextSnapshot: number;
  /** Writes what counts by then. */
  readonly commit: () => Promise<void>;
};

export type CatalogStart = {
  readonly line: Line;
  readonly snapshots: readonly SnapshotInfo[];
  readonly nextSnapshot: number;
  readonly keys: () => number;
};

export const createCatalog = (setting: Setting, identity: Identity, start: CatalogStart): Catalog => {
  const { clusterId, shard } = identity;
  let tail: Promise<unknown> = Promise.resolve();
  let waiting: Promise<void> | null = null;
  const catalog: Catalog = {
    ...start,
    commit: () => {
      // Who comes while a write is waiting is served by it.
      waiting ??= tail.then(async () => {
        waiting = null;
        const { line, snapshots } = catalog;
        await writeManifest(setting.disk, setting.folder, {
          ...{ format: 1, clusterId, shard, synced: line.synced(), keys: start.keys() },
          ...{ segments: line.extent(), snapshots: [...snapshots] },
        });
      });
      tail = waiting.catch(() => undefined);
      return waiting;
    },
  };
  return catalog;
};
