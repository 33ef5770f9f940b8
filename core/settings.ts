/** How the shard processes of a cluster run, as its ShardCluster says. Told with the topology, so that a change needs no restart. */
export type Settings = {
  readonly fsync: Fsync;
  /** What a shard process may hold, as `store.usedBytes` counts. Null: what its container allows. */
  readonly memoryMaxBytes: number | null;
  readonly eviction: Eviction;
  /** When a write is answered: durable at the owner, or at its in-sync readers as well. */
  readonly acks: Acks;
  /** With `inSync`: so many readers must be in sync, else writes are refused. */
  readonly minInSync: number;
  /** How long a grant holds: a shard whose owner is cut off has another one no sooner. Milliseconds. */
  readonly leaseMs: number;
  /** What all moves of slots that leave one shard may send; 0: no bound. Bytes per second. */
  readonly moveBytesPerSecondMax: number;
};

export const acksModes = ["owner", "inSync"] as const;
export type Acks = (typeof acksModes)[number];

/** When a write counts as durable: once it is synced; once the system has it and a sync follows within a second; or at some time. */
export const fsyncs = ["always", "everysec", "never"] as const;
export type Fsync = (typeof fsyncs)[number];

/** What becomes of other keys when there is no room for a write: nothing (the write is refused), or some make room. */
export const evictions = [
  "noeviction",
  "allkeys-lru",
  "allkeys-random",
  "volatile-lru",
  "volatile-random",
  "volatile-ttl",
] as const;
export type Eviction = (typeof evictions)[number];

/** Where nothing else is said. */
export const usualSettings: Settings = {
  ...{ fsync: "everysec", memoryMaxBytes: null, eviction: "noeviction" },
  ...{ acks: "owner", minInSync: 0, leaseMs: 2_000, moveBytesPerSecondMax: 0 },
};
