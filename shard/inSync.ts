import { version, type Version } from "../core/ids.ts";
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
  /** S(owner). Of one that is to leave, which statement left it out. */
  readonly members: Map<string, { leftOutAt: number | null }>;
  /** How often the owner has changed its mind. */
  seq: number;
};

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

/** Lets in who has caught up, and leaves out who is gone or has fallen behind. Whether the owner has changed its mind. */
export const judge = (inSync: InSync, followers: ReadonlyMap<string, Follower>): boolean => {
  const { members } = inSync;
  const leaving = [...members].filter(
    ([pod, { leftOutAt }]) => leftOutAt === null && hasFallenBehind(followers.get(pod)),
  );
  const joining = [...followers.values()].filter(
    (follower) => members.get(follower.pod)?.leftOutAt !== null && hasCaughtUp(inSync, follower),
  );
  const room = inSyncMax - members.size;
  const joined = joining.filter(({ pod }, i) => members.has(pod) || i < room);
  if (leaving.length === 0 && joined.length === 0) return false;
  inSync.seq++;
  for (const [pod] of leaving) members.set(pod, { leftOutAt: inSync.seq });
  for (const { pod } of joined) members.set(pod, { leftOutAt: null });
  return true;
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
  const gone = [...members].filter(([, { leftOutAt }]) => leftOutAt !== null && leftOutAt <= syncSeq);
  for (const [pod] of gone) members.delete(pod);
  return gone.length > 0;
};

/** What the owner wants recorded. */
export const statement = ({
  seq,
  members,
}: InSync): { readonly seq: number; readonly members: string[] } => ({
  seq,
  members: [...members].flatMap(([pod, { leftOutAt }]) => (leftOutAt === null ? [pod] : [])).sort(),
});

/** Everything up to here is durable at every member; null where there is none. One that is not connected has said nothing. */
export const heldByAll = ({ members }: InSync, followers: ReadonlyMap<string, Follower>): Version | null => {
  let least: Version | null = null;
  for (const pod of members.keys()) {
    const acked = followers.get(pod)?.acked ?? version(0);
    if (least === null || acked < least) least = acked;
  }
  return least;
};
