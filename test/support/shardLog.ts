import { encodeDrop, encodeEpoch, encodeMap, encodeRecord, type Operation } from "../../core/record.ts";
import { systemClock } from "../../core/clock.ts";
import { epoch, mapVersion, shardId, version, type Version } from "../../core/ids.ts";
import { slotOf } from "../../core/slot.ts";
import { emptyHolding, type Holding } from "../../shard/holding.ts";
import { historyWith } from "../../shard/replication/history.ts";
import type { Disk } from "../../shard/log/disk.ts";
import type { Fsync, Log } from "../../shard/log/log.ts";
import { usualLimits, type LogLimits } from "../../shard/log/logLimits.ts";
import { openLog } from "../../shard/log/open.ts";
import { apply } from "../../shard/store/store.ts";
import { silent } from "./net.ts";
import { createSmallStore } from "./shardStore.ts";

export const folder = "/data";
export const identity = { clusterId: "cluster-1", shard: shardId(2) };

export const smallLimits: LogLimits = {
  ...usualLimits,
  segmentBytes: 600,
  frameBytes: 200,
  syncEveryMs: 20,
  heldMs: 10_000,
  reserveBytes: 0,
  retryMs: 5,
  snapshotEveryBytes: Infinity,
  snapshotEveryShareMax: Infinity,
  blockBytes: 100,
  quarantineBytes: 100_000,
};

/** A log with its holding, as a writer has them, and what it was told. */
export type Rig = {
  readonly log: Log;
  readonly holding: Holding;
  readonly told: { durable: Version; failures: string[]; room: boolean[] };
  readonly mode: { is: Fsync };
  /** Applies and appends operations as one batch. */
  readonly write: (...operations: readonly Operation[]) => void;
  readonly beginEpoch: (epoch: number) => void;
  /** Records the next version of the slot map. */
  readonly enterMap: () => void;
  /** Deletes all keys of the slot that this key is in. */
  readonly drop: (key: string) => void;
};

export type RigOptions = {
  readonly disk: Disk;
  readonly mode?: Fsync;
  readonly limits?: Partial<LogLimits>;
  readonly clusterId?: string;
  readonly folder?: string;
};

export const openRig = async (options: RigOptions): Promise<Rig> => {
  const mode = { is: options.mode ?? "always" };
  const holding = emptyHolding(identity.shard, createSmallStore());
  const told: Rig["told"] = { durable: version(0), failures: [], room: [] };
  const log = await openLog({
    ...{ disk: options.disk, folder: options.folder ?? folder, holding },
    identity: { ...identity, clusterId: options.clusterId ?? identity.clusterId },
    ...{ clock: systemClock, logger: silent, limits: { ...smallLimits, ...options.limits } },
    fsync: () => mode.is,
    events: {
      durable: (through) => {
        told.durable = through;
      },
      room: (isThere) => {
        told.room.push(isThere);
      },
      failed: ({ message }) => {
        told.failures.push(message);
      },
    },
  });
  const append = (records: readonly Uint8Array[], first: Version): void => {
    const bytes = Buffer.concat(records);
    holding.bytes += bytes.length;
    log.append({ bytes, first, last: holding.version });
  };
  const appendNext = (record: (at: Version) => Uint8Array): void => {
    if (holding.epoch === 0) rig.beginEpoch(1);
    holding.version = version(holding.version + 1);
    append([record(holding.version)], holding.version);
  };
  const rig: Rig = {
    ...{ log, holding, told, mode },
    write: (...operations) => {
      if (holding.epoch === 0) rig.beginEpoch(1);
      const first = version(holding.version + 1);
      append(
        operations.map((operation) => {
          holding.version = version(holding.version + 1);
          apply(holding.store, operation);
          return encodeRecord({ epoch: holding.epoch, version: holding.version, operation });
        }),
        first,
      );
    },
    beginEpoch: (n) => {
      holding.history = historyWith(holding.history, epoch(n), holding.version);
      holding.epoch = epoch(n);
      holding.complete = true;
      holding.version = version(holding.version + 1);
      append([encodeEpoch(holding.epoch, holding.version)], holding.version);
    },
    enterMap: () => {
      const map = mapVersion(holding.mapVersion + 1);
      appendNext((at) => encodeMap(holding.epoch, at, map));
      holding.mapVersion = map;
    },
    drop: (key) => {
      const slot = slotOf(Buffer.from(key));
      appendNext((at) => encodeDrop(holding.epoch, at, slot));
      holding.store.dropSlot(slot);
    },
  };
  return rig;
};

export const set = (key: string, value: string, expiresAtMs: number | null = null): Operation => ({
  ...{ kind: "set", key: Buffer.from(key), value: Buffer.from(value), expiresAtMs },
});
export const del = (key: string): Operation => ({ kind: "delete", key: Buffer.from(key) });

/** Everything a holding has, as one value to compare. */
export const contentsOf = ({
  store,
  version,
  epoch,
  bytes,
  history,
  mapVersion,
  complete,
}: Holding): unknown => ({
  ...{ version, epoch, bytes, history, mapVersion, complete },
  keys: entriesOf(store),
});

export const entriesOf = (store: Holding["store"]): Readonly<Record<string, string>> => {
  const walk = store.walk();
  const keys: Record<string, string> = {};
  for (let next = walk.next(); next.done !== true; next = walk.next()) {
    const { key, value, expiresAtMs } = next.value;
    keys[Buffer.from(key).toString()] = `${Buffer.from(value).toString()}@${expiresAtMs ?? "never"}`;
  }
  return keys;
};
