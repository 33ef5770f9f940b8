import * as v from "valibot";
import type { Ownership } from "../plan/model.ts";
import { ConflictError, type StoredOwnership } from "../platform.ts";
import { apiVersion } from "../schema.ts";
import { keyOf, type ShardCluster } from "../shardCluster.ts";
import { storedOwnership } from "../storedOwnership.ts";
import { ownershipFrom } from "../topologySchema.ts";
import { isStatus, type Api } from "./api.ts";
import { shardClusters, shardTopologies } from "./crds.ts";
import { collection } from "./paths.ts";
import { labelsFor, ownerOf } from "./resources.ts";

const stored = v.object({
  metadata: v.object({ resourceVersion: v.string(), uid: v.string() }),
  spec: v.unknown(),
});
const named = v.object({ metadata: v.object({ uid: v.string() }) });

/** The ShardTopology of a cluster: read fresh, changed only by compare-and-set. */
export type TopologyStore = {
  readonly read: (cluster: ShardCluster) => Promise<StoredOwnership | null>;
  readonly write: (
    cluster: ShardCluster,
    ownership: Ownership,
    expected: string | null,
  ) => Promise<StoredOwnership>;
};

export const createTopologyStore = (api: Api): TopologyStore => ({
  read: async (cluster) => {
    const answer = await api.request({ method: "GET", path: pathOf(cluster) }).catch((error: unknown) => {
      if (isStatus(error, 404)) return null;
      throw error;
    });
    if (answer === null) return null;
    const found = storedFrom(answer);
    if (found.ownership.clusterId === cluster.uid) return found;
    await removeRemains(api, cluster, v.parse(stored, answer).metadata.uid);
    return null;
  },
  write: async (cluster, ownership, expected) => {
    const { namespace, name } = cluster;
    const body = {
      apiVersion,
      kind: shardTopologies.kind,
      metadata: {
        name,
        namespace,
        labels: labelsFor(name),
        ownerReferences: [ownerOf(cluster)],
        ...(expected === null ? {} : { resourceVersion: expected }),
      },
      spec: storedOwnership(ownership, name),
    };
    const answer = await api
      .request(
        expected === null
          ? { method: "POST", path: collection(apiVersion, shardTopologies.plural, namespace), body }
          : { method: "PUT", path: pathOf(cluster), body },
      )
      .catch((error: unknown) => {
        // 404: it was deleted since it was read.
        if (isStatus(error, 409) || (expected !== null && isStatus(error, 404))) {
          throw new ConflictError(`ShardTopology ${keyOf(cluster)}`, { cause: error });
        }
        throw error;
      });
    return storedFrom(answer);
  },
});

/**
 * Deletes the ShardTopology that a deleted cluster of this name left: the garbage collector may take half a minute to see
 * it. Only where the API server says, now, that this cluster is the one that bears the name: a cache may be the older one.
 */
const removeRemains = async (api: Api, cluster: ShardCluster, uid: string): Promise<void> => {
  const { namespace, name } = cluster;
  const path = `${collection(apiVersion, shardClusters.plural, namespace)}/${name}`;
  const { metadata } = v.parse(named, await api.request({ method: "GET", path }));
  if (metadata.uid !== cluster.uid) {
    throw new ConflictError(`ShardTopology ${keyOf(cluster)}`);
  }
  await api.request({ method: "DELETE", path: pathOf(cluster), body: { preconditions: { uid } } });
};

const pathOf = ({ namespace, name }: ShardCluster): string =>
  `${collection(apiVersion, shardTopologies.plural, namespace)}/${name}`;

const storedFrom = (answer: unknown): StoredOwnership => {
  const { metadata, spec } = v.parse(stored, answer);
  return { ownership: ownershipFrom(spec), resourceVersion: metadata.resourceVersion };
};
