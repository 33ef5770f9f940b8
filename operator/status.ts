import { slotCount } from "../core/ids.ts";
import { countSlots, type Member, type Shard, type Topology } from "../core/topology.ts";
import { counted, several } from "./plan/events.ts";
import type { Pod, Refusal, Rollout, Session, Trouble, Workload } from "./plan/model.ts";
import {
  movingOn,
  movingText,
  rebalanceStatus,
  rebalancingCondition,
  withoutRebalanceFigures,
  type RebalanceInput,
} from "./rebalanceStatus.ts";
import { rollingOut, rolloutStuck, upToDate } from "./rolloutStatus.ts";
import {
  ordinalOf,
  readerPod,
  writerPod,
  type Condition,
  type ShardCluster,
  type ShardClusterStatus,
  type ShardStatus,
} from "./shardCluster.ts";

export type StatusInput = RebalanceInput & {
  readonly cluster: ShardCluster;
  readonly topology: Topology;
  readonly sessions: readonly Session[];
  readonly pods: readonly Pod[];
  readonly workload: Workload;
  readonly refusals: readonly Refusal[];
  readonly rollout: Rollout | null;
  readonly unlevelled: boolean;
  readonly troubles: readonly Trouble[];
};

/** What people are shown of a cluster. Pure; a person who reads only the messages knows which pod to look at. */
export const statusOf = (input: StatusInput): ShardClusterStatus => {
  const { cluster, topology, pods, workload } = input;
  const serving = servingMembers(topology);
  const writersReady = serving.filter(({ home }) => home === "writer").length;
  const readersReady = serving.filter(({ home }) => home === "reader").length;
  const states = new Map(serving.map(({ pod, incarnation }) => [pod, incarnation]));
  const unserved = topology.shards.filter(
    ({ owner, slots }) => slots.length > 0 && (owner === null || states.get(owner.pod) !== owner.incarnation),
  );
  const slotsServed = slotCount - unserved.reduce((sum, { slots }) => sum + countSlots(slots), 0);
  const rebalance = rebalanceStatus(input);
  const { unlevelled } = input;
  const rebalancing = rebalancingCondition({ rebalance, unlevelled, paused: cluster.spec.rebalance.paused });
  const outcome = { ...input, serving, unserved, writersReady, readersReady, slotsServed, rebalancing };
  return {
    observedGeneration: cluster.generation,
    conditions: [
      ...[readyCondition(outcome), progressingCondition(outcome), degradedCondition(outcome)],
      rebalancing,
    ],
    ...{ rebalance, moving: movingText(rebalance) },
    writers: { wanted: workload.writers, ready: writersReady },
    readers: { wanted: workload.readers, ready: readersReady },
    writersReady: `${writersReady}/${workload.writers}`,
    readersReady: `${readersReady}/${workload.readers}`,
    slotsServed,
    upToDate: upToDate(input.rollout, workload.writers + workload.readers),
    replicas: pods.filter(({ home, deleting }) => home === "reader" && !deleting).length,
    selector: readerSelector(cluster.name),
    shards: shardStatuses(topology, input.sessions),
  };
};

/** Selects the pods of the read StatefulSet: what an autoscaler on the scale subresource looks at. */
export const readerSelector = (name: string): string =>
  `app.kubernetes.io/name=edis,app.kubernetes.io/instance=${name},app.kubernetes.io/component=reader`;

type Outcome = StatusInput & {
  readonly serving: readonly Member[];
  /** Shards with slots whose owner does not serve. */
  readonly unserved: readonly Shard[];
  readonly writersReady: number;
  readonly readersReady: number;
  readonly slotsServed: number;
  readonly rebalancing: Condition;
};

/** Members in the rotation; those that are to go, or have nothing to serve, do not count. */
const servingMembers = ({ members }: Topology): readonly Member[] =>
  members.filter(({ state, shard }) => state === "serving" && shard !== null);

const readyCondition = (outcome: Outcome): Condition => {
  const { slotsServed, readersReady, writersReady, workload } = outcome;
  if (slotsServed < slotCount) {
    const missing = unservedTexts(outcome);
    const message = `${slotCount - slotsServed} of ${slotCount} slots are not served: ${several(missing)} ${missing.length === 1 ? "does" : "do"} not serve yet`;
    return { type: "Ready", status: "False", reason: "SlotsNotServed", message };
  }
  const missing = [...missingOf(outcome, "writer"), ...missingOf(outcome, "reader")];
  if (missing.length > 0) {
    const reason = writersReady < workload.writers ? "WritersNotServing" : "ReadersNotServing";
    const message = `All slots are served, by ${counted(writersReady, "writer")} and ${readersReady} of ${counted(workload.readers, "reader")}; missing: ${several(missing)}`;
    return { type: "Ready", status: "False", reason, message };
  }
  const message = `All ${slotCount} slots are served by ${counted(writersReady, "writer")}; ${counted(readersReady, "reader")} ${readersReady === 1 ? "serves" : "serve"}`;
  return { type: "Ready", status: "True", reason: "AllServing", message };
};

const progressingCondition = (outcome: Outcome): Condition => {
  const { topology, workload, pods, serving } = outcome;
  const handingOver = topology.shards.filter(({ phase }) => phase.kind === "handover");
  const of = (reason: string, message: string): Condition => ({
    type: "Progressing",
    status: "True",
    reason,
    message,
  });
  if (handingOver.length > 0) return of("HandingOver", several(handingOver.map(handoverText)));
  const rolling = rollingOut(outcome.rollout);
  if (rolling !== null) return rolling;
  const surplus = pods.filter(
    ({ home, ordinal }) => ordinal >= workload[home === "writer" ? "writers" : "readers"],
  );
  if (surplus.length > 0) {
    return of("ScalingDown", `Waiting for ${several(surplus.map(({ name }) => name))} to end`);
  }
  const missing = [...missingOf(outcome, "writer"), ...missingOf(outcome, "reader")];
  if (missing.length > 0) {
    const reason = serving.length === 0 ? "Starting" : "WaitingForPods";
    return of(reason, `Waiting for ${several(missing)} to serve`);
  }
  return (
    movingOn(outcome.rebalancing) ?? {
      type: "Progressing",
      status: "False",
      reason: "Settled",
      message: "Everything is as it is wanted",
    }
  );
};

const degradedCondition = (outcome: Outcome): Condition => {
  const { refusals, pods, troubles } = outcome;
  const of = (reason: string, message: string): Condition => ({
    type: "Degraded",
    status: "True",
    reason,
    message,
  });
  const [trouble] = [...troubles].sort((a, b) => urgency[a.reason] - urgency[b.reason]);
  if (trouble !== undefined) {
    const alike = troubles.filter(({ reason }) => reason === trouble.reason);
    return of(trouble.reason, `${several(alike.map(({ message }) => message))}${problemsText(pods)}`);
  }
  const stuck = rolloutStuck(outcome.rollout);
  if (stuck !== null) return stuck;
  const problems = pods.filter(({ problem }) => problem !== null);
  if (problems.length > 0) return of("PodProblem", problemsText(pods).replace(/^; /, ""));
  const [refusal] = refusals;
  if (refusal !== undefined) return of(refusal.reason, refusals.map(({ message }) => message).join("; "));
  return { type: "Degraded", status: "False", reason: "AsWanted", message: "Nothing is wrong" };
};

/** What a person has to look at first. */
const urgency = { NothingToPromote: 0, OwnerUnreachable: 1, FailingOver: 2 } as const;

const handoverText = ({ id, owner, phase }: Shard): string =>
  phase.kind === "handover" ? `${owner?.pod ?? ""} hands shard ${id} over to ${phase.to.pod}` : "";

const problemsText = (pods: readonly Pod[]): string => {
  const texts = pods.flatMap(({ name, problem }) => (problem === null ? [] : `${name}: ${problem}`));
  return texts.length === 0 ? "" : `; ${several(texts)}`;
};

/** Who should serve the slots that nobody serves: owners, with what is known of each. */
const unservedTexts = ({ unserved, cluster, topology, pods }: Outcome): readonly string[] => {
  const members = new Map(topology.members.map((member) => [member.pod, member]));
  const known = new Map(pods.map((pod) => [pod.name, pod]));
  return unserved.map(({ id, owner }) => {
    const name = owner?.pod ?? writerPod(cluster.name, id);
    const what = known.get(name)?.problem ?? members.get(name)?.state ?? "not connected";
    return `${name} (${what})`;
  });
};

/** Pods that are wanted and do not serve, with what is known of each. */
const missingOf = (outcome: Outcome, home: "writer" | "reader"): readonly string[] => {
  const { cluster, workload, topology, pods, serving } = outcome;
  const [podOf, wanted] =
    home === "writer" ? ([writerPod, workload.writers] as const) : ([readerPod, workload.readers] as const);
  const serves = new Set(serving.map(({ pod }) => pod));
  const members = new Map(topology.members.map((member) => [member.pod, member]));
  const known = new Map(pods.map((pod) => [pod.name, pod]));
  return Array.from({ length: wanted }, (_, ordinal) => podOf(cluster.name, ordinal))
    .filter((pod) => !serves.has(pod))
    .map((name) => {
      const what = known.get(name)?.problem ?? members.get(name)?.state ?? "not connected";
      return `${name} (${what})`;
    });
};

const shardStatuses = (topology: Topology, sessions: readonly Session[]): readonly ShardStatus[] => {
  const byPod = new Map(sessions.map((session) => [session.pod, session]));
  const readers = topology.shards.map((): Member[] => []);
  for (const member of topology.members) {
    if (member.home === "reader" && member.shard !== null) readers[member.shard]?.push(member);
  }
  return topology.shards.map(({ id, epoch, owner, slots, inSync, phase }) => {
    const mine = (readers[id] ?? []).sort((a, b) => ordinalOf(a.pod) - ordinalOf(b.pod));
    const lags = mine.flatMap(({ pod }) => {
      const serving = byPod.get(pod)?.report.serving;
      return serving?.kind === "reader" ? Math.round(serving.lag.ms) : [];
    });
    return {
      id,
      epoch,
      owner: owner?.pod ?? "",
      inSync,
      phase: phase.kind,
      slots: countSlots(slots),
      keys: (owner === null ? undefined : byPod.get(owner.pod)?.report.keys) ?? 0,
      readers: mine.map(({ pod }) => pod),
      lagMs: lags.length === 0 ? -1 : Math.max(...lags),
    };
  });
};

/** Whether two statuses differ in more than figures that change all the time. */
export const differsInKind = (a: ShardClusterStatus, b: ShardClusterStatus): boolean =>
  JSON.stringify(withoutFigures(a)) !== JSON.stringify(withoutFigures(b));

export const withoutFigures = (status: ShardClusterStatus): unknown => ({
  ...status,
  conditions: status.conditions.map((condition) =>
    condition.type === "Rebalancing" || condition.reason.startsWith("Rebalanc")
      ? { ...condition, message: "" }
      : condition,
  ),
  ...{ rebalance: withoutRebalanceFigures(status.rebalance), moving: "" },
  shards: status.shards.map((shard) => ({ ...shard, keys: 0, lagMs: shard.lagMs < 0 ? -1 : 0 })),
});
