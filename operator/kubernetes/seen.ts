import * as v from "valibot";
import { instantOf } from "../../core/clock.ts";
import { ordinalOf, type ShardCluster } from "../shardCluster.ts";
import { clusterFrom } from "../schema.ts";
import { belongsTo, shardContainer, shardLabel, type Role } from "./resources.ts";

/** What is kept of the objects that are watched: decoded once, here. */
export type SeenCluster = {
  readonly cluster: ShardCluster;
  readonly deleting: boolean;
  /** As it was last stored, to tell when a condition changed. */
  readonly conditions: readonly StoredCondition[];
};
export type StoredCondition = {
  readonly type: string;
  readonly status: string;
  readonly lastTransitionTime: string;
};
export type SeenPod = {
  /** `namespace/name` of its cluster. */
  readonly cluster: string;
  readonly role: Role;
  readonly name: string;
  readonly uid: string;
  readonly ordinal: number;
  readonly node: string;
  readonly deleting: boolean;
  readonly problem: string | null;
  /** Every process of this pod that started before this has ended; 0 where none is known to have. Milliseconds, wall clock. */
  readonly deadBeforeMs: number;
  /** Nothing of it runs, and nothing will: it is under deletion and its container has ended. */
  readonly stopped: boolean;
  /** Which version of its StatefulSet's template it was made from. */
  readonly revision: string;
  /** What its label says of the shard it belongs to; empty where it has none. */
  readonly shard: string;
};
export type SeenNode = {
  /** Empty where it has none. */
  readonly zone: string;
  /** Somebody said that nothing runs on it: it bears the taint node.kubernetes.io/out-of-service. */
  readonly outOfService: boolean;
};
export type SeenStatefulSet = {
  readonly cluster: string;
  readonly role: Role;
  readonly uid: string;
  readonly ownerUid: string;
  readonly replicas: number;
  /** The version of the template that new pods are made from; empty while its controller has not seen the newest one. */
  readonly revision: string;
  readonly mark: string;
};
/** An applied object of another kind. */
export type Applied = { readonly cluster: string; readonly mark: string };

const strings = v.optional(v.record(v.string(), v.string()), {});
const metadata = v.object({
  name: v.string(),
  namespace: v.optional(v.string(), ""),
  uid: v.optional(v.string(), ""),
  resourceVersion: v.optional(v.string(), ""),
  generation: v.optional(v.number()),
  deletionTimestamp: v.optional(v.string()),
  labels: strings,
  ownerReferences: v.optional(v.array(v.object({ uid: v.string() })), []),
});
const anyObject = v.object({ metadata });

const storedStatus = v.object({
  metadata,
  status: v.optional(
    v.object({
      conditions: v.optional(
        v.array(v.object({ type: v.string(), status: v.string(), lastTransitionTime: v.string() })),
        [],
      ),
    }),
    {},
  ),
});

/** Throws where it is not a ShardCluster that this operator understands. */
export const seenCluster = (object: unknown): SeenCluster => {
  const stored = v.parse(storedStatus, object);
  return {
    cluster: clusterFrom(object),
    deleting: stored.metadata.deletionTimestamp !== undefined,
    conditions: stored.status.conditions,
  };
};

/** The generation, where the kind has one: it does not change with the status. Else the resource version. */
const markOf = ({ generation, resourceVersion }: v.InferOutput<typeof metadata>): string =>
  generation === undefined ? resourceVersion : `generation ${generation}`;

export const appliedFrom = (object: unknown): Applied => {
  const { metadata: meta } = v.parse(anyObject, object);
  return {
    cluster: `${meta.namespace}/${meta.labels["app.kubernetes.io/instance"] ?? ""}`,
    mark: markOf(meta),
  };
};

const statefulSet = v.object({
  metadata,
  spec: v.object({ replicas: v.optional(v.number(), 1) }),
  status: v.optional(
    v.object({ observedGeneration: v.optional(v.number(), 0), updateRevision: v.optional(v.string(), "") }),
    {},
  ),
});

export const seenStatefulSet = (object: unknown): SeenStatefulSet | undefined => {
  const { metadata: meta, spec, status } = v.parse(statefulSet, object);
  const owner = belongsTo(meta.labels);
  if (owner === undefined) return undefined;
  return {
    cluster: `${meta.namespace}/${owner.name}`,
    role: owner.role,
    uid: meta.uid,
    ownerUid: meta.ownerReferences[0]?.uid ?? "",
    replicas: spec.replicas,
    revision: status.observedGeneration === meta.generation ? status.updateRevision : "",
    mark: markOf(meta),
  };
};

const textField = v.optional(v.string(), "");
const timeField = v.nullish(v.string(), null);
const terminated = v.object({
  reason: textField,
  exitCode: v.optional(v.number(), 0),
  finishedAt: timeField,
});
const containerStatus = v.object({
  name: textField,
  state: v.optional(
    v.object({
      waiting: v.optional(v.object({ reason: textField, message: textField })),
      running: v.optional(v.object({ startedAt: timeField })),
      terminated: v.optional(terminated),
    }),
    {},
  ),
  lastState: v.optional(v.object({ terminated: v.optional(terminated) }), {}),
});
const pod = v.object({
  metadata,
  spec: v.object({ nodeName: textField }),
  status: v.optional(
    v.object({
      phase: textField,
      reason: textField,
      message: textField,
      conditions: v.optional(
        v.array(v.object({ type: v.string(), status: v.string(), reason: textField, message: textField })),
        [],
      ),
      containerStatuses: v.optional(v.array(containerStatus), []),
    }),
    {},
  ),
});
type PodStatus = v.InferOutput<typeof pod>["status"];

export const seenPod = (object: unknown): SeenPod | undefined => {
  const { metadata: meta, spec, status } = v.parse(pod, object);
  const owner = belongsTo(meta.labels);
  if (owner === undefined) return undefined;
  const deleting = meta.deletionTimestamp !== undefined;
  return {
    cluster: `${meta.namespace}/${owner.name}`,
    role: owner.role,
    ...{ name: meta.name, uid: meta.uid, ordinal: ordinalOf(meta.name), node: spec.nodeName },
    deleting,
    // However it ends, it is meant to.
    problem: deleting ? null : problemOf(status),
    deadBeforeMs: deadBeforeMs(status),
    stopped: deleting && hasStopped(status),
    revision: meta.labels["controller-revision-hash"] ?? "",
    shard: meta.labels[shardLabel] ?? "",
  };
};

const shardStatus = ({ containerStatuses }: PodStatus) =>
  containerStatuses.find(({ name }) => name === shardContainer);

/** Times of the API are whole seconds, rounded down: what started in the second in which another ended has not ended with it. */
const deadBeforeMs = (status: PodStatus): number => {
  const container = shardStatus(status);
  const ended = container?.state.terminated ?? container?.lastState.terminated;
  const endedMs = instantOf(ended?.finishedAt ?? "");
  const startedMs = instantOf(container?.state.running?.startedAt ?? "");
  // Where the node's clock was put back meanwhile, the process that runs now must not be taken for the one that ended.
  // Its start is noted when it has started: up to a second of doubt.
  return startedMs === 0 ? endedMs : Math.max(0, Math.min(endedMs, startedMs - 1000));
};

/** The kubelet gives a pod under deletion its last phase when all of its containers have ended; they are not started again. */
const hasStopped = (status: PodStatus): boolean =>
  (status.phase === "Succeeded" || status.phase === "Failed") &&
  shardStatus(status)?.state.terminated !== undefined;

const problemCharactersMax = 400;
/** What every pod goes through while it comes up. */
const usual = ["", "ContainerCreating", "PodInitializing"];

/** Why a pod does not come up, in words; null where nothing is wrong. */
export const problemOf = (status: PodStatus): string | null => {
  for (const { state, lastState } of status.containerStatuses) {
    const { reason, message } = state.waiting ?? { reason: "", message: "" };
    if (usual.includes(reason)) continue;
    const { terminated } = lastState;
    const ended =
      terminated === undefined
        ? ""
        : ` (it ended with ${terminated.reason}, exit code ${terminated.exitCode})`;
    return said(reason, `${message}${ended}`);
  }
  const scheduled = status.conditions.find(({ type }) => type === "PodScheduled");
  if (scheduled?.status === "False") return said(scheduled.reason, scheduled.message);
  if (status.phase === "Failed") return said(status.reason === "" ? "Failed" : status.reason, status.message);
  return null;
};

const said = (reason: string, message: string): string =>
  (message === "" ? reason : `${reason}: ${message}`).slice(0, problemCharactersMax);

const node = v.object({
  metadata,
  spec: v.optional(
    v.object({ taints: v.optional(v.array(v.object({ key: v.string(), effect: textField })), []) }),
    {},
  ),
});
export const seenNode = (object: unknown): SeenNode => {
  const { metadata: meta, spec } = v.parse(node, object);
  return {
    zone: meta.labels["topology.kubernetes.io/zone"] ?? "",
    outOfService: spec.taints.some(
      ({ key, effect }) => key === "node.kubernetes.io/out-of-service" && effect === "NoExecute",
    ),
  };
};
