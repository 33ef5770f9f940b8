import { isoTime } from "../core/clock.ts";
import type { MoveReport } from "../core/message.ts";
import { countSlots, type Move } from "../core/topology.ts";
import { counted, several } from "./plan/events.ts";
import { amountOf, mebibytes, remaining, slotsIn, slotsOf } from "./plan/goals.ts";
import { loadsBySlot } from "./plan/loads.ts";
import type { Observed, Ownership } from "./plan/model.ts";
import { lacking, ownerFinder } from "./plan/reshard.ts";
import type { Condition, RebalanceStatus } from "./shardCluster.ts";

/** What people are told of slots on their way. Pure. */

export type RebalanceInput = Pick<Observed, "cluster" | "sessions" | "ledger"> & {
  readonly ownership: Ownership;
};

/** Null where every slot is where it is to be. Follows from what is stored and what the owners say, so that any leader tells the same. */
export const rebalanceStatus = (input: RebalanceInput): RebalanceStatus | null => {
  const { ownership, ledger, cluster } = input;
  const { rebalance, shards, moves } = ownership;
  if (rebalance === null) return null;
  const said = reportsOf(input);
  const pairs = moves.map((move) => ({ move, ...movedOf(move, said) }));
  const due = remaining(rebalance, shards);
  const unbegun = remaining(rebalance, shards, moves);
  const left =
    unbegun.length === 0
      ? { keys: 0, bytes: 0 }
      : amountOf(unbegun, loadsBySlot(shards, ledger.slotBytes, ownerFinder(input.sessions)));
  const sum = (of: (pair: (typeof pairs)[number]) => number): number =>
    pairs.reduce((all, pair) => all + of(pair), 0);
  const bytesDone = rebalance.done.bytes + sum(({ bytes }) => bytes);
  const bytesInAll = rebalance.done.bytes + sum(({ bytesInAll: all }) => all) + left.bytes;
  const seconds = Math.max(0.001, (ledger.wallMs - rebalance.sinceMs) / 1000);
  const bytesPerSecond = bytesDone / seconds;
  const slotsInAll = slotsIn(rebalance);
  const { paused } = cluster.spec.rebalance;
  return {
    writers: rebalance.writers,
    since: isoTime(rebalance.sinceMs),
    ...{ slotsDone: slotsInAll - slotsOf(due), slotsInAll },
    keysDone: Math.round(rebalance.done.keys + sum(({ keys }) => keys)),
    keysInAll: Math.round(rebalance.done.keys + sum(({ keysInAll }) => keysInAll) + left.keys),
    ...{ bytesDone: Math.round(bytesDone), bytesInAll: Math.round(bytesInAll) },
    bytesPerSecond: Math.round(bytesPerSecond),
    etaSeconds: paused || bytesDone === 0 ? -1 : Math.ceil((bytesInAll - bytesDone) / bytesPerSecond),
    moves: pairs.map(({ move, ...amounts }) => ({
      ...{ from: move.from, to: move.to, slots: countSlots(move.slots), stage: move.stage, ...amounts },
    })),
    waitingFor: paused ? "spec.rebalance.paused" : moves.length > 0 ? "" : waitingFor(input),
    lastError: rebalance.problem ?? "",
  };
};

export type Rebalancing = {
  readonly rebalance: RebalanceStatus | null;
  /** Slots are to move, though it is not decided yet which. */
  readonly unlevelled: boolean;
  readonly paused: boolean;
};

/** Condition Rebalancing. */
export const rebalancingCondition = ({ rebalance, unlevelled, paused }: Rebalancing): Condition => {
  const of = (status: Condition["status"], reason: string, message: string): Condition => ({
    ...{ type: "Rebalancing", status, reason, message },
  });
  if (rebalance === null) {
    if (!unlevelled) return of("False", "Balanced", "Every slot is where it is to be");
    const why = paused ? "stopped by spec.rebalance.paused" : "the owners have not told yet what each holds";
    return of(paused ? "False" : "True", paused ? "Paused" : "Waiting", `Slots are to move; ${why}`);
  }
  const { slotsDone, slotsInAll, moves, waitingFor: waits, etaSeconds, lastError, writers } = rebalance;
  const soFar = `${slotsDone} of ${counted(slotsInAll, "slot")} moved for ${counted(writers, "writer")}, ${mebibytes(rebalance.bytesDone)} of ${mebibytes(rebalance.bytesInAll)}`;
  const error = lastError === "" ? "" : `; last error: ${lastError}`;
  if (waits === "spec.rebalance.paused")
    return of("False", "Paused", `${soFar}; stopped by spec.rebalance.paused${error}`);
  if (moves.length === 0)
    return of("True", "Waiting", `${soFar}; waits: ${waits === "" ? "begins" : waits}${error}`);
  const pairs = [...new Set(moves.map(({ from, to }) => `shard ${from} to ${to}`))];
  const eta = etaSeconds < 0 ? "" : `, about ${etaSeconds} s left`;
  return of("True", "Moving", `${soFar}; now ${several(pairs)}${eta}${error}`);
};

/** Its part in condition Progressing; null where nothing is to move. */
export const movingOn = ({ status, reason, message }: Condition): Condition | null => {
  if (status === "True") return { type: "Progressing", status, reason: "Rebalancing", message };
  return reason === "Paused" ? { type: "Progressing", status, reason: "RebalancePaused", message } : null;
};

/** `37%` of the slots; empty where nothing moves. */
export const movingText = (rebalance: RebalanceStatus | null): string =>
  rebalance === null ? "" : `${Math.floor((rebalance.slotsDone / Math.max(1, rebalance.slotsInAll)) * 100)}%`;

/** Without what changes with every heartbeat: a status that differs in nothing else is not written at once. */
export const withoutRebalanceFigures = (
  rebalance: RebalanceStatus | null,
): Pick<RebalanceStatus, "writers" | "since" | "waitingFor" | "lastError"> | null => {
  if (rebalance === null) return null;
  const { writers, since, waitingFor: waits, lastError } = rebalance;
  return { writers, since, waitingFor: waits, lastError };
};

type Said = ReadonlyMap<string, MoveReport>;

const reportsOf = ({ sessions }: RebalanceInput): Said =>
  new Map(
    sessions.flatMap(({ report: { serving } }) =>
      serving.kind === "owner"
        ? serving.moves.map((move): [string, MoveReport] => [`${move.kind} ${move.id}`, move])
        : [],
    ),
  );

const movedOf = (
  { id }: Move,
  said: Said,
): { keys: number; keysInAll: number; bytes: number; bytesInAll: number } => {
  const [source, target] = [said.get(`source ${id}`), said.get(`target ${id}`)];
  const [keysInAll, bytesInAll] = [source?.keys ?? 0, source?.bytes ?? 0];
  return {
    ...{ keysInAll, bytesInAll },
    keys: Math.min(keysInAll, target?.keys ?? 0),
    bytes: Math.min(bytesInAll, target?.bytes ?? 0),
  };
};

/** Why no move is under way though slots are to move. */
const waitingFor = ({ ownership, cluster, sessions }: RebalanceInput): string => {
  const { rebalance, shards, assignments } = ownership;
  const ownerOf = ownerFinder(sessions);
  const { acks, minInSync } = cluster.spec.durability;
  const due = rebalance === null ? [] : remaining(rebalance, shards);
  const involved = new Set(due.flatMap(({ from, to }) => [from, to]));
  const targets = new Set(due.map(({ to }) => to));
  const whys = shards.flatMap((shard): readonly string[] => {
    if (!involved.has(shard.id)) return [];
    if (ownerOf(shard) === undefined) return [`shard ${shard.id} has no owner that serves`];
    if (shard.phase.kind !== "stable") return [`shard ${shard.id} changes its owner`];
    const lacks =
      targets.has(shard.id) && acks === "inSync" ? lacking(shard, { minInSync, assignments }) : null;
    return lacks === null ? [] : [lacks];
  });
  return whys.length === 0 ? "" : several(whys);
};
