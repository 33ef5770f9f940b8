import test from "ava";
import fc from "fast-check";
import { slotCount } from "../../../core/ids.ts";
import { countSlots } from "../../../core/topology.ts";
import { forecast, type ForecastInput } from "../../../operator/plan/forecast.ts";
import type { Observed } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import type { ShardCluster, ShardClusterSpec } from "../../../operator/shardCluster.ts";
import { carriedOut, clusterOf, observedOf } from "../../support/planWorld.ts";

const nowhere = (): readonly [string, string] => ["", ""];

/** Everybody does what the plan says, until it says nothing more. */
const settled = (start: Observed): Observed => {
  let observed = start;
  for (let round = 0; round < 200; round++) {
    const next = plan(observed);
    if (
      next.ownership === observed.ownership &&
      JSON.stringify(next.workload) === JSON.stringify(observed.workload)
    )
      return observed;
    observed = carriedOut(observed, next, nowhere);
  }
  throw new Error("the plan did not come to rest");
};
const wishOf = (writers: number, readers: number, fields: Partial<ShardClusterSpec> = {}): ShardCluster => {
  const cluster = clusterOf(writers, readers);
  return { ...cluster, spec: { ...cluster.spec, ...fields } };
};
/** Slots of 4 KiB each. */
const atRest = (writers: number, readers: number, fields: Partial<ShardClusterSpec> = {}): Observed => {
  const observed = observedOf(wishOf(writers, readers, fields));
  const slotBytes = new Float64Array(slotCount).fill(4096);
  return settled({ ...observed, ledger: { ...observed.ledger, slotBytes } });
};
const forecastOf = (
  observed: Observed,
  wished: ShardCluster,
  fields: Partial<ForecastInput> = {},
): ReturnType<typeof forecast> =>
  forecast({ observed, wished, remade: new Set(), measured: null, ...fields });

test("what is forecast is what then comes about: slots of each shard, pods, readers", (t) => {
  const size = fc.record({
    writers: fc.integer({ min: 1, max: 9 }),
    readers: fc.integer({ min: 0, max: 20 }),
  });
  fc.assert(
    fc.property(size, size, (from, to) => {
      const observed = atRest(from.writers, from.readers);
      const wished = wishOf(to.writers, to.readers);
      const told = forecastOf(observed, wished);
      const after = settled({ ...observed, cluster: wished });
      const { shards = [], assignments = [] } = after.ownership ?? {};

      t.deepEqual(
        told.shards.filter(({ id }) => id < to.writers).map((shard) => shard.after.slots),
        shards.map(({ slots }) => countSlots(slots)),
      );
      const before = observed.ownership?.shards ?? [];
      for (const { id, before: had } of told.shards) t.is(had.slots, countSlots(before[id]?.slots ?? []));
      t.true(told.moves.every(({ slots, bytes }) => bytes === slots * 4096));

      const had = new Set(observed.pods.map(({ name }) => name));
      const has = new Set(after.pods.map(({ name }) => name));
      t.deepEqual(new Set([...had].filter((pod) => !has.has(pod))), new Set(told.podsRemoved));
      t.deepEqual(new Set([...has].filter((pod) => !had.has(pod))), new Set(told.podsAdded));
      t.deepEqual(told.podsRestarted, []);

      const expected = new Map(observed.ownership?.assignments.map(({ pod, shard }) => [pod, shard]));
      for (const pod of told.podsRemoved) expected.delete(pod);
      for (const { pod, to: shard } of told.readersMoved) if (shard !== null) expected.set(pod, shard);
      const counted = (all: Iterable<number>): number[] => {
        const counts = shards.map(() => 0);
        for (const shard of all) counts[shard] = (counts[shard] ?? 0) + 1;
        return counts.sort();
      };
      t.deepEqual(counted(expected.values()), counted(assignments.map(({ shard }) => shard)));

      t.deepEqual(forecastOf(after, wished).moves, [], "and there is nothing left to do");
    }),
    { numRuns: 60 },
  );
});

test("without a change there is nothing to tell, and the same question has the same answer", (t) => {
  const observed = atRest(3, 6);
  const told = forecastOf(observed, observed.cluster);
  t.deepEqual(told, forecastOf(observed, observed.cluster));
  const { moves, podsAdded, podsRemoved, podsRestarted, readersMoved, refusals, notes, estimate } = told;
  t.deepEqual(
    [moves, podsAdded, podsRemoved, podsRestarted, readersMoved, refusals, notes],
    [[], [], [], [], [], [], []],
  );
  t.is(estimate, null);
});

test("the time follows from the bound of each shard that gives, from what was measured, or is assumed, and says which", (t) => {
  const observed = atRest(3, 0);
  const bytes = 4096 * Math.ceil((slotCount - 3 * 3277) / 3);
  const bound = wishOf(5, 0, { rebalance: { paused: false, bytesPerSecondMax: "256Ki" } });
  const [slow, seen, none] = [
    forecastOf(observed, bound).estimate,
    forecastOf(observed, wishOf(5, 0), { measured: 1_000_000 }).estimate,
    forecastOf(observed, wishOf(5, 0)).estimate,
  ];
  t.is(slow?.basis, "bound");
  t.true(Math.abs((slow?.seconds ?? 0) - bytes / (256 * 1024)) < 2, `${slow?.seconds ?? 0} s`);
  t.deepEqual([seen?.basis, seen?.seconds], ["measured", Math.ceil((6553 * 4096) / 1_000_000)]);
  t.is(none?.basis, "assumed");
});

test("refusals are the plan's own, pauses and settings are told, and pods of another template are listed in their order", (t) => {
  const acks = { durability: { fsync: "everysec", acks: "inSync", minInSync: 1 } } as const;
  const observed = atRest(2, 2);
  const refused = forecastOf(observed, wishOf(3, 2, acks));
  t.deepEqual(
    refused.refusals.map(({ reason }) => reason),
    ["NotEnoughReaders"],
  );
  t.deepEqual([refused.moves, refused.podsAdded], [[], []]);
  const paused = forecastOf(observed, wishOf(3, 2, { rebalance: { paused: true, bytesPerSecondMax: "" } }));
  t.true(paused.moves.length > 0);
  t.true(paused.notes.some(({ reason }) => reason === "Paused"));
  t.deepEqual(paused.notes[0], { reason: "Setting", message: "rebalance.paused: from false to true" });
  const remade = forecastOf(observed, wishOf(1, 2), { remade: new Set(["reader", "writer"]) });
  t.deepEqual(remade.podsRestarted, ["demo-read-0", "demo-read-1", "demo-write-0"]);
});
