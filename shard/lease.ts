/**
 * Until when an owner may answer: what others have granted it, counted from when it asked. Whoever grants promises, for a whole
 * lease from when he was asked, to obey nobody else; the owner was first to look at the clock, and counts less than a whole
 * lease, so that it ends here before it does there. One for each epoch; monotonic milliseconds.
 */
export type Lease = {
  /** By what was sent with `seq`, when: reports to info, and marks to followers. */
  readonly reports: Map<number, number>;
  readonly marks: Map<number, number>;
  /** Until when each grant holds that was the longest of its kind: info's, and by pod. */
  info: number;
  readonly members: Map<string, number>;
};

export type Grant = {
  readonly seq: number;
  /** How long who granted it keeps his promise, and how long a lease is as far as the owner knows. The shorter one counts. */
  readonly leaseMs: number;
};

export const createLease = (): Lease => ({
  ...{ reports: new Map(), marks: new Map(), info: -Infinity, members: new Map() },
});

/** Clocks of two machines do not run at quite the same rate. */
const countedShare = 0.8;
/** What was asked before so many others is not granted any more: 10 marks a second, leases of up to 50 s. */
const askedMax = 512;

/** The owner asks; to be called before anything is sent. */
export const asked = (sent: Map<number, number>, seq: number, nowMs: number): void => {
  sent.set(seq, nowMs);
  if (sent.size <= askedMax) return;
  const [oldest] = sent.keys();
  if (oldest !== undefined) sent.delete(oldest);
};

export const grantedByInfo = (lease: Lease, grant: Grant): void => {
  lease.info = Math.max(lease.info, untilOf(lease.reports, grant));
};

export const grantedByMember = (lease: Lease, pod: string, grant: Grant): void => {
  const untilMs = untilOf(lease.marks, grant);
  const before = lease.members.get(pod);
  if (before === undefined ? untilMs > -Infinity : untilMs > before) lease.members.set(pod, untilMs);
};

/** Another process of the pod knows of no promise yet. */
export const forget = (lease: Lease, pod: string): void => {
  lease.members.delete(pod);
};

/** Nothing where it was not asked in this epoch, or too long ago. */
const untilOf = (sent: Map<number, number>, { seq, leaseMs }: Grant): number =>
  (sent.get(seq) ?? -Infinity) + leaseMs * countedShare;

/**
 * Until when the owner may answer. With nobody in sync nobody else can be made owner: it may for ever. Else as long as info
 * has granted, or every member has: one that has not counts as well.
 */
export const leaseUntilMs = ({ info, members }: Lease, inSync: Iterable<string>): number => {
  let least = Infinity;
  for (const pod of inSync) least = Math.min(least, members.get(pod) ?? -Infinity);
  return Math.max(info, least);
};
