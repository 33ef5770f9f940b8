import { epoch } from "../../core/ids.ts";
import { compareStamps, type PodRef, type Shard } from "../../core/topology.ts";
import { writerPod } from "../shardCluster.ts";
import { ownerMissing } from "./failover.ts";
import type { Session } from "./model.ts";
import {
  furthest,
  isRef,
  lookAgainMs,
  membersOf,
  named,
  ownerSession,
  ownsIn,
  placeIn,
  refOf,
  unchanged,
  type OwnerContext,
  type OwnerPlan,
} from "./ownerPlan.ts";

/** A home pod has to have been well for this long before its shard comes back to it. */
export const wellMs = 10_000;
/** A handover that is not done by then is given up: requests wait no longer than a second. */
export const handoverMsMax = 3_000;
/** How long after one that was given up the next is tried: where the owner has to go, and where it could stay. */
const retryMs = { leaving: 1_000, home: 10_000 };

/** A planned change of owner, where there is a reason and somebody in sync to take over. */
export const beginHandover = (
  shard: Shard,
  context: OwnerContext & { readonly owner: Session },
): OwnerPlan => {
  const { owner, away, name, memory } = context;
  const home = writerPod(name, shard.id);
  const isGoing = owner.report.leaving || away.has(owner.pod);
  if (!isGoing && owner.pod === home) return unchanged(shard, context);
  const targets = membersOf(shard, context).filter((member) => isTarget(member, shard, context));
  const leaving = owner.report.leaving ? "is ending" : "is to be restarted or to go";
  const [to] = isGoing ? furthestHomeFirst(targets, shard, home) : targets.filter(({ pod }) => pod === home);
  if (to === undefined) return unchanged(shard, context);
  const waitMs = Math.max(
    retryMs[isGoing ? "leaving" : "home"] - memory.abortedMs,
    isGoing ? 0 : wellMs - to.ageMs,
  );
  if (waitMs > 0) return { ...unchanged(shard, context), againMs: waitMs };
  const why = isGoing ? `${owner.pod} ${leaving}` : `${to.pod} is well again`;
  const message = `${owner.pod} hands shard ${shard.id} over to ${to.pod}: ${why}`;
  return {
    ...unchanged({ ...shard, phase: { kind: "handover", to: refOf(to) } }, context),
    event: { type: "Normal", reason: "HandoverBegun", message },
    againMs: lookAgainMs,
  };
};

/** In sync as the topology and the owner say, close behind, and there to stay. */
const isTarget = (
  member: Session,
  shard: Shard,
  { away, owner }: OwnerContext & { readonly owner: Session },
): boolean => {
  const { serving, leaving } = member.report;
  if (leaving || away.has(member.pod) || !countsAsInSync(member, owner)) return false;
  return (
    serving.kind === "reader" &&
    serving.shard === shard.id &&
    serving.epoch === shard.epoch &&
    serving.state === "streaming"
  );
};

const countsAsInSync = ({ pod }: PodRef, { report: { serving } }: Session): boolean =>
  serving.kind === "owner" && serving.sync.members.includes(pod);

const furthestHomeFirst = (targets: readonly Session[], shard: Shard, home: string): readonly Session[] => [
  ...targets.filter(({ pod }) => pod === home),
  ...furthest(targets, shard, home),
];

/** Rule 13: committed once the owner says, as of this very handover, that it is frozen and that `to` holds everything; else given up by a write. */
export const goOnWithHandover = (
  shard: Shard,
  context: OwnerContext & { readonly to: PodRef },
): OwnerPlan => {
  const { to, sessions, memory } = context;
  const owner = ownerSession(shard, context);
  if (owner === undefined || !ownsIn(owner, shard)) return ownerMissing(shard, context);
  const target = sessions.get(to.pod);
  if (target === undefined || !isRef(to, target)) return abort(shard, context, `${to.pod} is gone`);
  if (target.report.leaving) return abort(shard, context, `${to.pod} is ending`);
  if (!countsAsInSync(target, owner)) return abort(shard, context, `${to.pod} is not in sync any more`);
  if (isFrozen(owner, target, { ...context, shard })) {
    const at = epoch(shard.epoch + 1);
    const message = `${to.pod} owns shard ${shard.id} from epoch ${at} on; ${owner.pod} handed it over`;
    return named(shard, target, { at, event: { type: "Normal", reason: "HandedOver", message } });
  }
  if (memory.phaseMs >= handoverMsMax) {
    return abort(shard, context, `it was not done within ${handoverMsMax / 1_000} s`);
  }
  return { ...unchanged(shard, context), againMs: Math.min(lookAgainMs, handoverMsMax - memory.phaseMs) };
};

/**
 * An owner that was told to go on takes writes again: its word from an earlier handover is none for this one. What it reports
 * counts from the first topology on that told of this handover.
 */
const isFrozen = (
  { report: { serving, topology } }: Session,
  target: Session,
  { shard, memory }: OwnerContext & { readonly shard: Shard },
): boolean => {
  if (serving.kind !== "owner" || serving.frozen === null) return false;
  if (memory.told === null || topology === null || compareStamps(topology, memory.told) < 0) return false;
  return placeIn(target, shard)?.epoch === shard.epoch;
};

const abort = (shard: Shard, context: OwnerContext, why: string): OwnerPlan => {
  const message = `The handover of shard ${shard.id} from ${shard.owner?.pod ?? ""} is given up: ${why}`;
  return {
    ...unchanged({ ...shard, phase: { kind: "stable" } }, context),
    event: { type: "Warning", reason: "HandoverAborted", message },
  };
};
