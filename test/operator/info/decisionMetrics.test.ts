import test from "ava";
import { Registry } from "prom-client";
import { epoch, shardId, slot } from "../../../core/ids.ts";
import type { Move, Phase, Shard } from "../../../core/topology.ts";
import { createDecisionMetrics } from "../../../operator/info/decisionMetrics.ts";
import type { Ownership } from "../../../operator/plan/model.ts";
import { ownershipWith, shardWith } from "../../support/ownerWorld.ts";

const all = new Set([shardId(0), shardId(1)]);
const at = (n: number, phase: Phase = { kind: "stable" }): Shard => shardWith({ epoch: epoch(n), phase });
const owning = (shard: Shard, fields: Partial<Ownership> = {}): Ownership => ({
  ...ownershipWith(shard),
  ...fields,
});

const start = () => {
  const register = new Registry();
  const decided = createDecisionMetrics(register);
  const value = async (name: string): Promise<number> => {
    const { values = [] } = (await register.getSingleMetric(`edis_${name}`)?.get()) ?? {};
    return values.reduce((sum, { value: n }) => sum + n, 0);
  };
  return { decided, value };
};

test("failovers and handovers are counted when the new owner is named, each as what it was", async (t) => {
  const { decided, value } = start();
  const states = [
    at(3),
    at(3, { kind: "fencing", epoch: epoch(4) }),
    at(4),
    at(4, { kind: "handover", to: { pod: "demo-write-0", incarnation: "second" } }),
    at(4),
    at(4, { kind: "handover", to: { pod: "demo-write-0", incarnation: "second" } }),
    at(5),
  ].map((shard) => owning(shard));
  states.forEach((after, i) => {
    decided("default/demo", { before: states[i - 1] ?? null, after, served: all, nowMs: i });
  });
  t.is(await value("operator_failovers_total"), 1);
  t.is(await value("operator_handovers_total"), 1);
});

test("moves are done where their slots are the target's, else dropped; bytes are those of each rebalance", async (t) => {
  const { decided, value } = start();
  const move = (id: number, from: number, to: number): Move => ({
    ...{ id, from: shardId(0), fromEpoch: epoch(3), to: shardId(1), toEpoch: epoch(1) },
    ...{ slots: [[slot(from), slot(to)]], stage: "freezing" },
  });
  const rebalance = (bytes: number, sinceMs = 1): Ownership["rebalance"] => ({
    ...{ writers: 2, sinceMs, goals: [], done: { keys: 1, bytes }, problem: null },
  });
  const other = { ...at(1), id: shardId(1), slots: [] };
  const before = owning(at(3), {
    shards: [at(3), other],
    moves: [move(1, 0, 9), move(2, 10, 19)],
    rebalance: rebalance(100),
  });
  const moved = { ...other, slots: [[slot(0), slot(9)]] as const };
  const after = { ...before, shards: [at(3), moved], moves: [], rebalance: rebalance(250) };
  decided("default/demo", { before, after, served: all, nowMs: 0 });
  t.is(await value("operator_moves_total"), 2);
  t.is(await value("operator_moved_bytes_total"), 150);
  decided("default/demo", {
    before: after,
    after: { ...after, rebalance: rebalance(30, 2) },
    served: all,
    nowMs: 0,
  });
  t.is(await value("operator_moved_bytes_total"), 180);
});

test("a shard with slots that nobody serves costs time until somebody does", async (t) => {
  const { decided, value } = start();
  const after = owning(at(3));
  const look = (nowMs: number, served: ReadonlySet<ReturnType<typeof shardId>>): void => {
    decided("default/demo", { before: after, after, served, nowMs });
  };
  look(0, all);
  look(1_000, new Set());
  look(1_500, new Set());
  look(3_000, all);
  look(9_000, all);
  t.is(await value("shard_unowned_seconds_total"), 2);
});
