import type { Cancel, Clock } from "../../core/clock.ts";
import { revision, type Term } from "../../core/ids.ts";
import { difference, type Member, type MemberState, type Shard, type Topology } from "../../core/topology.ts";
import type { TopologyChange } from "../../core/topology.ts";
import type { Ownership, Session } from "../plan/model.ts";
import { memberJudge, topologyOf, type Announced } from "./publish.ts";

/** Changes that come within this time go out as one. */
const coalesceMs = 20;
/** At 10,000 pods a topology costs some ten milliseconds: at most a fifth of the time goes into making it. */
const restFactor = 4;
/**
 * A new leader hears of the processes one by one, of some only when their dials to the one before have run out. Until it
 * knows every owner, or this long, it tells nothing: the topology that everybody holds is good, one without them is not.
 */
const ownersUnknownMsMax = 8_000;
/** The same for readers: without them reads go to the owners. */
const readersUnknownMsMax = 2_000;

/** The newest topology of one cluster: made anew when asked, told where it differs. */
export type News = {
  /** From now on this ownership holds; told at once. */
  readonly publish: (ownership: Ownership, announced: Announced) => void;
  /** A session changed: look again soon. */
  readonly soon: () => void;
  /** A heartbeat came: its lag may have taken the reader out of the rotation, or back. */
  readonly reported: (session: Session) => void;
  readonly topology: () => Topology | null;
  readonly stop: () => void;
};

export type NewsOptions = {
  readonly clusterId: string;
  readonly cluster: string;
  readonly term: Term;
  readonly clock: Clock;
  readonly sessions: () => readonly Session[];
  readonly tell: (topology: Topology, change: TopologyChange | null) => void;
};

export const createNews = ({ clusterId, cluster, term, clock, sessions, tell }: NewsOptions): News => {
  let published: (Announced & { readonly ownership: Ownership }) | null = null;
  let newest: Topology | null = null;
  let judge: ((session: Session) => Member) | null = null;
  let states: ReadonlyMap<string, MemberState> = new Map();
  let restUntilMs = 0;
  let pending: Cancel | null = null;
  const beganMs = clock.nowMs();

  const stop = (): void => {
    pending?.();
    pending = null;
  };
  const flush = (): void => {
    stop();
    if (published === null) return;
    const startMs = clock.nowMs();
    const view = { clusterId, cluster, ...published };
    const present = sessions();
    if (newest === null && isLearning(published.ownership, present, startMs - beganMs)) {
      pending = clock.after(learningMs, flush);
      return;
    }
    const next = revision((newest?.revision ?? 0) + 1);
    const topology = topologyOf(view, present, { before: newest, term, revision: next });
    const change = newest === null ? null : difference(newest, topology);
    if (newest === null || change === null || differs(newest, change)) {
      newest = topology;
      states = new Map(topology.members.map(({ pod, state }) => [pod, state]));
      tell(topology, change);
    }
    judge = memberJudge(view, present, newest);
    const endMs = clock.nowMs();
    restUntilMs = endMs + (endMs - startMs) * restFactor;
  };
  const soon = (): void => {
    if (published === null) return;
    if (newest === null) stop();
    pending ??= clock.after(Math.max(coalesceMs, restUntilMs - clock.nowMs()), flush);
  };

  return {
    publish: (ownership, { lagMsMax, settings }) => {
      published = { ownership, lagMsMax, settings };
      flush();
    },
    soon,
    reported: (session) => {
      if (judge !== null && judge(session).state !== states.get(session.pod)) soon();
    },
    topology: () => newest,
    stop,
  };
};

/** How often it is looked at whether the time is over; a session that comes is looked at soon in any case. */
const learningMs = 100;

/** A pod that came back as another process is known: the plan deals with it. */
const isLearning = (
  { shards, assignments }: Ownership,
  present: readonly Session[],
  sinceMs: number,
): boolean => {
  const pods = new Set(present.map(({ pod }) => pod));
  return (
    (sinceMs < ownersUnknownMsMax &&
      shards.some((shard) => isWaitedFor(shard) && !pods.has(shard.owner?.pod ?? ""))) ||
    (sinceMs < readersUnknownMsMax && assignments.some(({ pod }) => !pods.has(pod)))
  );
};

/** One that is being replaced may never come: those who are to take its place must hear of that. */
const isWaitedFor = ({ owner, phase }: Shard): boolean => owner !== null && phase.kind !== "fencing";

const differs = (before: Topology, change: TopologyChange): boolean =>
  change.shards.length + change.members.length + change.gone.length > 0 ||
  change.shardCount !== before.shards.length ||
  change.mapVersion !== before.mapVersion ||
  JSON.stringify(change.moves) !== JSON.stringify(before.moves) ||
  change.lagMsMax !== before.lagMsMax ||
  JSON.stringify(change.settings) !== JSON.stringify(before.settings);
