import type { Revision, Term } from "../../core/ids.ts";
import type { Member, MemberState, PodRef, Shard, Topology } from "../../core/topology.ts";
import type { Ownership, Session } from "../plan/model.ts";
import { bytesOfQuantity } from "../quantity.ts";
import { ordinalOf, type ShardClusterSpec } from "../shardCluster.ts";

/** What is told to everybody, but for its number. */
export type View = {
  readonly clusterId: string;
  readonly cluster: string;
  readonly ownership: Ownership;
} & Announced;

/** What the ShardCluster says to its processes. */
export type Announced = Pick<Topology, "lagMsMax" | "settings">;

export const announcedOf = ({
  reads,
  durability,
  failover,
  rebalance,
  memory,
}: ShardClusterSpec): Announced => ({
  lagMsMax: reads.lagMsMax,
  settings: {
    fsync: durability.fsync,
    memoryMaxBytes: bytesOfQuantity(memory.max) ?? null,
    eviction: memory.eviction,
    acks: durability.acks,
    minInSync: durability.minInSync,
    leaseMs: failover.leaseSeconds * 1000,
    moveBytesPerSecondMax: bytesOfQuantity(rebalance.bytesPerSecondMax) ?? 0,
  },
});

/**
 * Joins who owns what with where each process listens and how it is doing. Pure. `before` is the last topology: what was in
 * the rotation stays there a little longer than what is not gets into it, so that a lag around its bound is no storm.
 */
export const topologyOf = (
  view: View,
  sessions: readonly Session[],
  { before, term, revision }: { before: Topology | null; term: Term; revision: Revision },
): Topology => {
  const { clusterId, cluster, lagMsMax, settings, ownership } = view;
  const judge = memberJudge(view, sessions, before);
  return {
    clusterId,
    cluster,
    term,
    revision,
    mapVersion: ownership.mapVersion,
    lagMsMax,
    settings,
    shards: ownership.shards,
    moves: ownership.moves,
    members: sessions.map(judge).sort((a, b) => (a.pod < b.pod ? -1 : 1)),
  };
};

/** How each session stands in the topology. Made once for many sessions. */
export const memberJudge = (
  { ownership, lagMsMax }: View,
  sessions: readonly Session[],
  before: Topology | null,
): ((session: Session) => Member) => {
  const byPod = new Map(sessions.map((session) => [session.pod, session]));
  const assigned = new Map(ownership.assignments.map(({ pod, shard }) => [pod, ownership.shards[shard]]));
  const last = new Map(before?.members.map((member) => [member.pod, member]) ?? []);
  return (session) => {
    const { pod, incarnation, registered } = session;
    const { home, address, node, zone } = registered;
    const known = last.get(pod);
    const was = known?.incarnation === incarnation ? known : undefined;
    const shard = home === "writer" ? ownership.shards[ordinalOf(pod)] : assigned.get(pod);
    const owner = shard?.owner === null || shard === undefined ? undefined : byPod.get(shard.owner.pod);
    const ownerServes = owner !== undefined && shard !== undefined && ownsNow(owner, shard);
    const wasServing = was?.state === "serving" && was.shard === shard?.id;
    const state =
      shard !== undefined && isRef(shard.owner, session)
        ? ownerState(session, shard)
        : followerState(session, shard, { ownerServes, wasServing, lagMsMax });
    return { pod, incarnation, home, shard: shard?.id ?? null, state, address, node, zone };
  };
};

/** One that is ending owns its shard all the same, until that is handed over. */
const ownerState = (session: Session, shard: Shard): MemberState => {
  if (ownsNow(session, shard)) return "serving";
  return session.report.leaving ? "leaving" : "starting";
};

/** Whether this process orders the shard's writes in the epoch that was given to it. */
export const ownsNow = (session: Session, shard: Shard): boolean => {
  const { serving } = session.report;
  const says = serving.kind === "owner" && serving.shard === shard.id && serving.epoch === shard.epoch;
  return says && isRef(shard.owner, session);
};

type Rotation = {
  readonly ownerServes: boolean;
  readonly wasServing: boolean;
  readonly lagMsMax: number;
};

const followerState = (
  { report }: Session,
  shard: Shard | undefined,
  { ownerServes, wasServing, lagMsMax }: Rotation,
): MemberState => {
  const { serving, leaving } = report;
  if (leaving) return "leaving";
  if (shard === undefined || serving.kind !== "reader" || serving.shard !== shard.id) return "starting";
  if (serving.state === "copying") return "copying";
  if (serving.state === "connecting" && !wasServing) return "starting";
  // Nothing is written while the owner is away: a reader that cannot hear it is not behind.
  if (!ownerServes) return "serving";
  return serving.lag.ms <= (wasServing ? lagMsMax : lagMsMax / 2) ? "serving" : "copying";
};

const isRef = (ref: PodRef | null, { pod, incarnation }: PodRef): boolean =>
  ref?.pod === pod && ref.incarnation === incarnation;
