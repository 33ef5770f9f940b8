import { epoch, type Epoch } from "../../core/ids.ts";
import type { ProcessId } from "../../core/message.ts";
import { isAfter, type Place } from "../../core/request.ts";
import type { PodRef, Shard } from "../../core/topology.ts";
import { hasEnded } from "./ended.ts";
import type { OwnerProcess, PlannedEvent, Pod, Session, ShardMemory, Trouble } from "./model.ts";

/** What is decided of one shard is decided on this, and nothing else. */
export type OwnerContext = {
  /** The cluster's. */
  readonly name: string;
  readonly rules: OwnerRules;
  /** By pod. */
  readonly sessions: ReadonlyMap<string, Session>;
  /** By name. */
  readonly pods: ReadonlyMap<string, Pod>;
  /** Uids of pods that are gone and of which nothing runs. */
  readonly ended: ReadonlySet<string>;
  /** How long a process has been gone, in milliseconds; Infinity where it was not connected in this term. */
  readonly goneMs: (ref: PodRef) => number;
  /** The owner's, where it is known. */
  readonly process: OwnerProcess | null;
  /** Pods of the readers that are assigned to this shard. */
  readonly readers: readonly string[];
  /** Whoever is connected and holds the shard whole, as of whatever epoch. */
  readonly holders: readonly Session[];
  /** Pods that are to be restarted or to go. */
  readonly away: ReadonlySet<string>;
  readonly memory: ShardMemory;
  /** A person wants another owner for this shard in this epoch, whatever is lost. */
  readonly forced: boolean;
  readonly leadingMs: number;
};
export type OwnerRules = {
  readonly leaseMs: number;
  /** Whether in-sync readers are promoted without a person's word. */
  readonly automatic: boolean;
  /** Whether data is meant to end with the pods that hold it. */
  readonly ephemeral: boolean;
};

export type OwnerPlan = {
  readonly shard: Shard;
  readonly process: OwnerProcess | null;
  readonly event: PlannedEvent | null;
  readonly trouble: Trouble | null;
  /** Plan again after this long. */
  readonly againMs: number | null;
};

/** A process that says nothing for this long is suspected; a source that was heard within it lives. */
export const suspectMs = 1_000;
/** Where something is waited for that its process tells of by itself. */
export const lookAgainMs = 200;

export const unchanged = (shard: Shard, { process }: OwnerContext): OwnerPlan => ({
  ...{ shard, process, event: null, trouble: null, againMs: null },
});
/** Nothing can be done yet. */
export const waiting = (
  shard: Shard,
  context: OwnerContext,
  { againMs = lookAgainMs, ...trouble }: Omit<Trouble, "shard"> & { readonly againMs?: number },
): OwnerPlan => ({ ...unchanged(shard, context), againMs, trouble: { shard: shard.id, ...trouble } });

/** A new epoch: nobody is in sync in it yet. */
export const named = (
  shard: Shard,
  owner: Session,
  { event, at = epoch(shard.epoch + 1) }: { readonly event: PlannedEvent; readonly at?: Epoch },
): OwnerPlan => ({
  shard: {
    ...shard,
    epoch: at,
    owner: refOf(owner),
    ...{ inSync: [], syncSeq: 0, phase: { kind: "stable" } },
  },
  process: processOf({ ...shard, epoch: at }, owner),
  event,
  trouble: null,
  againMs: null,
});

/** What is kept of the owner of the shard's present epoch. */
export const processOf = (shard: Shard, owner: Session): OwnerProcess => ({
  ...{ shard: shard.id, epoch: shard.epoch },
  ...{ uid: owner.registered.uid, startedAtMs: owner.registered.startedAtMs },
  held: placeIn(owner, shard),
});

/** How much of the shard a process holds; null where it holds nothing whole. */
export const placeIn = ({ report: { held } }: Session, shard: Shard): Place | null =>
  held?.shard === shard.id ? { epoch: held.epoch, version: held.version } : null;

/** The process that the topology names, if it is connected. */
export const ownerSession = (shard: Shard, { sessions }: OwnerContext): Session | undefined => {
  const session = shard.owner === null ? undefined : sessions.get(shard.owner.pod);
  return session !== undefined && isRef(shard.owner, session) ? session : undefined;
};
/** Another start of the owner's pod. */
export const successor = (shard: Shard, { sessions }: OwnerContext): Session | undefined => {
  const session = shard.owner === null ? undefined : sessions.get(shard.owner.pod);
  return session !== undefined && !isRef(shard.owner, session) ? session : undefined;
};
/** Members of S(API) that are connected. */
export const membersOf = ({ inSync, owner }: Shard, { sessions }: OwnerContext): readonly Session[] =>
  inSync.flatMap((pod) => (pod === owner?.pod ? [] : (sessions.get(pod) ?? [])));

/** Whether the platform, a later process of the same pod, or one that has its volume now says that the owner's process has ended. */
export const isDead = (shard: Shard, context: OwnerContext): boolean => {
  const { process, pods, ended } = context;
  if (process === null || process.uid === "" || process.epoch !== shard.epoch) return false;
  if (hasEnded(process, pods.get(shard.owner?.pod ?? ""), ended)) return true;
  const next = successor(shard, context)?.registered;
  if (next === undefined || process.startedAtMs === 0) return false;
  if (next.uid === process.uid && next.startedAtMs > process.startedAtMs) return true;
  return hadBefore(next.ended, process);
};

/** Whether a process has the volume that another had: what survives of what that one wrote is there. */
export const hasVolumeOf = ({ registered }: Session, process: OwnerProcess | null): boolean =>
  process !== null && hadBefore(registered.had, process);

const hadBefore = (those: readonly ProcessId[], { uid, startedAtMs }: OwnerProcess): boolean =>
  those.some((before) => before.uid === uid && before.startedAtMs === startedAtMs);

export const ownsIn = ({ report: { serving } }: Session, shard: Shard): boolean =>
  serving.kind === "owner" && serving.shard === shard.id && serving.epoch === shard.epoch;

/** Whoever holds most first; of equals `first` does. */
export const furthest = (sessions: readonly Session[], shard: Shard, first: string): readonly Session[] =>
  [...sessions].sort((a, b) => {
    const [one, other] = [placeIn(a, shard), placeIn(b, shard)];
    if (one === null || other === null) return Number(one === null) - Number(other === null);
    if (isAfter(one, other)) return -1;
    if (isAfter(other, one)) return 1;
    return Number(b.pod === first) - Number(a.pod === first) || (a.pod < b.pod ? -1 : 1);
  });

export const placeText = (place: Place | null): string =>
  place === null ? "nothing" : `version ${place.version} of epoch ${place.epoch}`;
export const refOf = ({ pod, incarnation }: PodRef): PodRef => ({ pod, incarnation });
export const isRef = (ref: PodRef | null, { pod, incarnation }: PodRef): boolean =>
  ref?.pod === pod && ref.incarnation === incarnation;
