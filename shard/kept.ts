import type { ShardId } from "../core/ids.ts";
import type { PodRef, Shard, TopologyIndex } from "../core/topology.ts";
import type { Role } from "./role.ts";

/**
 * The shards whose data stay on this pod's volume once it holds `held` whole: that one, and those that count on it. While a pod is on
 * record as in sync it may be promoted; with `acks: inSync` the owner acknowledges nothing without it, so that what it has on its volume
 * is all that was acknowledged. It may be all that is left.
 */
export const shardsKept = (shards: readonly Shard[], pod: string, held: ShardId): readonly ShardId[] => [
  held,
  ...shards.flatMap(({ id, owner, inSync }) =>
    id !== held && (owner?.pod === pod || inSync.includes(pod)) ? [id] : [],
  ),
];

/** Lets the volume drop what nobody needs, once what is held is whole there. */
export type Kept = {
  /** Follows what this process is now, and the topology. */
  readonly follow: (now: { readonly role: Role; readonly index: TopologyIndex | null }) => void;
  /** Another shard may be held from now on. */
  readonly leave: () => void;
};
export type KeptOptions = {
  readonly self: PodRef;
  /** Lets the volume drop what it has of other shards than these. */
  readonly keepOnly: (shards: readonly ShardId[]) => void;
};

export const createKept = ({ self, keepOnly }: KeptOptions): Kept => {
  let kept: readonly ShardId[] = [];
  return {
    follow: ({ role, index }) => {
      if (index === null || role.kind === "nothing" || !role.held.holding.complete) return;
      if (role.kind === "reader" && role.following.isSettling) return;
      const needed = shardsKept(index.topology.shards, self.pod, role.held.holding.shard);
      if (needed.length === kept.length && needed.every((shard, i) => shard === kept[i])) return;
      kept = needed;
      keepOnly(needed);
    },
    leave: () => {
      kept = [];
    },
  };
};
