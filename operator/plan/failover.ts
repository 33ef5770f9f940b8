import { epoch, type Epoch } from "../../core/ids.ts";
import { isAfter } from "../../core/request.ts";
import type { Shard } from "../../core/topology.ts";
import { writerPod } from "../shardCluster.ts";
import { several } from "./events.ts";
import type { PlannedEvent, Session } from "./model.ts";
import {
  furthest,
  hasVolumeOf,
  isDead,
  isRef,
  lookAgainMs,
  membersOf,
  named,
  ownerSession,
  placeIn,
  placeText,
  successor,
  suspectMs,
  unchanged,
  waiting,
  type OwnerContext,
  type OwnerPlan,
} from "./ownerPlan.ts";
import { ownsSlots } from "./slots.ts";

/** How long a failover that could go on waits for the word of more copies, one of which may be further ahead. */
const promisesMs = 300;
/** How long an empty pod waits for readers that have not said yet what they hold. */
const missReadersMs = 5_000;

/** The owner is not there, or says that it serves no more. */
export const ownerMissing = (shard: Shard, context: OwnerContext): OwnerPlan => {
  if (shard.inSync.length === 0) return restart(shard, context);
  const { owner } = shard;
  const members = membersOf(shard, context);
  const present = ownerSession(shard, context);
  if (owner === null || (members.length === 0 && present === undefined)) return nobody(shard, context);
  if (present === undefined && !isDead(shard, context)) {
    const missingMs = Math.min(context.goneMs(owner), context.leadingMs);
    if (missingMs < suspectMs) return { ...unchanged(shard, context), againMs: suspectMs - missingMs };
    const hearing = members.filter((member) => hears(member, shard));
    if (hearing.length > 0) {
      return waiting(shard, context, {
        reason: "OwnerUnreachable",
        message: `shard ${shard.id}: ${owner.pod} cannot be reached from here, but ${several(hearing.map(({ pod }) => pod))} still hears it: it is left alone`,
      });
    }
  }
  const isBack = present !== undefined || successor(shard, context) !== undefined;
  if (!context.rules.automatic && !isBack) return askFirst(shard, context);
  return fence(shard, context);
};

/** Whether a follower has heard of its source, in this epoch, a moment ago. */
const hears = ({ report: { serving }, silentMs }: Session, shard: Shard): boolean =>
  serving.kind === "reader" &&
  serving.shard === shard.id &&
  serving.epoch === shard.epoch &&
  serving.state === "streaming" &&
  serving.heardMs !== null &&
  serving.heardMs + silentMs < suspectMs;

/** Rule 10 (a): whoever hears of it obeys nobody below the next epoch. */
export const fence = (shard: Shard, context: OwnerContext): OwnerPlan => {
  const at = epoch(shard.epoch + 1);
  const how = isDead(shard, context) ? "has ended" : context.forced ? "is to be replaced" : "is gone";
  const message = `${shard.owner?.pod ?? ""}, the owner of shard ${shard.id}, ${how}: another is looked for`;
  return {
    ...unchanged({ ...shard, phase: { kind: "fencing", epoch: at } }, context),
    event: { type: "Normal", reason: "OwnerGone", message },
    trouble: failingOver(shard, "copies are asked what they hold"),
  };
};

type Promotion = OwnerContext & {
  /** The epoch that is to begin. */
  readonly at: Epoch;
};

/** Rule 10 (c) to (e): once nobody can hold a lease of the old epoch any more, the copy that holds most begins the next. */
export const promote = (shard: Shard, promotion: Promotion): OwnerPlan => {
  if (promotion.forced) return promoteByForce(shard, promotion);
  const { sessions, rules, memory } = promotion;
  const members = membersOf(shard, promotion);
  const own = shard.owner === null ? undefined : sessions.get(shard.owner.pod);
  const ownPromised = own !== undefined && hasPromised(own, shard, promotion);
  const steppedDown = ownPromised && isRef(shard.owner, own);
  const promised = members.filter((member) => hasPromised(member, shard, promotion));
  if (promised.length === 0 && !steppedDown) {
    if (members.length === 0) return nobody(shard, promotion);
    // Who is on record may follow another shard by now: there is no word to wait for where there is nothing to lose.
    const bare = beginBare(shard, promotion);
    if (bare !== null) return bare;
    const who = several(members.map(({ pod }) => pod));
    return going(shard, promotion, { what: `waiting for the word of ${who}`, againMs: lookAgainMs });
  }
  const leftMs = steppedDown ? 0 : leaseLeftMs(shard, promotion, promised);
  if (leftMs > 0)
    return going(shard, promotion, { what: "the owner's lease has to run out", againMs: leftMs });
  const unheard = members.filter(
    (member) => !hasPromised(member, shard, promotion) && !member.report.leaving,
  );
  if (unheard.length > 0 && memory.phaseMs < promisesMs) {
    const who = several(unheard.map(({ pod }) => pod));
    return going(shard, promotion, {
      what: `waiting for the word of ${who}`,
      againMs: promisesMs - memory.phaseMs,
    });
  }
  // Its copy may be all that is left of what was acknowledged.
  const reading = promised.filter(isReading);
  if (reading.length > 0) {
    const who = several(reading.map(({ pod }) => pod));
    return going(shard, promotion, { what: `${who} reads its copy`, againMs: lookAgainMs });
  }
  const candidates = (ownPromised ? [...promised, own] : promised).filter(
    (session) => placeIn(session, shard) !== null && !session.report.leaving,
  );
  const [best] = furthest(candidates, shard, writerPod(promotion.name, shard.id));
  if (best === undefined) return nobody(shard, promotion);
  if (!rules.automatic && best.pod !== shard.owner?.pod) return askFirst(shard, promotion);
  return named(shard, best, { at: promotion.at, event: failedOver(shard, best, promotion.at) });
};

/** Milliseconds in which the owner may still hold a lease: none once it has ended. */
const leaseLeftMs = (shard: Shard, promotion: Promotion, promised: readonly Session[]): number => {
  if (isDead(shard, promotion)) return 0;
  const { memory, rules, leadingMs } = promotion;
  const infosMs = rules.leaseMs - Math.min(memory.grantMs, leadingMs);
  const membersMs = promised.map(({ report, silentMs }) => (report.promised?.leftMs ?? 0) - silentMs);
  // The owner's lease from its members is the shortest of theirs: one that is over is enough.
  return Math.max(0, infosMs, Math.min(...membersMs));
};

const hasPromised = ({ report: { promised } }: Session, shard: Shard, { at }: Promotion): boolean =>
  promised?.shard === shard.id && promised.epoch >= at;

/** It served another shard, or has just started: what it has of the one that it has promised for is on its volume still. */
const isReading = ({ report: { serving, held, leaving } }: Session): boolean =>
  serving.kind === "nothing" && held === null && !leaving;

const failedOver = (shard: Shard, best: Session, at: Epoch): PlannedEvent => {
  const held = placeText(placeIn(best, shard));
  const before = shard.owner?.pod ?? "";
  const message =
    best.pod === before
      ? `${best.pod} came back with shard ${shard.id} as of ${held} and owns it from epoch ${at} on`
      : `${best.pod}, which holds shard ${shard.id} up to ${held}, owns it from epoch ${at} on in place of ${before}`;
  return { type: "Normal", reason: "FailedOver", message };
};

/**
 * A person's word: what is within reach is all there is. Nobody who could still be reached is left out, and a lease that can be
 * waited for is; what an owner that nobody reaches still acknowledges is lost.
 */
const promoteByForce = (shard: Shard, promotion: Promotion): OwnerPlan => {
  const { memory, rules, holders, sessions, name, at } = promotion;
  const own = ownerSession(shard, promotion);
  const isOver = isDead(shard, promotion) || (own !== undefined && hasPromised(own, shard, promotion));
  const leaseMs = isOver ? 0 : rules.leaseMs - Math.min(memory.phaseMs, memory.grantMs, promotion.leadingMs);
  const unheard = holders.filter((holder) => !hasPromised(holder, shard, promotion));
  const againMs = Math.max(leaseMs, unheard.length > 0 ? suspectMs - memory.phaseMs : 0);
  if (againMs > 0) return going(shard, promotion, { what: "forced by a person", againMs });
  const heard = holders.filter((holder) => hasPromised(holder, shard, promotion) && !holder.report.leaving);
  const [best = sessions.get(writerPod(name, shard.id))] = furthest(heard, shard, writerPod(name, shard.id));
  if (best === undefined) return nobody(shard, promotion);
  const missing = shard.inSync.filter((pod) => pod !== best.pod && !heard.some((other) => other.pod === pod));
  const without = [...(isOver ? [] : [shard.owner?.pod ?? ""]), ...missing];
  const lost = without.length === 0 ? "" : `; what only ${several(without)} held is lost`;
  const message = `As a person demanded, ${best.pod}, which holds ${placeText(placeIn(best, shard))} of shard ${shard.id}, owns it from epoch ${at} on${lost}`;
  return named(shard, best, { at, event: { type: "Warning", reason: "ForcedFailover", message } });
};

/**
 * Rule 11: nobody else is in sync, so only a process on the owner's own volume can go on, and only one that holds the shard; or one that
 * holds nothing, as the owner's process did when it was named, on the volume that this process had: the epoch's first record would be
 * there, had anything been answered.
 */
const restart = (shard: Shard, context: OwnerContext): OwnerPlan => {
  const { owner } = shard;
  const next = successor(shard, context);
  if (owner === null || next === undefined || next.report.leaving) return gone(shard, context);
  if (!isDead(shard, context)) {
    return waiting(shard, context, {
      reason: "NothingToPromote",
      message: `shard ${shard.id}: ${owner.pod} came up anew, but its former process is not known to have ended and may still take writes; if you know that it has: edis failover ${shard.id} --force`,
    });
  }
  const place = placeIn(next, shard);
  const least = context.process?.held ?? null;
  if (place === null && least === null && hasVolumeOf(next, context.process)) {
    const message = `${next.pod} came up again and owns shard ${shard.id} from epoch ${shard.epoch + 1} on: its former process had ended before it wrote anything`;
    return named(shard, next, { event: { type: "Normal", reason: "OwnerNamed", message } });
  }
  if (place === null || (least !== null && isAfter(least, place))) return nobody(shard, context);
  const message = `${next.pod} came up again with shard ${shard.id} as of ${placeText(place)} and owns it from epoch ${shard.epoch + 1} on`;
  return named(shard, next, { event: { type: "Normal", reason: "OwnerNamed", message } });
};

/** The owner is away, and no other copy is in sync. */
const gone = (shard: Shard, context: OwnerContext): OwnerPlan => {
  const missingMs = Math.min(shard.owner === null ? 0 : context.goneMs(shard.owner), context.leadingMs);
  if (missingMs < suspectMs) return { ...unchanged(shard, context), againMs: suspectMs - missingMs };
  return nobody(shard, context);
};

/** Nobody within reach is known to hold everything that was acknowledged. */
const nobody = (shard: Shard, context: OwnerContext): OwnerPlan => {
  const begun = beginBare(shard, context) ?? beginEmpty(shard, context);
  if (begun !== null) return begun;
  const { owner, inSync } = shard;
  const missing = [owner?.pod ?? "", ...inSync].filter((pod) => {
    const session = context.sessions.get(pod);
    return session === undefined || placeIn(session, shard) === null;
  });
  const who = several([...new Set(missing)]);
  const within = furthest(context.holders, shard, "")[0];
  const instead =
    within === undefined
      ? "no copy is within reach"
      : `${within.pod} holds ${placeText(placeIn(within, shard))}`;
  const message = `shard ${shard.id} has no owner until ${who} is back with its data; ${instead}. To go on without what is missing: edis failover ${shard.id} --force`;
  return waiting(shard, context, { reason: "NothingToPromote", message });
};

/** A shard without slots holds nothing that counts, whoever had what of it: its home pod begins anew. Null where that is not so. */
const beginBare = (shard: Shard, context: OwnerContext): OwnerPlan | null => {
  const home = context.sessions.get(writerPod(context.name, shard.id));
  if (ownsSlots(shard) || home === undefined || home.report.leaving || !isDead(shard, context)) return null;
  const at = epochAfter(shard);
  const message = `${home.pod} owns shard ${shard.id} from epoch ${at} on: the shard has no slots yet, so nothing is missing`;
  return named(shard, home, { at, event: { type: "Normal", reason: "OwnerNamed", message } });
};

const epochAfter = ({ epoch: before, phase }: Shard): Epoch =>
  phase.kind === "fencing" ? phase.epoch : epoch(before + 1);

/**
 * A cluster that is to keep nothing goes on empty where nobody holds anything any more: the old process has ended, everybody in
 * sync follows the shard and has nothing of it, and readers had time to say what they hold. Null where that is not so.
 */
const beginEmpty = (shard: Shard, context: OwnerContext): OwnerPlan | null => {
  const { rules, name, sessions, holders, readers, leadingMs } = context;
  const home = sessions.get(writerPod(name, shard.id));
  const follows = (pod: string): boolean => {
    const serving = sessions.get(pod)?.report.serving;
    return serving?.kind === "reader" && serving.shard === shard.id;
  };
  if (!rules.ephemeral || home === undefined || home.report.leaving || holders.length > 0) return null;
  if (!isDead(shard, context) || !shard.inSync.every((pod) => pod === home.pod || follows(pod))) return null;
  const waitedMs = Math.min(home.ageMs, leadingMs);
  const isSilent = readers.some((pod) => !sessions.has(pod));
  if (isSilent && waitedMs < missReadersMs) {
    return { ...unchanged(shard, context), againMs: Math.min(lookAgainMs, missReadersMs - waitedMs) };
  }
  const why = readers.length === 0 ? "it has no readers" : `none of ${several(readers)} holds it`;
  const message = `${home.pod} came up without the data of shard ${shard.id} and ${why}: the shard goes on empty; what had been written to it is lost`;
  const at = epochAfter(shard);
  return named(shard, home, { at, event: { type: "Warning", reason: "DataLost", message } });
};

const askFirst = (shard: Shard, context: OwnerContext): OwnerPlan =>
  waiting(shard, context, {
    reason: "NothingToPromote",
    message: `shard ${shard.id}: ${shard.owner?.pod ?? ""} is gone, and spec.failover.automatic is false: to promote an in-sync reader, edis failover ${shard.id} --force`,
  });

const failingOver = (shard: Shard, what: string) =>
  ({
    shard: shard.id,
    reason: "FailingOver",
    message: `shard ${shard.id} gets another owner than ${shard.owner?.pod ?? ""}: ${what}`,
  }) as const;

const going = (
  shard: Shard,
  context: OwnerContext,
  { what, againMs }: { readonly what: string; readonly againMs: number },
): OwnerPlan => ({ ...unchanged(shard, context), trouble: failingOver(shard, what), againMs });
