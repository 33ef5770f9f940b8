import { decodeMessage, fromShardSchema, type Report } from "../../core/message.ts";
import type { Shard } from "../../core/topology.ts";
import type { Ownership } from "../../operator/plan/model.ts";
import type { SimWrite } from "./world/api.ts";
import { ownershipIn, ownershipOf } from "./world/ownership.ts";
import { endOperator, restartOperator, type World } from "./world/world.ts";

/** Steps of failovers, handovers and moves that a write to the API is. */
export const writtenSteps = [
  ...(["fencing", "promoted", "handover", "handedOver"] as const),
  ...(["copying", "freezing", "moved", "levelled", "shardGone"] as const),
] as const;
/** Steps that a process reports. */
export const saidSteps = ["promised", "activated", "frozen", "following", "slotsFrozen"] as const;
export type WrittenStep = (typeof writtenSteps)[number];
export type SaidStep = (typeof saidSteps)[number];

/** The operator that is about to carry out a step, or to hear of one, ends; another process takes its place. */
export type EndsOperator = {
  readonly at: WrittenStep | SaidStep;
  /** After the step, in virtual milliseconds. Null: before the write gets to the API. */
  readonly afterMs: number | null;
};

const restartMs = 300;

/** Answers whether it came about. */
export const endOperatorAt = (world: World, { at, afterMs }: EndsOperator): (() => boolean) => {
  const began = ownershipOf(world);
  let isMet = false;
  let hasEnded = false;
  const end = (name: string): void => {
    const operator = world.operators.get(name);
    if (operator === undefined || operator.running === null) return;
    world.trace("fault", `${name} ends at ${at}`);
    hasEnded = true;
    endOperator(world, operator);
    restartOperator(world, operator, restartMs);
  };
  const met = (name: string): void => {
    isMet = true;
    if (afterMs === null) end(name);
    else
      world.timeline.at(world.timeline.nowMs() + afterMs, null, () => {
        end(name);
      });
  };
  world.api.seesWrite = (write) => {
    if (isMet || !stepsOf(write).some((step) => step === at)) return true;
    met(write.by);
    return afterMs !== null;
  };
  world.network.seesFrame = (frame, _from, to) => {
    if (isMet || !world.operators.has(to)) return;
    const report = reportIn(frame);
    if (report !== null && said(report, { world, began }).some((step) => step === at)) met(to);
  };
  return () => hasEnded;
};

const stepsOf = ({ path, before, after }: SimWrite): readonly WrittenStep[] => {
  if (!path.includes("/shardtopologies/") || before === undefined) return [];
  return stepsBetween(ownershipIn(before), ownershipIn(after));
};

const stepsBetween = (before: Ownership, after: Ownership): readonly WrittenStep[] => {
  const steps: WrittenStep[] = before.shards.flatMap((was) => shardSteps(was, after.shards[was.id]));
  const was = new Map(before.moves.map((move) => [move.id, move]));
  if (after.moves.some(({ id }) => !was.has(id))) steps.push("copying");
  if (after.moves.some(({ id, stage }) => stage === "freezing" && was.get(id)?.stage === "copying"))
    steps.push("freezing");
  if (after.mapVersion > before.mapVersion) steps.push("moved");
  if (before.rebalance !== null && after.rebalance === null) steps.push("levelled");
  if (after.shards.length < before.shards.length) steps.push("shardGone");
  return steps;
};

const shardSteps = (was: Shard, is: Shard | undefined): readonly WrittenStep[] => {
  if (is === undefined) return [];
  const change = `${was.phase.kind} to ${is.phase.kind}`;
  if (change === "stable to fencing") return ["fencing"];
  if (change === "stable to handover") return ["handover"];
  if (change === "fencing to stable" && is.epoch > was.epoch) return ["promoted"];
  return change === "handover to stable" && is.epoch > was.epoch ? ["handedOver"] : [];
};

const reportIn = (frame: Uint8Array): Report | null => {
  try {
    const message = decodeMessage(fromShardSchema, frame);
    return message.kind === "report" ? message.report : null;
  } catch {
    // A client's, or another operator's.
    return null;
  }
};

type Around = { readonly world: World; readonly began: Ownership | null };

const said = ({ serving, promised }: Report, { world, began }: Around): readonly SaidStep[] => {
  const steps: SaidStep[] = [];
  const phase = promised === null ? undefined : ownershipOf(world)?.shards[promised.shard]?.phase;
  if (phase?.kind === "fencing" && phase.epoch === promised?.epoch) steps.push("promised");
  if (serving.kind !== "owner") return steps;
  const { shard, epoch, frozen, moves } = serving;
  const was = began?.shards[shard];
  if (was !== undefined && epoch > was.epoch) steps.push("activated");
  if (frozen !== null) steps.push("frozen");
  if (moves.some((move) => move.kind === "target" && move.state === "following")) steps.push("following");
  if (moves.some((move) => move.kind === "source" && move.frozen !== null)) steps.push("slotsFrozen");
  return steps;
};
