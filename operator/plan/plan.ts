import { epoch, mapVersion } from "../../core/ids.ts";
import type { Shard } from "../../core/topology.ts";
import { counted, several } from "./events.ts";
import type { Assignment, Observed, Ownership, Plan, PlannedEvent, Session, Workload } from "./model.ts";
import { planOwner } from "./owners.ts";
import { planReaders } from "./readers.ts";
import { planReshard } from "./reshard.ts";
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
  const sized = planShards(observed);
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
  const started = before ?? firstOwnership(cluster.uid, sized.shards);
  const planned = owned.map(({ shard }) => shard);
  const moved = planReshard({
    ...{ observed, before: started, aim: sized.aim },
    shards: sameItems(planned, started.shards) ? started.shards : planned,
  });
  const { shards } = moved;
  const assignments = planReaders({
    name,
    wanted: spec.readers,
    aim: sized.aim,
    shards,
    assignments: before?.assignments ?? [],
    pods,
    sessions,
  });
  const workload = { writers: shards.length, readers: spec.readers };
  const waits = [...owned, moved].flatMap(({ againMs }) => againMs ?? []);
  return {
    workload,
    ownership: changed(started, before, {
      ...{ shards, assignments, moves: moved.moves, lastMove: moved.lastMove, mapVersion: moved.mapVersion },
      ...{ rebalance: moved.rebalance, epochFloor: sized.epochFloor },
    }),
    refusals: sized.refusals,
    events: [
      ...scaled(observed.workload, workload),
      ...sized.events,
      ...summed(moved.events),
      ...restartEvents(restarts),
      ...summed(owned.flatMap(({ event }) => event ?? [])),
      ...assigned(before?.assignments ?? [], assignments, sessions),
    ],
    ...{ restarts, rollout },
    againMs: waits.length === 0 ? null : Math.min(...waits),
  };
};

const firstOwnership = (clusterId: string, shards: readonly Shard[]): Ownership => ({
  ...{ clusterId, mapVersion: mapVersion(1), shards, assignments: [] },
  ...{ moves: [], lastMove: 0, rebalance: null, epochFloor: epoch(0) },
});

/** The same object where nothing is another than before. */
const changed = (
  started: Ownership,
  before: Ownership | null,
  parts: Omit<Ownership, "clusterId">,
): Ownership => {
  const next = { ...started, ...parts };
  const names = [
    "shards",
    "assignments",
    "moves",
    "lastMove",
    "mapVersion",
    "rebalance",
    "epochFloor",
  ] as const;
  return before !== null && names.every((part) => next[part] === before[part]) ? before : next;
};

const sameItems = (a: readonly Shard[], b: readonly Shard[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);

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
