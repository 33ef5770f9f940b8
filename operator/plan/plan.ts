import { mapVersion } from "../../core/ids.ts";
import type { Shard } from "../../core/topology.ts";
import { counted, several } from "./events.ts";
import type { Assignment, Observed, Ownership, Plan, PlannedEvent, Session, Workload } from "./model.ts";
import { planOwner } from "./owners.ts";
import { planReaders } from "./readers.ts";
import { planRollout, restartEvents } from "./rollout.ts";
import { planShards } from "./shards.ts";

/** Events of one kind in one plan before they are told as one. */
const eventsOfKindMax = 4;

/**
 * What is to be: from what is wanted and what is seen. Pure, and at rest once everything is as wanted: applied to its own
 * outcome it changes nothing.
 */
export const plan = (observed: Observed): Plan => {
  const { cluster, ownership: before } = observed;
  const { name, spec } = cluster;
  const sessions = new Map(observed.sessions.map((session) => [session.pod, session]));
  const pods = new Map(observed.pods.map((pod) => [pod.name, pod]));
  const sized = planShards(name, spec.writers, before?.shards ?? null);
  const readersOf = byShard(before?.assignments ?? []);
  const { away, restarts, rollout } = planRollout({
    ...{ name, readers: spec.readers, ephemeral: spec.storage.ephemeral, shards: sized.shards },
    ...{ assignments: before?.assignments ?? [], pods, sessions, outdated: observed.outdated },
  });
  const owned = sized.shards.map((shard) =>
    planOwner(shard, {
      name,
      sessions,
      readers: readersOf.get(shard.id) ?? [],
      leadingMs: observed.leadingMs,
      away,
    }),
  );
  const shards = owned.map(({ shard }) => shard);
  const assignments = planReaders({
    name,
    wanted: spec.readers,
    shards,
    assignments: before?.assignments ?? [],
    pods,
    sessions,
  });
  const workload = { writers: shards.length, readers: spec.readers };
  const waits = owned.flatMap(({ againMs }) => againMs ?? []);
  return {
    workload,
    ownership: ownershipAfter(observed, shards, assignments),
    refusals: sized.refusals,
    events: [
      ...scaled(observed.workload, workload),
      ...sized.events,
      ...restartEvents(restarts),
      ...summed(owned.flatMap(({ event }) => event ?? [])),
      ...assigned(before?.assignments ?? [], assignments, sessions),
    ],
    ...{ restarts, rollout },
    againMs: waits.length === 0 ? null : Math.min(...waits),
  };
};

const ownershipAfter = (
  { cluster, ownership: before }: Observed,
  shards: readonly Shard[],
  assignments: readonly Assignment[],
): Ownership => {
  if (before === null)
    return { clusterId: cluster.uid, mapVersion: mapVersion(1), shards, assignments, moves: [], lastMove: 0 };
  const sameShards =
    shards.length === before.shards.length && shards.every((shard, i) => shard === before.shards[i]);
  if (sameShards && assignments === before.assignments) return before;
  return { ...before, shards: sameShards ? before.shards : shards, assignments };
};

const byShard = (assignments: readonly Assignment[]): ReadonlyMap<number, readonly string[]> => {
  const pods = new Map<number, string[]>();
  for (const { pod, shard } of assignments) {
    const readers = pods.get(shard);
    if (readers === undefined) pods.set(shard, [pod]);
    else readers.push(pod);
  }
  return pods;
};

const scaled = (before: Workload | null, after: Workload): readonly PlannedEvent[] =>
  (["writers", "readers"] as const).flatMap((what) => {
    if (before === null || before[what] === after[what]) return [];
    const reason = before[what] < after[what] ? "ScaledUp" : "ScaledDown";
    return {
      type: "Normal",
      reason,
      message: `From ${before[what]} to ${counted(after[what], what.slice(0, -1))}`,
    };
  });

const assigned = (
  before: readonly Assignment[],
  after: readonly Assignment[],
  sessions: ReadonlyMap<string, Session>,
): readonly PlannedEvent[] => {
  if (before === after) return [];
  const had = new Map(before.map(({ pod, shard }) => [pod, shard]));
  const changed = after.filter(({ pod, shard }) => had.get(pod) !== shard);
  if (changed.length === 0) return [];
  const moved = changed.filter(
    ({ pod }) => had.has(pod) && (sessions.get(pod)?.report.held ?? null) !== null,
  );
  const who = several(changed.map(({ pod, shard }) => `${pod} to shard ${shard}`));
  const why = moved.length === 0 ? "" : ` (${moved.length} moved, so that all shards have as many)`;
  return [{ type: "Normal", reason: "ReadersAssigned", message: `Assigned ${who}${why}` }];
};

const summed = (events: readonly PlannedEvent[]): readonly PlannedEvent[] => {
  const byReason = new Map<string, PlannedEvent[]>();
  for (const event of events) {
    const alike = byReason.get(event.reason);
    if (alike === undefined) byReason.set(event.reason, [event]);
    else alike.push(event);
  }
  return [...byReason.values()].flatMap((alike) => {
    const [first] = alike;
    if (first === undefined || alike.length <= eventsOfKindMax) return alike;
    return [{ ...first, message: `${first.message}; and so for ${alike.length - 1} more` }];
  });
};
