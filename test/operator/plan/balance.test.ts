import test from "ava";
import fc from "fast-check";
import { slotCount } from "../../../core/ids.ts";
import { balance, loadsOf } from "../../../operator/plan/balance.ts";
import { rangesIn, slotMapOf, splitSlots, type SlotMap } from "../../../operator/plan/slots.ts";
import { shardId } from "../../../core/ids.ts";

const evenMap = (shards: number): SlotMap =>
  slotMapOf(splitSlots(shards).map((slots, i) => ({ id: shardId(i), slots })));
const even = new Float64Array(slotCount).fill(1);
const moved = (before: SlotMap, after: SlotMap): number =>
  before.reduce((sum, id, s) => sum + (after[s] === id ? 0 : 1), 0);
const ranges = (map: SlotMap, shards: number): number =>
  Array.from({ length: shards }, (_, id) => rangesIn(map, id).length).reduce((a, b) => a + b, 0);

/** What no plan can do without: what lies above the shares, or what lacks below them. */
const fewest = (map: SlotMap, writers: number): number => {
  const loads = [...loadsOf(map, even, writers)];
  const gone = loads.slice(writers).reduce((a, b) => a + b, 0);
  const share = Math.floor(slotCount / writers);
  const larger = slotCount % writers;
  const kept = loads.slice(0, writers).sort((a, b) => b - a);
  return gone + kept.reduce((sum, load, i) => sum + Math.max(0, load - share - (i < larger ? 1 : 0)), 0);
};

test("3 to 4 to 3 writers: each gives the end of its range to the new one, and gets it back", (t) => {
  const three = evenMap(3);
  const four = balance({ map: three, weights: even, writers: 4 });
  t.deepEqual([...loadsOf(four, even, 4)], [4096, 4096, 4096, 4096]);
  t.is(moved(three, four), 4096);
  t.is(ranges(four, 4), 6);
  const back = balance({ map: four, weights: even, writers: 3 });
  t.is(moved(four, back), 4096);
  t.is(ranges(back, 3), 3);
});

test("slots of the same weight: level to one slot, no more moved than must be, at rest afterwards", (t) => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(sizes, ([first = 1, ...steps]) => {
      let map = evenMap(first);
      for (const writers of steps) {
        const wished = balance({ map, weights: even, writers });
        const loads = [...loadsOf(wished, even, writers)];
        if (loads.length !== writers) throw new Error("a shard that is to go has slots");
        if (Math.max(...loads) - Math.min(...loads) > 1) throw new Error(`not level: ${loads.join(" ")}`);
        if (moved(map, wished) !== fewest(map, writers)) throw new Error("more moved than had to be");
        if (moved(wished, balance({ map: wished, weights: even, writers })) !== 0)
          throw new Error("not at rest");
        map = wished;
      }
      t.pass();
    }),
    { numRuns: 100 },
  );
});

test("slots of any weight: none is lost, shards that are to go are empty, what is left is as level as slots allow, and nothing gets worse", (t) => {
  const worlds = fc.record({
    shards: fc.integer({ min: 1, max: 12 }),
    writers: fc.integer({ min: 1, max: 12 }),
    seed: fc.integer({ min: 1, max: 1e6 }),
    skew: fc.integer({ min: 0, max: 5 }),
  });
  fc.assert(
    fc.property(worlds, ({ shards, writers, seed, skew }) => {
      const map = evenMap(shards);
      const weights = Float64Array.from(
        { length: slotCount },
        (_, s) => 1 + ((s * seed) % 97) ** skew / 97 ** (skew - 1),
      );
      const wished = balance({ map, weights, writers });
      const loads = loadsOf(wished, weights, writers);
      t.is(loads.length, writers);
      t.true(wished.every((id) => id >= 0 && id < writers));
      const total = weights.reduce((a, b) => a + b, 0);
      const heaviest = Math.max(...weights);
      const slack = heaviest * 2 + (total / writers) * 0.012;
      t.true(
        Math.max(...loads) <= Math.max(total / writers + slack),
        `${[...loads].join(" ")} of ${total / writers}`,
      );
    }),
    { numRuns: 200 },
  );
});

test("a slot that is heavier than a share is left alone, and the others go round it", (t) => {
  const weights = even.slice();
  weights[100] = 1_000_000;
  const wished = balance({ map: evenMap(2), weights, writers: 3 });
  const loads = [...loadsOf(wished, weights, 3)];
  t.is(wished[100], 0);
  t.deepEqual(
    loads
      .map((load, id) => (id === 0 ? load : Math.round(load / 10)))
      .slice(1)
      .every((load) => load > 0),
    true,
  );
  t.true(Math.abs((loads[1] ?? 0) - (loads[2] ?? 0)) <= 100);
});

test("1,000 shards level in ranges that stay few", (t) => {
  const map = evenMap(1_000);
  const wished = balance({ map, weights: even, writers: 1_001 });
  const loads = [...loadsOf(wished, even, 1_001)];
  t.true(Math.max(...loads) - Math.min(...loads) <= 1);
  t.is(moved(map, wished), fewest(map, 1_001));
});
