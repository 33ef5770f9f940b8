import type { Epoch, ShardId } from "../core/ids.ts";
import type { Member, PodRef, TopologyIndex } from "../core/topology.ts";

/** What the topology wants of one process. */
export type Duty =
  | { readonly kind: "nothing" }
  | { readonly kind: "own"; readonly shard: ShardId; readonly epoch: Epoch }
  /** Copy the shard and follow it; `source` is null while the process to copy from is not known. */
  | { readonly kind: "follow"; readonly shard: ShardId; readonly source: Member | null };

export const dutyOf = (index: TopologyIndex, self: PodRef): Duty => {
  const { shards } = index.topology;
  const owned = shards.find(({ owner }) => owner !== null && isSame(owner, self));
  if (owned !== undefined) return { kind: "own", shard: owned.id, epoch: owned.epoch };

  for (const { id, phase } of shards) {
    if (phase.kind === "restoring" && isSame(phase.target, self))
      return { kind: "follow", shard: id, source: index.member(phase.from) ?? null };
  }

  const member = index.member(self.pod);
  if (member === undefined || !isSame(member, self) || member.home !== "reader" || member.shard === null)
    return { kind: "nothing" };
  if (shards[member.shard] === undefined) return { kind: "nothing" };
  return { kind: "follow", shard: member.shard, source: index.ownerOf(member.shard) ?? null };
};

/** The same start of the same pod: what is meant for an earlier process of this pod is not meant for this one. */
const isSame = (a: PodRef, b: PodRef): boolean => a.pod === b.pod && a.incarnation === b.incarnation;
