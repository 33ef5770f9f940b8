import * as v from "valibot";
import type { Ownership } from "../plan/model.ts";
import { ConflictError, type StoredOwnership } from "../platform.ts";
import { apiVersion } from "../schema.ts";
import { keyOf, type ShardCluster } from "../shardCluster.ts";
import { ownershipFrom } from "../topologySchema.ts";
import { isStatus, type Api } from "./api.ts";
import { shardTopologies } from "./crds.ts";
import { collection } from "./paths.ts";
import { labelsFor, ownerOf } from "./resources.ts";

const stored = v.object({ metadata: v.object({ resourceVersion: v.string() }), spec: v.unknown() });

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
    return answer === null ? null : storedFrom(answer, cluster);
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
      spec: { ...ownership, shardCount: ownership.shards.length },
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
    return storedFrom(answer, cluster);
  },
});

const pathOf = ({ namespace, name }: ShardCluster): string =>
  `${collection(apiVersion, shardTopologies.plural, namespace)}/${name}`;

const storedFrom = (answer: unknown, cluster: ShardCluster): StoredOwnership => {
  const { metadata, spec } = v.parse(stored, answer);
  const ownership = ownershipFrom(spec);
  if (ownership.clusterId !== cluster.uid) {
    throw new Error(
      `Cannot use ShardTopology ${keyOf(cluster)}: it is of a ShardCluster of that name that was deleted; waiting until it is gone`,
    );
  }
  return { ownership, resourceVersion: metadata.resourceVersion };
};
