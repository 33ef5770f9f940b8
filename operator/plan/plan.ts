import { mapVersion } from "../../core/ids.ts";
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
import type { OwnerPlan } from "./ownerPlan.ts";
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
  const { away, restarts, rollout } = planRollout({
    ...{ name, readers: spec.readers, ephemeral: spec.storage.ephemeral, shards: sized.shards },
    ...{ assignments: before?.assignments ?? [], pods, sessions, outdated: observed.outdated },
  });
  const contextOf = contextsOf(observed, { sessions, pods, away: new Set([...awayOf(observed), ...away]) });
  const owned = sized.shards.map((shard) => planOwner(shard, contextOf(shard)));
  const shards = owned.map(({ shard }) => shard);
  const assignments = planReaders({
    name,
    wanted: spec.readers,
    shards,
    assignments: before?.assignments ?? [],
    pods,
    sessions,
  });
  const workload = { writers: shards.length, readers: readersNeeded(spec.readers, shards) };
  const waits = owned.flatMap(({ againMs }) => againMs ?? []);
  return {
    workload,
    ownership: ownershipAfter(observed, owned, assignments),
    refusals: sized.refusals,
    troubles: owned.flatMap(({ trouble }) => trouble ?? []),
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

/** Pods that are going, or are to go: what they own is handed over first. */
const awayOf = ({ cluster: { spec }, pods }: Observed): ReadonlySet<string> =>
  new Set(
    pods
      .filter(({ deleting, home, ordinal }) => deleting || (home === "reader" && ordinal >= spec.readers))
      .map(({ name }) => name),
  );

/** A reader that owns a shard, or is about to, stays until that is handed over. */
const readersNeeded = (wanted: number, shards: readonly Shard[]): number => {
  let needed = wanted;
  for (const { owner, phase } of shards) {
    for (const ref of [owner, phase.kind === "handover" ? phase.to : null]) {
      if (ref !== null && isReaderPod(ref.pod)) needed = Math.max(needed, ordinalOf(ref.pod) + 1);
    }
  }
  return needed;
};

const ownershipAfter = (
  { cluster, ownership: before }: Observed,
  owned: readonly OwnerPlan[],
  assignments: readonly Assignment[],
): Ownership => {
  const shards = owned.map(({ shard }) => shard);
  const processes = owned.flatMap(({ process }) => process ?? []);
  if (before === null) {
    return {
      ...{ clusterId: cluster.uid, mapVersion: mapVersion(1), shards, assignments },
      ...{ moves: [], lastMove: 0, processes },
    };
  }
  const next = {
    ...before,
    shards: sameItems(shards, before.shards) ? before.shards : shards,
    assignments,
    processes: sameItems(processes, before.processes) ? before.processes : processes,
    moves: goingOn(before.moves, shards),
  };
  const parts = ["shards", "assignments", "processes", "moves"] as const;
  return parts.every((part) => next[part] === before[part]) ? before : next;
};

/** A move ends with either of its epochs. */
const goingOn = (moves: Ownership["moves"], shards: readonly Shard[]): Ownership["moves"] => {
  const left = moves.filter(
    ({ from, fromEpoch, to, toEpoch }) => shards[from]?.epoch === fromEpoch && shards[to]?.epoch === toEpoch,
  );
  return left.length === moves.length ? moves : left;
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
