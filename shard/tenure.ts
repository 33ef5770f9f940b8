import type { Clock } from "../core/clock.ts";
import type { Epoch, Version } from "../core/ids.ts";
import type { Settings } from "../core/settings.ts";
import type { PodRef, Shard, TopologyIndex } from "../core/topology.ts";
import type { Held } from "./held.ts";
import { createInSync, heldByAll, hold, judge, recorded, statement, type Follower } from "./inSync.ts";
import {
  asked,
  createLease,
  forget,
  grantedByInfo,
  grantedByMember,
  leaseUntilMs,
  type Grant,
} from "./lease.ts";
import type { Acknowledged, Audience, FollowerStatus } from "./replication/publisher.ts";

/**
 * One epoch of one shard at its owner: until when it may answer, who is in sync, what is acknowledged, and how it is handed over.
 * Nothing of it goes over into another epoch.
 */
export type Tenure = Audience & {
  readonly epoch: Epoch;
  /** How long it may answer still: Infinity where nobody else can be made owner, negative since it may not. */
  readonly leaseLeftMs: () => number;
  /** How old at most what the owner holds is: others may have written since it froze, or since its lease ended. Milliseconds. */
  readonly ageMs: () => number;
  /** A report goes to info, which may grant a lease for it. */
  readonly reporting: (seq: number) => void;
  readonly granted: (grant: Grant) => void;
  /** A newer topology; the shard is of this epoch. */
  readonly follow: (index: TopologyIndex, shard: Shard) => void;
  /** Looks at the followers again. */
  readonly look: () => void;
  /** Everything up to here is as durable as the ack mode wants an acknowledged write to be. It goes back when a reader joins. */
  readonly acknowledged: () => Version;
  /** Everything up to here is durable here and at every member, whatever the ack mode. */
  readonly safe: () => Version;
  /** Fewer are in sync than writes need. */
  readonly isShort: () => boolean;
  /** For how long that has been so. Milliseconds; 0 where it is not. */
  readonly shortMs: () => number;
  readonly inSync: () => ReadonlySet<string>;
  readonly statement: () => { readonly seq: number; readonly members: string[] };
  /** It takes nothing more that needs an owner, until the topology says how it goes on. */
  readonly isFrozen: () => boolean;
  /** It takes nothing more, and everything up to here is durable here and at whom it is handed over to; null otherwise. */
  readonly frozen: () => Version | null;
};

export type TenureOptions = {
  readonly clock: Clock;
  readonly held: Held;
  readonly epoch: Epoch;
  /** The epoch's first record. */
  readonly begins: Version;
  readonly settings: () => Settings;
  /** Counts the marks of the process. */
  readonly nextMark: () => number;
  readonly followers: () => readonly FollowerStatus[];
  /** Answers may go that had to wait, or writes be taken that were refused, or the other way round. */
  readonly changed: () => void;
  /** Info should hear of it at once. */
  readonly tell: () => void;
};

type State = {
  readonly options: TenureOptions;
  readonly lease: ReturnType<typeof createLease>;
  readonly inSync: ReturnType<typeof createInSync>;
  followers: Map<string, Follower>;
  /** Which process of each pod was heard last. */
  readonly incarnations: Map<string, string>;
  index: TopologyIndex | null;
  untilMs: number;
  freeze: Freeze | null;
  shortSinceMs: number | null;
  toldFrozen: boolean;
};
type Freeze = { readonly to: PodRef; readonly sinceMs: number };

/** How long a handover waits until all answers under way have gone, before it costs them. */
const answersMsMax = 300;

export const createTenure = (options: TenureOptions): Tenure => {
  const { clock, held, epoch, begins, settings, nextMark } = options;
  const state: State = {
    ...{ options, lease: createLease(), inSync: createInSync(begins), followers: new Map() },
    incarnations: new Map(),
    ...{ index: null, untilMs: Infinity, freeze: null, shortSinceMs: null, toldFrozen: false },
  };
  const { lease, inSync } = state;
  return {
    epoch,
    leaseLeftMs: () => (state.untilMs === Infinity ? Infinity : state.untilMs - clock.nowMs()),
    ageMs: () => ageOf(state),
    reporting: (seq) => {
      asked(lease.reports, seq, clock.nowMs());
    },
    granted: (grant) => {
      grantedByInfo(lease, grant);
      settle(state);
    },
    marking: () => {
      look(state);
      const seq = nextMark();
      asked(lease.marks, seq, clock.nowMs());
      return seq;
    },
    acked: (pod, message) => {
      hear(state, pod, message);
    },
    moved: () => {
      look(state);
    },
    follow: (index, shard) => {
      state.index = index;
      recorded(inSync, shard.syncSeq);
      freeze(state, shard);
      look(state);
    },
    look: () => {
      look(state);
    },
    acknowledged: () => (settings().acks === "inSync" ? safeOf(state) : held.log.durable()),
    safe: () => safeOf(state),
    isShort: () => isShort(state),
    shortMs: () => (state.shortSinceMs === null ? 0 : clock.nowMs() - state.shortSinceMs),
    inSync: () => new Set(inSync.members.keys()),
    statement: () => statement(inSync),
    isFrozen: () => state.freeze !== null,
    frozen: () => frozenAt(state),
  };
};

const ageOf = ({ untilMs, freeze, options }: State): number => {
  if (untilMs === Infinity && freeze === null) return 0;
  const nowMs = options.clock.nowMs();
  return Math.max(0, nowMs - untilMs, freeze === null ? 0 : nowMs - freeze.sinceMs);
};

/** What follows from what has changed. */
const settle = (state: State): void => {
  const { lease, inSync, options } = state;
  state.untilMs = leaseUntilMs(lease, inSync.members.keys());
  state.shortSinceMs = isShort(state) ? (state.shortSinceMs ?? options.clock.nowMs()) : null;
  options.changed();
  const isFrozen = frozenAt(state) !== null;
  if (isFrozen && !state.toldFrozen) options.tell();
  state.toldFrozen = isFrozen;
};

const isShort = ({ options, inSync }: State): boolean => {
  const { acks, minInSync } = options.settings();
  return acks === "inSync" && inSync.members.size < minInSync;
};

const safeOf = ({ options, inSync }: State): Version => {
  const own = options.held.log.durable();
  const least = heldByAll(inSync);
  return least === null || own < least ? own : least;
};

/** Takes the followers as they are now. */
const look = (state: State): void => {
  const { options, inSync, lease, incarnations } = state;
  const nowMs = options.clock.nowMs();
  state.followers = new Map(
    options.followers().map((one) => {
      const hasGranted = (lease.members.get(one.pod) ?? -Infinity) > nowMs;
      return [one.pod, { ...one, isWanted: isWanted(state, one), hasGranted }];
    }),
  );
  for (const { pod, incarnation } of state.followers.values()) {
    if ((incarnations.get(pod) ?? incarnation) !== incarnation) forget(lease, pod);
    incarnations.set(pod, incarnation);
  }
  if (judge(inSync, state.followers, options.held.log.durable())) options.tell();
  settle(state);
};

const isWanted = ({ index, options }: State, { pod, incarnation }: FollowerStatus): boolean | null => {
  const member = index?.members.get(pod);
  if (member?.incarnation !== incarnation) return null;
  return member.state !== "leaving" && member.shard === options.held.holding.shard;
};

const hear = (state: State, pod: string, { epoch, version, grant, leaseMs }: Acknowledged): void => {
  const { options, lease, inSync, followers } = state;
  if (epoch !== options.epoch) return;
  if (grant > 0) {
    const own = options.settings().leaseMs;
    grantedByMember(lease, pod, { seq: grant, leaseMs: Math.min(own, leaseMs) });
  }
  const follower = followers.get(pod);
  if (follower === undefined || version < follower.acked || hold(inSync, pod, version)) {
    look(state);
    return;
  }
  followers.set(pod, { ...follower, acked: version });
  settle(state);
};

/** A handover freezes, and only the topology ends that. */
const freeze = (state: State, { phase }: Shard): void => {
  const { clock } = state.options;
  if (phase.kind !== "handover") {
    state.freeze = null;
    return;
  }
  const { to } = phase;
  if (state.freeze?.to.incarnation === to.incarnation && state.freeze.to.pod === to.pod) return;
  state.freeze = { to, sinceMs: clock.nowMs() };
};

const frozenAt = (state: State): Version | null => {
  const { freeze, options, followers } = state;
  const { holding, log } = options.held;
  const { version } = holding;
  if (freeze === null || log.durable() < version) return null;
  const to = followers.get(freeze.to.pod);
  if (to?.incarnation !== freeze.to.incarnation || to.acked < version) return null;
  const isAnswered = safeOf(state) >= version;
  return isAnswered || options.clock.nowMs() - freeze.sinceMs > answersMsMax ? version : null;
};
