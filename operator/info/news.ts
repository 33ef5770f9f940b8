import type { Cancel, Clock } from "../../core/clock.ts";
import { revision, type Term } from "../../core/ids.ts";
import { difference, type Member, type MemberState, type Topology } from "../../core/topology.ts";
import type { TopologyChange } from "../../core/topology.ts";
import type { Ownership, Session } from "../plan/model.ts";
import { memberJudge, topologyOf } from "./publish.ts";

/** Changes that come within this time go out as one. */
const coalesceMs = 20;
/** At 10,000 pods a topology costs some ten milliseconds: at most a fifth of the time goes into making it. */
const restFactor = 4;

/** The newest topology of one cluster: made anew when asked, told where it differs. */
export type News = {
  /** From now on this ownership holds; told at once. */
  readonly publish: (ownership: Ownership, lagMsMax: number) => void;
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
  let published: { readonly ownership: Ownership; readonly lagMsMax: number } | null = null;
  let newest: Topology | null = null;
  let judge: ((session: Session) => Member) | null = null;
  let states: ReadonlyMap<string, MemberState> = new Map();
  let restUntilMs = 0;
  let pending: Cancel | null = null;

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
    pending ??= clock.after(Math.max(coalesceMs, restUntilMs - clock.nowMs()), flush);
  };

  return {
    publish: (ownership, lagMsMax) => {
      published = { ownership, lagMsMax };
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

const differs = (before: Topology, change: TopologyChange): boolean =>
  change.shards.length + change.members.length + change.gone.length > 0 ||
  change.shardCount !== before.shards.length ||
  change.mapVersion !== before.mapVersion ||
  change.lagMsMax !== before.lagMsMax;
