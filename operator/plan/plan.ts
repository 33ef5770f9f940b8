import { epoch, mapVersion } from "../../core/ids.ts";
import type { Shard } from "../../core/topology.ts";
import { isReaderPod, ordinalOf } from "../shardCluster.ts";
import { counted, several } from "./events.ts";
import type {
  Assignment,
  Observed,
  OwnerProcess,
  Ownership,
  Plan,
  PlannedEvent,
  Session,
  Workload,
} from "./model.ts";
import { contextsOf } from "./ownerContexts.ts";
import { planOwner } from "./owners.ts";
import { isUnlevelled } from "./goals.ts";
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
  const { away, restarts, rollout } = planRollout({
    ...{ name, readers: spec.readers, ephemeral: spec.storage.ephemeral, shards: sized.shards },
    ...{ assignments: before?.assignments ?? [], pods, sessions, outdated: observed.outdated },
  });
  const contextOf = contextsOf(observed, { sessions, pods, away: new Set([...awayOf(observed), ...away]) });
  const owned = sized.shards.map((shard) => planOwner(shard, contextOf(shard)));
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
  const workload = { writers: shards.length, readers: readersNeeded(spec.readers, shards) };
  const waits = [...owned, sized, moved].flatMap(({ againMs }) => againMs ?? []);
  const processes = owned.flatMap(({ process }) => process ?? []);
  return {
    workload,
    ownership: changed(started, before, {
      ...{ shards, assignments, moves: moved.moves, lastMove: moved.lastMove, mapVersion: moved.mapVersion },
      ...{ rebalance: moved.rebalance, epochFloor: sized.epochFloor },
      processes: sameItems(processes, started.processes) ? started.processes : processes,
    }),
    unlevelled: isUnlevelled(shards, sized.aim),
    refusals: sized.refusals,
    troubles: owned.flatMap(({ trouble }) => trouble ?? []),
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
  ...{ moves: [], lastMove: 0, rebalance: null, epochFloor: epoch(0), processes: [] },
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
    "processes",
  ] as const;
  return before !== null && names.every((part) => next[part] === before[part]) ? before : next;
};

/** Pods that are going, or are to go: what they own is handed over first. */
const awayOf = ({ cluster: { spec }, pods }: Observed): ReadonlySet<string> =>
  new Set(
    pods
      .filter(({ deleting, home, ordinal }) => deleting || (home === "reader" && ordinal >= spec.readers))
      .map(({ name }) => name),
  );

/** A reader that owns a shard, or is about to, stays until that is handed over; one in sync until its owner has left it out. */
const readersNeeded = (wanted: number, shards: readonly Shard[]): number => {
  let needed = wanted;
  for (const { owner, phase, inSync } of shards) {
    for (const pod of [owner?.pod, phase.kind === "handover" ? phase.to.pod : undefined, ...inSync]) {
      if (pod !== undefined && isReaderPod(pod)) needed = Math.max(needed, ordinalOf(pod) + 1);
    }
  }
  return needed;
};

const sameItems = (a: readonly (Shard | OwnerProcess)[], b: readonly (Shard | OwnerProcess)[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);

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
