import * as v from "valibot";
import { ordinalOf, type ShardCluster } from "../shardCluster.ts";
import { clusterFrom } from "../schema.ts";
import { belongsTo, type Role } from "./resources.ts";

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
  readonly ordinal: number;
  readonly node: string;
  readonly deleting: boolean;
  readonly problem: string | null;
};
export type SeenStatefulSet = {
  readonly cluster: string;
  readonly role: Role;
  readonly uid: string;
  readonly ownerUid: string;
  readonly replicas: number;
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

const statefulSet = v.object({ metadata, spec: v.object({ replicas: v.optional(v.number(), 1) }) });

export const seenStatefulSet = (object: unknown): SeenStatefulSet | undefined => {
  const { metadata: meta, spec } = v.parse(statefulSet, object);
  const owner = belongsTo(meta.labels);
  if (owner === undefined) return undefined;
  return {
    cluster: `${meta.namespace}/${owner.name}`,
    role: owner.role,
    uid: meta.uid,
    ownerUid: meta.ownerReferences[0]?.uid ?? "",
    replicas: spec.replicas,
    mark: markOf(meta),
  };
};

const textField = v.optional(v.string(), "");
const containerStatus = v.object({
  state: v.optional(
    v.object({ waiting: v.optional(v.object({ reason: textField, message: textField })) }),
    {},
  ),
  lastState: v.optional(
    v.object({
      terminated: v.optional(v.object({ reason: textField, exitCode: v.optional(v.number(), 0) })),
    }),
    {},
  ),
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
  return {
    cluster: `${meta.namespace}/${owner.name}`,
    role: owner.role,
    name: meta.name,
    ordinal: ordinalOf(meta.name),
    node: spec.nodeName,
    deleting: meta.deletionTimestamp !== undefined,
    problem: problemOf(status),
  };
};

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

const node = v.object({ metadata });
/** The zone of a node; empty where it has none. */
export const seenZone = (object: unknown): string =>
  v.parse(node, object).metadata.labels["topology.kubernetes.io/zone"] ?? "";
