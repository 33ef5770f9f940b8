import type { Shard } from "../../core/topology.ts";
import { writerPod } from "../shardCluster.ts";
import { several } from "./events.ts";
import type { Assignment, PlannedEvent, Pod, PodId, Rollout, Session } from "./model.ts";
import { shardsAtOnce } from "./restartOrder.ts";

export type RolloutInput = {
  readonly name: string;
  /** `spec.readers`. */
  readonly readers: number;
  /** Whether what a pod holds is gone with it. */
  readonly ephemeral: boolean;
  readonly shards: readonly Shard[];
  readonly assignments: readonly Assignment[];
  readonly pods: ReadonlyMap<string, Pod>;
  readonly sessions: ReadonlyMap<string, Session>;
  readonly outdated: ReadonlySet<string> | null;
};

export type RolloutPlan = {
  /** Pods that are to own nothing: they are about to be made anew. */
  readonly away: ReadonlySet<string>;
  /** Pods to be deleted now. */
  readonly restarts: readonly PodId[];
  /** Null where no pod is outdated. */
  readonly rollout: Rollout | null;
};

/**
 * A rolling change: readers first, then writers. One pod of a shard at a time, only while all of the shard's pods are up and
 * in sync, and only one that owns nothing, unless it is all there is of its shard. The first pod of each kind goes alone.
 * As long as one that was made anew does not come up, for a reason that is known, no other follows.
 */
export const planRollout = (input: RolloutInput): RolloutPlan => {
  const { outdated } = input;
  if (outdated === null || outdated.size === 0) return nothing;
  const groups = groupsOf(input);
  const members = groups.flatMap(({ pods }) => pods);
  const stuck = stuckOf(members);
  const broken = members.filter((member) => isBroken(input, member));
  const gone = new Set(broken);
  const readersFirst = members.some((member) => member.outdated && member.isReader && !gone.has(member));
  const isNext: IsNext = (member) =>
    member.outdated && !gone.has(member) && (member.isReader || !readersFirst);
  const chosen = stuck === null ? chosenOf(groups, isNext, input) : [];
  const leaving = chosen.flatMap((group) => ownerToGo(group, isNext));
  const under = [...members.filter(isUnderWay), ...leaving].map(({ name }) => name);
  return {
    away: new Set(
      [...leaving, ...groups.flatMap((group) => restingOf(group, isNext))].map(({ name }) => name),
    ),
    restarts: [...broken, ...chosen.flatMap((group) => restartOf(group, isNext))].flatMap(({ pod }) =>
      pod === undefined ? [] : [{ name: pod.name, uid: pod.uid }],
    ),
    rollout: {
      done: members.filter((member) => member.isUp && !member.outdated).length,
      pods: members.length,
      ...{ under, stuck },
    },
  };
};

const nothing: RolloutPlan = { away: new Set(), restarts: [], rollout: null };

type Member = {
  readonly name: string;
  readonly isReader: boolean;
  readonly pod: Pod | undefined;
  readonly session: Session | undefined;
  readonly outdated: boolean;
  /** It runs, and does for its shard what it is there for. */
  readonly isUp: boolean;
};
/** Pods that hold the same, the home writer first; `shard` is null for a reader that has none. */
type Group = { readonly shard: Shard | null; readonly pods: readonly Member[] };
/** Whether it is this pod's turn, as far as other shards are concerned. */
type IsNext = (member: Member) => boolean;

const groupsOf = (input: RolloutInput): readonly Group[] => {
  const { name, readers, shards, assignments, pods } = input;
  const members = shards.map((shard) => [memberOf(input, writerPod(name, shard.id), shard)]);
  const assigned = new Set<string>();
  for (const { pod, shard } of assignments) {
    assigned.add(pod);
    members[shard]?.push(memberOf(input, pod, shards[shard] ?? null));
  }
  const spare = [...pods.values()].filter(
    (pod) => pod.home === "reader" && pod.ordinal < readers && !assigned.has(pod.name),
  );
  return [
    ...shards.map((shard, i): Group => ({ shard, pods: members[i] ?? [] })),
    ...spare.map((pod): Group => ({ shard: null, pods: [memberOf(input, pod.name, null)] })),
  ];
};

const memberOf = (
  { pods, sessions, outdated, name: cluster }: RolloutInput,
  name: string,
  shard: Shard | null,
): Member => {
  const [pod, session] = [pods.get(name), sessions.get(name)];
  return {
    ...{ name, pod, session },
    isReader: shard === null || name !== writerPod(cluster, shard.id),
    outdated: outdated?.has(name) ?? false,
    isUp: isUp(pod, session, shard),
  };
};

const isUp = (pod: Pod | undefined, session: Session | undefined, shard: Shard | null): boolean => {
  if (pod === undefined || pod.deleting || session === undefined || session.report.leaving) return false;
  // The session of the pod that bore the name before may still be there.
  const { uid } = session.registered;
  if (uid !== "" && uid !== pod.uid) return false;
  const { serving } = session.report;
  switch (serving.kind) {
    case "nothing":
      return shard === null;
    case "owner":
      return serving.shard === shard?.id && serving.epoch === shard.epoch;
    case "reader":
      return serving.shard === shard?.id && serving.state === "streaming";
  }
};

/** Being made anew, or down for another reason: its shard has to do without it. */
const isUnderWay = ({ pod, session, outdated, isUp: up }: Member): boolean => {
  if (pod === undefined || pod.deleting || session?.report.leaving === true) return true;
  return !up && !outdated;
};

/** A new one that does not come up, and why. */
const stuckOf = (members: readonly Member[]): Rollout["stuck"] => {
  for (const { name, pod, outdated, isUp: up } of members) {
    const problem = pod?.problem ?? null;
    if (problem !== null && !outdated && !up) return { pod: name, problem };
  }
  return null;
};

/**
 * Outdated and not running at all, for a reason that is known: nobody does without anything if it is made anew at once. But
 * where its data would go with it, it may be the only one that has it.
 */
const isBroken = ({ ephemeral, shards }: RolloutInput, { name, pod, session, outdated }: Member): boolean => {
  if (!outdated || pod === undefined || pod.deleting || pod.problem === null || session !== undefined)
    return false;
  return !ephemeral || !shards.some(({ owner, inSync }) => owner?.pod === name || inSync.includes(name));
};

/** The shards of which a pod is made anew, or gives its shard away for it, now. */
const chosenOf = (groups: readonly Group[], isNext: IsNext, { shards }: RolloutInput): readonly Group[] => {
  const next = groups.flatMap(({ pods }) => pods).filter(isNext);
  const readers = next.some(({ isReader }) => isReader);
  // One at a time, until a new one of this kind has shown that it comes up.
  const isProven = groups.some(({ pods }) =>
    pods.some(({ isReader, outdated, isUp: up }) => isReader === readers && !outdated && up),
  );
  const atOnce = isProven ? shardsAtOnce(shards.length) : 1;
  const under = groups.filter((group) => group.pods.some(isUnderWay) || isHalfWay(group, isNext)).length;
  const free = groups.filter((group) => isFree(group, isNext));
  // What has begun is gone on with first.
  const begun = free.filter((group) => group.shard?.phase.kind === "handover");
  const others = free.filter((group) => !begun.includes(group));
  return [...begun, ...others].slice(0, Math.max(0, atOnce - under));
};

/** Whether this shard can do without one of its pods, and one of them has its turn. */
const isFree = ({ shard, pods }: Group, isNext: IsNext): boolean => {
  if (!pods.some(isNext)) return false;
  if (shard === null) return pods.every(({ pod }) => pod?.deleting === false);
  const owner = pods.find(({ name }) => name === shard.owner?.pod);
  if (owner === undefined || !isWhole({ shard, pods })) return false;
  // A handover that makes room for this very restart is gone on with.
  return shard.phase.kind === "stable" || (shard.phase.kind === "handover" && isNext(owner));
};

/** All pods are up, the owner is the process that is named, and the others are in sync with it. */
const isWhole = ({ shard, pods }: Group): boolean => {
  if (shard?.owner === undefined || shard.owner === null) return false;
  const { owner, inSync } = shard;
  return pods.every(({ name, session, isUp: up }) => {
    if (!up) return false;
    if (name !== owner.pod) return inSync.includes(name);
    return session?.incarnation === owner.incarnation && session.report.serving.kind === "owner";
  });
};

/** Its writer has given the shard away and is made anew as soon as the new owner has everybody in sync. */
const isHalfWay = (group: Group, isNext: IsNext): boolean =>
  group.shard?.phase.kind === "stable" &&
  restingOf(group, isNext).some(({ session }) => session !== undefined) &&
  !isWhole(group);

/** The owner, where it is its turn, no other pod of the shard can go before it, and there is who takes over. */
const ownerToGo = ({ shard, pods }: Group, isNext: IsNext): readonly Member[] => {
  const next = pods.filter(isNext);
  if (pods.length === 1 || next.length !== 1) return [];
  return next.filter(({ name }) => name === shard?.owner?.pod);
};

/** While a handover is under way, nobody goes; a pod that is all there is of its shard goes as it is. */
const restartOf = ({ shard, pods }: Group, isNext: IsNext): readonly Member[] => {
  if (shard?.phase.kind === "handover") return [];
  const next = pods.filter(isNext);
  return (pods.length === 1 ? next : next.filter(({ name }) => name !== shard?.owner?.pod)).slice(0, 1);
};

/** A home writer whose turn it is and that owns nothing gets its shard back when it has been made anew, not before. */
const restingOf = ({ shard, pods }: Group, isNext: IsNext): readonly Member[] =>
  shard?.owner === undefined || shard.owner === null
    ? []
    : pods.filter((member) => isNext(member) && !member.isReader && member.name !== shard.owner?.pod);

/** One event for what is made anew in one pass. */
export const restartEvents = (restarts: readonly PodId[]): readonly PlannedEvent[] => {
  if (restarts.length === 0) return [];
  const names = several(restarts.map(({ name }) => name));
  const message = `${names} ${restarts.length === 1 ? "is" : "are"} made anew, as the template was changed`;
  return [{ type: "Normal", reason: "RollingOut", message }];
};
