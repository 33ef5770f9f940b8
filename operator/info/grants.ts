import type { Clock } from "../../core/clock.ts";
import type { ShardId } from "../../core/ids.ts";
import { encodeMessage } from "../../core/message.ts";
import type { Shard } from "../../core/topology.ts";
import type { Session } from "../plan/model.ts";

/** Info's side of the owners' leases (rules 6 and 7). */
export type Grants = {
  /** What holds as of a read, or of a write that was made: its owners may be granted to from now on. */
  readonly publish: (shards: readonly Shard[]) => void;
  /** What a write is about to end gets nothing any more, until the next publish shows what became of it. */
  readonly hold: (shards: readonly ShardId[]) => void;
  /** The answer to an owner's report; null where nothing may be granted. */
  readonly answer: (session: Session) => Uint8Array | null;
  /** Milliseconds since the shard's owner was last granted a lease; Infinity where it was not. */
  readonly sinceMs: (shard: ShardId) => number;
};

/** `mayGrant`: whether this operator leads, by its own clock, at this very moment. */
export const createGrants = (clock: Clock, mayGrant: () => boolean): Grants => {
  const last = new Map<ShardId, number>();
  const held = new Set<ShardId>();
  let known: readonly Shard[] = [];

  return {
    publish: (shards) => {
      known = shards;
      held.clear();
    },
    hold: (shards) => {
      for (const shard of shards) held.add(shard);
    },
    answer: ({ pod, incarnation, report: { serving, seq } }) => {
      if (serving.kind !== "owner" || held.has(serving.shard)) return null;
      const shard = known[serving.shard];
      if (shard?.epoch !== serving.epoch || shard.phase.kind === "fencing") return null;
      if (shard.owner?.pod !== pod || shard.owner.incarnation !== incarnation) return null;
      if (!mayGrant()) return null;
      last.set(shard.id, clock.nowMs());
      return encodeMessage({ kind: "grant", seq, shard: shard.id, epoch: shard.epoch });
    },
    sinceMs: (shard) => clock.nowMs() - (last.get(shard) ?? -Infinity),
  };
};
