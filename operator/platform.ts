import type { Home } from "../core/topology.ts";
import type { Observed, Ownership, PlannedEvent, PodId, Workload } from "./plan/model.ts";
import type { ShardCluster, ShardClusterStatus } from "./shardCluster.ts";

/**
 * The operator's hand: Kubernetes in a cluster, processes and files on one machine. Everything above it is the same.
 * All calls are idempotent; a failed one is repeated with the next reconcile.
 */
export type Platform = {
  /** The wishes. Calls `changed` with a cluster's key at the start, at each change of it or of what it owns (pods, StatefulSets), and when it is gone. Runs until the signal is aborted. */
  readonly watch: (changed: (key: string) => void, signal: AbortSignal) => Promise<void>;
  /** The cluster as last seen; undefined where there is none (any more). */
  readonly cluster: (key: string) => ShardCluster | undefined;
  /** What runs for it now. */
  readonly observe: (cluster: ShardCluster) => Promise<Seen>;
  /** Makes everything the cluster consists of so that `workload` pods run. `ownership` says which of them belong together. */
  readonly apply: (cluster: ShardCluster, workload: Workload, ownership: Ownership) => Promise<void>;
  /** Deletes this one pod, so that another takes its place. Nothing happens where it is gone. */
  readonly restart: (cluster: ShardCluster, pod: PodId) => Promise<void>;
  /** Whose pods would be made from something else if the cluster were as `wished`: a rolling change. */
  readonly remade: (cluster: ShardCluster, wished: ShardCluster) => ReadonlySet<Home>;
  /** The cluster's shared secret; made at the first call. */
  readonly token: (cluster: ShardCluster) => Promise<Uint8Array>;
  /** A fresh read of the ShardTopology, never a cache. Rejects while the one of an earlier cluster of that name is there. */
  readonly readOwnership: (cluster: ShardCluster) => Promise<StoredOwnership | null>;
  /** Compare-and-set: `expected` is the resource version read before, null to create. Rejects with ConflictError where it is another. */
  readonly writeOwnership: (
    cluster: ShardCluster,
    ownership: Ownership,
    expected: string | null,
  ) => Promise<StoredOwnership>;
  readonly writeStatus: (cluster: ShardCluster, status: ShardClusterStatus) => Promise<void>;
  readonly event: (cluster: ShardCluster, event: PlannedEvent) => Promise<void>;
  /** Takes away what no owner reference takes away by itself (locally: the processes). */
  readonly forget: (key: string) => Promise<void>;
};

/** What runs for a cluster. */
export type Seen = Pick<Observed, "pods" | "workload" | "ended" | "outdated">;

export type StoredOwnership = { readonly ownership: Ownership; readonly resourceVersion: string };

/** Somebody else changed the object first. */
export class ConflictError extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`Cannot write ${what}: it was changed by somebody else since it was read`, options);
    this.name = "ConflictError";
  }
}
