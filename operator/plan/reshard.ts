import type { Shard } from "../../core/topology.ts";
import { bytesOfQuantity } from "../quantity.ts";
import { isUnlevelled, planGoals } from "./goals.ts";
import { bytesMostOf, loadsBySlot, type Loads } from "./loads.ts";
import type { Assignment, Observed, Ownership, PlannedEvent, Session } from "./model.ts";
import { lookAgainMs, planMoves } from "./moves.ts";
import { ownsSlots } from "./slots.ts";

/** A new leader hears of owners one by one, and of the sizes of their slots some seconds later. */
export const hearSizesMs = 5_000;

export type ReshardInput = {
  readonly observed: Observed;
  readonly before: Ownership;
  /** As the rest of the plan has them by now. */
  readonly shards: readonly Shard[];
  /** So many of them are to have slots. */
  readonly aim: number;
};
export type ReshardPlan = Pick<Ownership, "shards" | "moves" | "lastMove" | "mapVersion" | "rebalance"> & {
  readonly events: readonly PlannedEvent[];
  readonly againMs: number | null;
};

/** Slots on their way: where they are to be, and the next step of each move. */
export const planReshard = ({ observed, before, shards, aim }: ReshardInput): ReshardPlan => {
  const { cluster, ledger, leadingMs } = observed;
  const { paused, bytesPerSecondMax } = cluster.spec.rebalance;
  const ownerOf = ownerFinder(observed.sessions);
  let known: Loads | null = null;
  const loads = (): Loads => (known ??= loadsBySlot(shards, ledger.slotBytes, ownerOf));
  const bytesMost = (): number => bytesMostOf(shards, ledger.slotBytes, ownerOf);
  const isKnown =
    leadingMs >= hearSizesMs ||
    shards.every((shard) => !ownsSlots(shard) || (ownerOf(shard)?.slotSizes ?? null) !== null);
  const { rebalance, events } = planGoals({
    ...{ shards, writers: aim, before: before.rebalance, loads, bytesMost, paused, isKnown },
    wallMs: ledger.wallMs,
  });
  const { acks, minInSync } = cluster.spec.durability;
  const moved = planMoves({
    ...{ shards, moves: before.moves, lastMove: before.lastMove, mapVersion: before.mapVersion },
    ...{ rebalance, loads, ages: ledger.moves, ownerOf, paused },
    notReady: (shard) =>
      acks === "inSync" ? lacking(shard, { minInSync, assignments: before.assignments }) : null,
    bytesPerSecondMax: bytesOfQuantity(bytesPerSecondMax) ?? 0,
  });
  // Sizes come by themselves some time, and nobody looks because of them.
  const waits = !paused && !isKnown && rebalance === null && isUnlevelled(moved.shards, aim);
  return {
    ...moved,
    events: [...events, ...moved.events],
    againMs: moved.againMs ?? (waits ? lookAgainMs : null),
  };
};

/** What a shard that is to get slots lacks to answer for them as those do that give them. */
export const lacking = (
  { id, inSync }: Shard,
  { minInSync, assignments }: { readonly minInSync: number; readonly assignments: readonly Assignment[] },
): string | null => {
  const readers = assignments.filter(({ shard }) => shard === id).length;
  const needed = Math.max(minInSync, Math.min(1, readers));
  return inSync.length >= needed ? null : `shard ${id} has ${inSync.length} of ${needed} readers in sync`;
};

/** The process that owns a shard, where it serves it in its epoch. */
export const ownerFinder = (sessions: readonly Session[]): ((shard: Shard) => Session | undefined) => {
  const byPod = new Map(sessions.map((session) => [session.pod, session]));
  return ({ id, epoch, owner }) => {
    const session = owner === null ? undefined : byPod.get(owner.pod);
    if (session === undefined || session.incarnation !== owner?.incarnation) return undefined;
    const { serving, leaving } = session.report;
    const serves = serving.kind === "owner" && serving.shard === id && serving.epoch === epoch && !leaving;
    return serves ? session : undefined;
  };
};
