import { epoch } from "../../core/ids.ts";
import { isAfter } from "../../core/request.ts";
import type { Shard } from "../../core/topology.ts";
import { writerPod } from "../shardCluster.ts";
import { several } from "./events.ts";
import { fence, ownerMissing, promote } from "./failover.ts";
import { beginHandover, goOnWithHandover } from "./handover.ts";
import type { Session } from "./model.ts";
import { ownsSlots } from "./slots.ts";
import { recordSync } from "./sync.ts";
import {
  furthest,
  named,
  ownerSession,
  ownsIn,
  placeIn,
  processOf,
  unchanged,
  waiting,
  type OwnerContext,
  type OwnerPlan,
} from "./ownerPlan.ts";

/**
 * Who orders one shard's writes, by the rules of docs/ownership.md. A process start owns nothing until it is named here, in
 * an epoch of its own. One step at a time: each is written before the next is planned, so that any operator can go on from any.
 */
export const planOwner = (shard: Shard, context: OwnerContext): OwnerPlan => {
  if (shard.owner === null) return firstOwner(shard, context);
  switch (shard.phase.kind) {
    case "stable":
      return context.forced ? fence(shard, context) : stable(shard, context);
    case "fencing":
      return promote(shard, { ...context, at: shard.phase.epoch });
    case "handover":
      return context.forced
        ? fence(shard, context)
        : goOnWithHandover(shard, { ...context, to: shard.phase.to });
  }
};

const stable = (shard: Shard, context: OwnerContext): OwnerPlan => {
  const owner = ownerSession(shard, context);
  if (owner === undefined) return ownerMissing(shard, context);
  if (ownsIn(owner, shard)) {
    if (context.process?.epoch !== shard.epoch) {
      return { ...unchanged(shard, context), process: processOf(shard, owner), againMs: 0 };
    }
    const recorded = recordSync(shard, owner);
    return recorded === null
      ? beginHandover(shard, { ...context, owner })
      : { ...unchanged(recorded, context) };
  }
  // Somebody was in sync with it, so it has served: that it does not any more is its own word.
  if (shard.inSync.length > 0) return ownerMissing(shard, context);
  return unchanged(shard, context);
};

/**
 * The first owner that is known of. Where pods hold something all the same, the record of their epochs was lost, or the
 * shard was there before: its epochs go on from theirs, with the copy that is furthest ahead.
 */
const firstOwner = (shard: Shard, context: OwnerContext): OwnerPlan => {
  const home = context.sessions.get(writerPod(context.name, shard.id));
  if (home === undefined || home.report.leaving) return unchanged(shard, context);
  const { holders } = context;
  const own = placeIn(home, shard);
  const [ahead] = furthest(holders, shard, home.pod);
  const most = ahead === undefined ? null : placeIn(ahead, shard);
  const at = epoch(Math.max(shard.epoch, ...holders.map((holder) => placeIn(holder, shard)?.epoch ?? 0)) + 1);
  const event = (
    owner: Session,
    type: "Normal" | "Warning" = "Normal",
  ): { type: typeof type; reason: string; message: string } => ({
    type,
    reason: "OwnerNamed",
    message: `${owner.pod} owns shard ${shard.id} from epoch ${at} on`,
  });
  // One that has no slots yet holds nothing that counts, whoever has what of a shard of that name that was removed.
  if (most === null || !ownsSlots(shard) || (own !== null && !isAfter(most, own)))
    return named(shard, home, { at, event: event(home) });
  if (context.forced && ahead !== undefined)
    return named(shard, ahead, { at, event: event(ahead, "Warning") });
  return waiting(shard, context, {
    reason: "NothingToPromote",
    message: `shard ${shard.id} has no owner on record, and ${several(holders.map(({ pod }) => pod))} hold more of it than ${home.pod}: choose the copy that is furthest ahead with edis failover ${shard.id} --force`,
  });
};
