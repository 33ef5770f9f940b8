import type { Clock } from "../../core/clock.ts";
import type { ShardId } from "../../core/ids.ts";
import type { Shard, Stamp, Topology } from "../../core/topology.ts";
import type { ShardMemory } from "../plan/model.ts";

/** Since when each shard is in its epoch and phase, and which topology told of that first. Of this term only. */
export type Phases = {
  readonly publish: (shards: readonly Shard[]) => void;
  /** This topology went out to everybody. */
  readonly told: (topology: Topology) => void;
  readonly of: (shard: ShardId) => Omit<ShardMemory, "grantMs">;
};

type Known = { shard: Shard; sinceMs: number; abortedMs: number; told: Stamp | null };

export const createPhases = (clock: Clock): Phases => {
  const known = new Map<ShardId, Known>();
  return {
    publish: (shards) => {
      const nowMs = clock.nowMs();
      for (const shard of shards) {
        const before = known.get(shard.id);
        if (before !== undefined && isSame(before.shard, shard)) continue;
        const isAborted = before?.shard.phase.kind === "handover" && before.shard.epoch === shard.epoch;
        const abortedMs = isAborted ? nowMs : (before?.abortedMs ?? -Infinity);
        known.set(shard.id, { shard, sinceMs: nowMs, abortedMs, told: null });
      }
    },
    told: ({ shards, term, revision }) => {
      for (const shard of shards) {
        const entry = known.get(shard.id);
        if (entry !== undefined && isSame(entry.shard, shard)) entry.told ??= { term, revision };
      }
    },
    of: (id) => {
      const entry = known.get(id);
      if (entry === undefined) return { phaseMs: 0, abortedMs: Infinity, told: null };
      const nowMs = clock.nowMs();
      return { phaseMs: nowMs - entry.sinceMs, abortedMs: nowMs - entry.abortedMs, told: entry.told };
    },
  };
};

const isSame = (a: Shard, b: Shard): boolean =>
  a === b || (a.epoch === b.epoch && JSON.stringify(a.phase) === JSON.stringify(b.phase));
