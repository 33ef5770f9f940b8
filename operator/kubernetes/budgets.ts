import type { ShardId } from "../../core/ids.ts";
import type { Ownership } from "../plan/model.ts";
import { writerPod, type ShardCluster } from "../shardCluster.ts";
import type { Manifest } from "./crds.ts";
import { labelsFor, ownerOf, shardLabel } from "./resources.ts";

/** To which shard each pod belongs: home writers by their number, readers as they are assigned. */
export const shardsOfPods = (name: string, ownership: Ownership): ReadonlyMap<string, ShardId> =>
  new Map([
    ...ownership.shards.map(({ id }): [string, ShardId] => [writerPod(name, id), id]),
    ...ownership.assignments.map(({ pod, shard }): [string, ShardId] => [pod, shard]),
  ]);

const budgetName = (name: string, shard: ShardId): string => `${name}-shard-${shard}`;
/** Whether an object of this name is one of a cluster's budgets. */
export const isBudgetName = (name: string, object: string): boolean =>
  object.startsWith(`${name}-shard-`) && /^[0-9]+$/.test(object.slice(`${name}-shard-`.length));

/**
 * One budget for each shard: evictions take one of its pods at a time. As a number of pods that must be available, since what
 * may be unavailable is counted against the whole of their StatefulSets.
 */
export const disruptionBudgets = (cluster: ShardCluster, ownership: Ownership): readonly Manifest[] => {
  const readers = new Map<ShardId, number>();
  for (const { shard } of ownership.assignments) readers.set(shard, (readers.get(shard) ?? 0) + 1);
  return ownership.shards.map(({ id }): Manifest => {
    const label = { [shardLabel]: String(id) };
    return {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: {
        ...{ name: budgetName(cluster.name, id), namespace: cluster.namespace },
        labels: { ...labelsFor(cluster.name), ...label },
        ownerReferences: [ownerOf(cluster)],
      },
      spec: {
        minAvailable: readers.get(id) ?? 0,
        selector: { matchLabels: { ...labelsFor(cluster.name), ...label } },
        // A pod that is not ready keeps nothing going. Where its data would go with it, it may be all there is of them.
        unhealthyPodEvictionPolicy: cluster.spec.storage.ephemeral ? "IfHealthyBudget" : "AlwaysAllow",
      },
    };
  });
};
