import { isoTime, type Clock } from "../../core/clock.ts";
import { apiVersion } from "../schema.ts";
import type { ShardCluster, ShardClusterStatus } from "../shardCluster.ts";
import { withoutFigures } from "../status.ts";
import { isStatus, mergePatch, type Api } from "./api.ts";
import { shardClusters } from "./crds.ts";
import { collection } from "./paths.ts";
import type { StoredCondition } from "./seen.ts";

/** Counts of keys and lag change all the time; they are written this often, anything else at once. */
const figuresMs = 10_000;

/** Writes the status where it says something new; `previous` is what is stored, to keep the times of conditions. */
export const createStatusWriter = (api: Api, clock: Clock): StatusWriter => {
  const written = new Map<string, Written>();
  return {
    write: async (cluster, status, previous) => {
      const last = written.get(cluster.uid);
      const facts = JSON.stringify(withoutFigures(status));
      const whole = JSON.stringify(withCoarseLag(status));
      if (last?.whole === whole) return;
      if (last?.facts === facts && clock.nowMs() - last.atMs < figuresMs) return;
      const conditions = dated(status, last?.conditions ?? previous, isoTime(clock.wallMs()));
      await api
        .request({
          method: "PATCH",
          path: `${collection(apiVersion, shardClusters.plural, cluster.namespace)}/${cluster.name}/status`,
          // The uid keeps the status of a deleted cluster off one that was made under its name.
          body: { metadata: { uid: cluster.uid }, status: { ...status, conditions } },
          contentType: mergePatch,
        })
        .catch((error: unknown) => {
          if (!isStatus(error, 404)) throw error;
        });
      written.set(cluster.uid, { facts, whole, conditions, atMs: clock.nowMs() });
    },
    forget: (uid) => {
      written.delete(uid);
    },
  };
};

export type StatusWriter = {
  readonly write: (
    cluster: ShardCluster,
    status: ShardClusterStatus,
    previous: readonly StoredCondition[],
  ) => Promise<void>;
  readonly forget: (uid: string) => void;
};
type Written = {
  readonly facts: string;
  readonly whole: string;
  readonly conditions: readonly StoredCondition[];
  readonly atMs: number;
};

/** Whole seconds: the noise of an idle cluster is not news. */
const withCoarseLag = (status: ShardClusterStatus): unknown => ({
  ...status,
  shards: status.shards.map((shard) => ({ ...shard, lagMs: Math.floor(shard.lagMs / 1000) })),
});

/** The conditions as they are stored: each says since when its status is what it is. */
const dated = (
  { conditions, observedGeneration }: ShardClusterStatus,
  previous: readonly StoredCondition[],
  now: string,
): readonly StoredCondition[] =>
  conditions.map((condition) => {
    const before = previous.find(({ type }) => type === condition.type);
    const lastTransitionTime = before?.status === condition.status ? before.lastTransitionTime : now;
    return { ...condition, observedGeneration, lastTransitionTime };
  });
