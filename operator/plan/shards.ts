import { epoch, mapVersion, shardId, slotCount, type Epoch } from "../../core/ids.ts";
import type { Shard, SlotRange } from "../../core/topology.ts";
import { bytesOfQuantity } from "../quantity.ts";
import { counted, several } from "./events.ts";
import { mebibytes } from "./goals.ts";
import type { Observed, Ownership, PlannedEvent, Refusal, Session } from "./model.ts";
import { ownsSlots, splitSlots } from "./slots.ts";

/** What the others may be filled to when shards are to go: they go on being written to meanwhile. */
const fillShare = 0.9;
/** A shard that is to go has deleted what it held. */
const lookAgainMs = 250;

export type ShardsPlan = {
  readonly shards: readonly Shard[];
  /** So many shards are to have slots: the wish, or what there is where that is refused. */
  readonly aim: number;
  readonly epochFloor: Epoch;
  readonly refusals: readonly Refusal[];
  readonly events: readonly PlannedEvent[];
  readonly againMs: number | null;
};

/**
 * How many shards there are, and how many of them are to have slots. The first plan shares the slots out. Later shards begin
 * without any, and a shard leaves from the end, once it has none and what it held is deleted.
 */
export const planShards = (observed: Observed): ShardsPlan => {
  const { cluster, ownership } = observed;
  const { writers } = cluster.spec;
  if (ownership === null) {
    const shards = splitSlots(writers).map((slots, i) => newShard(i, slots));
    const message = `Made ${counted(writers, "shard")} for the ${slotCount} slots, evenly`;
    const events: readonly PlannedEvent[] = [{ type: "Normal", reason: "Created", message }];
    return { shards, aim: writers, epochFloor: epoch(0), refusals: [], events, againMs: null };
  }
  const before = ownership.shards;
  const refusals = refusalsOf(observed, ownership);
  const present = ownership.rebalance?.writers ?? 1 + before.findLastIndex(ownsSlots);
  const aim = refusals.length > 0 ? present : writers;
  const count = Math.max(aim, 1 + before.findLastIndex((shard) => isNeeded(observed, ownership, shard)));
  const removed = before.slice(count);
  const ended = removed.flatMap((shard) => [
    shard.epoch,
    shard.phase.kind === "fencing" ? shard.phase.epoch : shard.epoch,
  ]);
  const epochFloor = epoch(Math.max(ownership.epochFloor, ...ended));
  const added = Array.from({ length: Math.max(0, count - before.length) }, (_, i): Shard => ({
    ...newShard(before.length + i, []),
    ...{ epoch: epochFloor, mapVersion: ownership.mapVersion },
  }));
  const changes = added.length + removed.length > 0;
  return {
    shards: changes ? [...before.slice(0, count), ...added] : before,
    ...{ aim, epochFloor, refusals },
    events: [...addedEvents(added), ...removedEvents(removed)],
    againMs: count > aim ? lookAgainMs : null,
  };
};

const newShard = (id: number, slots: readonly SlotRange[]): Shard => ({
  id: shardId(id),
  epoch: epoch(0),
  owner: null,
  ...{ inSync: [], syncSeq: 0, phase: { kind: "stable" } },
  ...{ slots, mapVersion: mapVersion(1) },
});

/** Beyond the wish a shard is there as long as it has slots, takes part in a move, or has yet to delete what went to others. */
const isNeeded = ({ sessions }: Observed, { moves }: Ownership, shard: Shard): boolean => {
  if (ownsSlots(shard) || moves.some(({ from, to }) => from === shard.id || to === shard.id)) return true;
  const owner = sessions.find(
    ({ pod, incarnation }) => pod === shard.owner?.pod && incarnation === shard.owner.incarnation,
  );
  return owner !== undefined && !owner.report.leaving && owner.report.keys > 0;
};

/** Why the wished number of writers is not gone to. What has begun already goes on. */
const refusalsOf = (
  { cluster: { spec }, sessions }: Observed,
  { shards, rebalance }: Ownership,
): readonly Refusal[] => {
  const { writers, readers, durability, memory } = spec;
  const present = 1 + shards.findLastIndex(ownsSlots);
  if (rebalance?.writers === writers || writers === present) return [];
  const needed = writers * durability.minInSync;
  if (writers > present && durability.acks === "inSync" && readers < needed) {
    const message = `Cannot go up to ${counted(writers, "writer")}: each needs ${counted(durability.minInSync, "reader")} in sync before it takes a write (durability.minInSync), which makes ${needed}, and there are to be ${readers}; set spec.readers to ${needed} or more`;
    return [{ reason: "NotEnoughReaders", message }];
  }
  const max = memory.eviction === "noeviction" ? bytesOfQuantity(memory.max) : undefined;
  if (writers >= present || max === undefined) return [];
  const owners = new Map<string, Session>(sessions.map((session) => [session.pod, session]));
  const bytes = shards.reduce((sum, { owner }) => sum + (owners.get(owner?.pod ?? "")?.report.bytes ?? 0), 0);
  if (bytes <= writers * max * fillShare) return [];
  const room = Math.ceil(bytes / (max * fillShare));
  const message = `Cannot go down to ${counted(writers, "writer")}: the shards hold ${mebibytes(bytes)}, and ${counted(writers, "writer")} of ${mebibytes(max)} (memory.max) are to hold ${mebibytes(writers * max * fillShare)} at most; set spec.writers to ${room} or more, or raise spec.memory.max`;
  return [{ reason: "NoRoom", message }];
};

const addedEvents = (added: readonly Shard[]): readonly PlannedEvent[] => {
  if (added.length === 0) return [];
  const message = `Added ${several(added.map(({ id }) => `shard ${id}`))}: slots move there once the pods serve`;
  return [{ type: "Normal", reason: "ShardsAdded", message }];
};
const removedEvents = (removed: readonly Shard[]): readonly PlannedEvent[] => {
  if (removed.length === 0) return [];
  const message = `Removed ${several(removed.map(({ id }) => `shard ${id}`))}: what was there is with the others`;
  return [{ type: "Normal", reason: "ShardsRemoved", message }];
};
