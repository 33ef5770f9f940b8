import type { Epoch } from "../core/ids.ts";
import { ownerOf, type Member, type PodRef, type Shard, type TopologyIndex } from "../core/topology.ts";

/** What the topology wants of one process. */
export type Duty =
  /** `shard` is the one that it has to do with all the same; null where there is none. */
  | { readonly kind: "nothing"; readonly shard: Shard | null }
  | { readonly kind: "own"; readonly shard: Shard }
  /** Copy the shard and follow it; `source` is null while there is nobody to copy from. */
  | { readonly kind: "follow"; readonly shard: Shard; readonly source: Member | null };

export const dutyOf = (index: TopologyIndex, self: PodRef): Duty => {
  const { shards } = index.topology;
  const owned = shards.find(({ owner }) => owner !== null && isSame(owner, self));
  // Who is fenced off does nothing until the failover has come to its end.
  if (owned !== undefined) return { kind: isFencing(owned) ? "nothing" : "own", shard: owned };

  const member = index.members.get(self.pod);
  if (member === undefined || !isSame(member, self) || member.shard === null)
    return { kind: "nothing", shard: null };
  const shard = shards[member.shard];
  if (shard === undefined) return { kind: "nothing", shard: null };
  // A writer at home whose last process was the owner, or that is to be the first one, is about to be named.
  const isNext = member.home === "writer" && (shard.owner === null || shard.owner.pod === self.pod);
  if (isNext) return { kind: "nothing", shard };
  return { kind: "follow", shard, source: isFencing(shard) ? null : (ownerOf(index, shard.id) ?? null) };
};

/** Who hears of this obeys nobody below that epoch any more. */
export const floorOf = ({ epoch, phase }: Shard): { readonly epoch: Epoch; readonly isFencing: boolean } =>
  phase.kind === "fencing" && phase.epoch > epoch
    ? { epoch: phase.epoch, isFencing: true }
    : { epoch, isFencing: false };

const isFencing = (shard: Shard): boolean => floorOf(shard).isFencing;

/** The same start of the same pod: what is meant for an earlier process of this pod is not meant for this one. */
const isSame = (a: PodRef, b: PodRef): boolean => a.pod === b.pod && a.incarnation === b.incarnation;
