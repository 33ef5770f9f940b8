import { epoch, mapVersion, shardId, slotCount } from "../../core/ids.ts";
import { countSlots, type Shard, type SlotRange } from "../../core/topology.ts";
import { writerPod } from "../shardCluster.ts";
import { counted, several } from "./events.ts";
import type { PlannedEvent, Refusal } from "./model.ts";
import { ownsSlots, splitSlots } from "./slots.ts";

export type ShardsPlan = {
  readonly shards: readonly Shard[];
  readonly refusals: readonly Refusal[];
  readonly events: readonly PlannedEvent[];
};

/**
 * How many shards there are. The first plan shares the slots out; later shards own none (moving slots comes with
 * resharding), and a shard leaves only from the end and only where it owns none: it would take its slots with it.
 */
export const planShards = (name: string, writers: number, before: readonly Shard[] | null): ShardsPlan => {
  if (before === null) {
    const shards = splitSlots(writers).map((slots, i) => newShard(i, slots));
    const message = `Made ${counted(writers, "shard")} for the ${slotCount} slots, evenly`;
    return { shards, refusals: [], events: [{ type: "Normal", reason: "Created", message }] };
  }
  const needed = 1 + before.findLastIndex(ownsSlots);
  const count = Math.max(writers, needed);
  if (count === before.length) {
    return { shards: before, refusals: refusalsOf({ name, writers, before, needed }), events: [] };
  }
  const added = Array.from({ length: Math.max(0, count - before.length) }, (_, i) =>
    newShard(before.length + i, []),
  );
  const shards = [...before.slice(0, count), ...added];
  const event: PlannedEvent =
    added.length > 0
      ? {
          type: "Normal",
          reason: "ShardsAdded",
          message: `Added ${several(added.map(({ id }) => `shard ${id}`))}; they own no slots until resharding`,
        }
      : {
          type: "Normal",
          reason: "ShardsRemoved",
          message: `Removed ${several(before.slice(count).map(({ id }) => `shard ${id}`))}, which owned no slots`,
        };
  return { shards, refusals: refusalsOf({ name, writers, before, needed }), events: [event] };
};

const newShard = (id: number, slots: readonly SlotRange[]): Shard => ({
  id: shardId(id),
  epoch: epoch(0),
  owner: null,
  ...{ inSync: [], syncSeq: 0, phase: { kind: "stable" } },
  ...{ slots, mapVersion: mapVersion(1) },
});

const refusalsOf = ({
  name,
  writers,
  before,
  needed,
}: {
  readonly name: string;
  readonly writers: number;
  readonly before: readonly Shard[];
  readonly needed: number;
}): readonly Refusal[] => {
  if (needed <= writers) return [];
  const kept = before.slice(writers, needed).filter(ownsSlots);
  const slots = kept.reduce((sum, shard) => sum + countSlots(shard.slots), 0);
  const who = several(kept.map(({ id }) => writerPod(name, id)));
  return [
    {
      reason: "WriterOwnsSlots",
      message: `Cannot go down to ${counted(writers, "writer")}: ${who} ${kept.length === 1 ? "owns" : "own"} ${slots} slots, and moving slots to other writers comes with resharding; set spec.writers to ${needed} or more`,
    },
  ];
};
