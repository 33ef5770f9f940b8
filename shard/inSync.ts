import type { Version } from "../core/ids.ts";
import { inSyncMax } from "../core/limits.ts";
import type { Lag } from "../core/message.ts";

/**
 * Whom an owner counts as in sync, S(owner): an answer may have to wait for them, and its lease is theirs to grant. What is
 * recorded of it, S(API), is who may be made owner after it. So whoever is recorded must be counted: a newcomer is counted before
 * the owner says so, and one that is to leave until the record is known to have left it out. One for each epoch.
 */
export type InSync = {
  /** The epoch's first record: nobody is in sync before it is durable there. */
  readonly begins: Version;
  /** S(owner). */
  readonly members: Map<string, Member>;
  /** How often the owner has changed its mind. */
  seq: number;
};

/** `held`: everything up to there is durable at it, as it has said at any time. */
type Member = (
  | {
      /**
       * Counted, and in no statement before it holds `owes`: all that may have been answered when it came. Whoever is recorded
       * may be made owner, and has to know all of that (Kafka lets a replica into its in-sync set at the high watermark).
       */
      readonly kind: "joining";
      readonly owes: Version;
    }
  | { readonly kind: "in" }
  | {
      /** Waited for until the topology shows the statement that left it out. */
      readonly kind: "leaving";
      readonly leftOutAt: number;
    }
) & { held: Version };

/** Who copies from the owner, as it sees him. */
export type Follower = {
  readonly pod: string;
  readonly incarnation: string;
  /** Gets records as they come. */
  readonly isStreaming: boolean;
  /** The newest record that is durable there, as this connection has said; 0 before it has. */
  readonly acked: Version;
  readonly lag: Lag;
  /** What the topology says of it: it follows this shard, or it ends soon or is meant for another; null where it says nothing. */
  readonly isWanted: boolean | null;
  /** It has granted a lease that holds still: the owner's would end at once with its entry otherwise. */
  readonly hasGranted: boolean;
};

/** A follower that is further behind than this does not become a member: it would hold up answers at once. */
export const joinLagMax = { bytes: 1024 * 1024, ms: 500 };
/** One that has not acknowledged what is older than this is to leave. Milliseconds. */
export const leaveLagMsMax = 1_000;

/** `begins`: the epoch's first record. */
export const createInSync = (begins: Version): InSync => ({ begins, members: new Map(), seq: 0 });

/**
 * Lets in who has caught up, and leaves out who is gone or has fallen behind; `durable` is the owner's own log, beyond which it has
 * answered nothing. Whether the owner has changed its mind.
 */
export const judge = (
  inSync: InSync,
  followers: ReadonlyMap<string, Follower>,
  durable: Version,
): boolean => {
  const { members } = inSync;
  const seq = inSync.seq + 1;
  for (const [pod, member] of members) {
    const follower = followers.get(pod);
    if (follower !== undefined) hold(inSync, pod, follower.acked);
    if (member.kind === "leaving" || !hasFallenBehind(follower)) continue;
    // One that was never in a statement is recorded nowhere.
    if (member.kind === "joining") members.delete(pod);
    else {
      members.set(pod, { kind: "leaving", leftOutAt: seq, held: member.held });
      inSync.seq = seq;
    }
  }
  for (const follower of followers.values()) {
    if (!hasCaughtUp(inSync, follower)) continue;
    const { pod, acked } = follower;
    const isNew = !members.has(pod) && members.size < inSyncMax;
    if (isNew) members.set(pod, { kind: "joining", owes: durable, held: acked });
    const member = members.get(pod);
    if (member === undefined || member.kind === "in" || owes(member) > acked) continue;
    members.set(pod, { kind: "in", held: member.held });
    inSync.seq = seq;
  }
  return inSync.seq === seq;
};

/** What a member has to hold before it is in a statement. One that is to leave was waited for all the time. */
const owes = (member: Member): Version => (member.kind === "joining" ? member.owes : member.held);

/** A member says that everything up to `acked` is durable there. Whether it may be news who is in sync. */
export const hold = ({ members }: InSync, pod: string, acked: Version): boolean => {
  const member = members.get(pod);
  if (member === undefined) return true;
  if (acked > member.held) member.held = acked;
  return member.kind !== "in";
};

const hasFallenBehind = (follower: Follower | undefined): boolean =>
  follower === undefined || follower.isWanted === false || follower.lag.ms > leaveLagMsMax;

const hasCaughtUp = (
  { begins }: InSync,
  { isStreaming, isWanted, hasGranted, acked, lag }: Follower,
): boolean =>
  isStreaming &&
  isWanted === true &&
  hasGranted &&
  acked >= begins &&
  lag.bytes <= joinLagMax.bytes &&
  lag.ms <= joinLagMax.ms;

/** The topology shows that the statement `syncSeq` of this epoch is recorded. Whether somebody does not count any more. */
export const recorded = ({ members }: InSync, syncSeq: number): boolean => {
  const gone = [...members].filter(([, one]) => one.kind === "leaving" && one.leftOutAt <= syncSeq);
  for (const [pod] of gone) members.delete(pod);
  return gone.length > 0;
};

/** What the owner wants recorded. */
export const statement = ({
  seq,
  members,
}: InSync): { readonly seq: number; readonly members: string[] } => ({
  seq,
  members: [...members].flatMap(([pod, { kind }]) => (kind === "in" ? [pod] : [])).sort(),
});

/** Everything up to here is durable at every member; null where there is none. It goes back when one joins that is behind. */
export const heldByAll = ({ members }: InSync): Version | null => {
  let least: Version | null = null;
  for (const { held } of members.values()) if (least === null || held < least) least = held;
  return least;
};
