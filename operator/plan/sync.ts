import type { Shard } from "../../core/topology.ts";
import type { Session } from "./model.ts";

/**
 * The shard with what its owner states of its in-sync set; null where nothing newer is stated. A statement counts only in the
 * epoch that it was made in and while nothing is under way (rule 4): what the record names, the owner waits for.
 */
export const recordSync = (shard: Shard, { report: { serving } }: Session): Shard | null => {
  if (serving.kind !== "owner" || serving.shard !== shard.id || serving.epoch !== shard.epoch) return null;
  if (shard.phase.kind !== "stable" || serving.sync.seq <= shard.syncSeq) return null;
  const { seq, members } = serving.sync;
  return { ...shard, inSync: [...new Set(members)].sort(), syncSeq: seq };
};
