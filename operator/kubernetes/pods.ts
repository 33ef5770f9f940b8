import type { Ownership, Pod, PodId } from "../plan/model.ts";
import type { ShardCluster } from "../shardCluster.ts";
import { isStatus, mergePatch, type Api } from "./api.ts";
import { shardsOfPods } from "./budgets.ts";
import { collection } from "./paths.ts";
import { shardLabel } from "./resources.ts";
import type { SeenNode, SeenPod } from "./seen.ts";

/** Nothing of a pod can be running any more: no process of it is later than this. */
const allDead = Number.MAX_SAFE_INTEGER;
/** Owners of the largest cluster, twice. */
const endedPerClusterMax = 2_048;
/** Labels that are put on in one pass; the pods' watch then brings about the next. */
const labelsAtOnceMax = 64;

/** Whether nothing of a pod runs: it said so, or somebody vouches for its node. */
const isOver = (pod: SeenPod, node: SeenNode | undefined): boolean =>
  pod.stopped || (pod.deleting && node?.outOfService === true);

/** A pod as the plan sees it. */
export const plannedPod = (pod: SeenPod, node: SeenNode | undefined): Pod => ({
  ...{ name: pod.name, uid: pod.uid, home: pod.role, ordinal: pod.ordinal },
  ...{ node: pod.node, zone: node?.zone ?? "", deleting: pod.deleting, problem: pod.problem },
  deadBeforeMs: isOver(pod, node) ? allDead : pod.deadBeforeMs,
});

/** Remembers, of pods that are gone, those of which nothing runs any more: the API server forgets them. */
export type EndedPods = {
  /** What a watch saw of a pod last of all. */
  readonly gone: (pod: SeenPod, node: SeenNode | undefined) => void;
  /** The uids of a cluster's. */
  readonly of: (cluster: string) => ReadonlySet<string>;
  readonly forget: (cluster: string) => void;
};

export const createEndedPods = (): EndedPods => {
  const ended = new Map<string, Set<string>>();
  return {
    gone: (pod, node) => {
      if (!isOver(pod, node)) return;
      const uids = ended.get(pod.cluster) ?? new Set();
      ended.set(pod.cluster, uids.add(pod.uid));
      for (const oldest of uids) {
        if (uids.size <= endedPerClusterMax) break;
        uids.delete(oldest);
      }
    },
    of: (cluster) => new Set(ended.get(cluster)),
    forget: (cluster) => {
      ended.delete(cluster);
    },
  };
};

/** Deletes this one pod; the pod that bears its name by now is left alone. */
export const deletePod = async (
  api: Api,
  { namespace }: ShardCluster,
  { name, uid }: PodId,
): Promise<void> => {
  const path = `${collection("v1", "pods", namespace)}/${name}`;
  await api.request({ method: "DELETE", path, body: { preconditions: { uid } } }).catch(unlessGone);
};

/** Tells each pod, by a label, to which shard it belongs: that is what the shards' budgets select by. */
export const labelPods = async (
  api: Api,
  { namespace, name: cluster }: ShardCluster,
  { pods, ownership }: { readonly pods: readonly SeenPod[]; readonly ownership: Ownership },
): Promise<void> => {
  const shards = shardsOfPods(cluster, ownership);
  const wrong = pods.flatMap((pod) => {
    const shard = String(shards.get(pod.name) ?? "");
    return pod.deleting || pod.shard === shard ? [] : [{ pod, shard }];
  });
  const results = await Promise.allSettled(
    wrong.slice(0, labelsAtOnceMax).map(({ pod: { name, uid }, shard }) => {
      const labels = { [shardLabel]: shard === "" ? null : shard };
      const body = { metadata: { uid, labels } };
      const path = `${collection("v1", "pods", namespace)}/${name}`;
      return api.request({ method: "PATCH", path, body, contentType: mergePatch }).catch(unlessGone);
    }),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
};

/** 409: another pod has that name now. */
const unlessGone = (error: unknown): void => {
  if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
};
