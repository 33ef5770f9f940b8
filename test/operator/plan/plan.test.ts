import test from "ava";
import fc from "fast-check";
import { slotCount, shardId } from "../../../core/ids.ts";
import { countSlots } from "../../../core/topology.ts";
import type { Observed, Ownership, Plan } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import {
  carriedOut,
  clusterOf,
  observedOf,
  podOf,
  readersByShard,
  sessionOf,
  type NodeOf,
} from "../../support/planWorld.ts";

const spread =
  (nodes: number): NodeOf =>
  (pod) => {
    const node = Buffer.from(pod).reduce((sum, byte) => (sum * 31 + byte) % 9973, 7) % nodes;
    return [`node-${node}`, `zone-${node % 3}`];
  };

const anywhere: NodeOf = () => ["", ""];

/** Plans and carries out until a plan changes nothing; fails where that takes too long. */
const settle = (start: Observed, nodeOf: NodeOf): { observed: Observed; last: Plan } => {
  let observed = start;
  for (let round = 0; round < 60; round++) {
    const next = plan(observed);
    if (next.ownership === observed.ownership && sameWorkload(next, observed))
      return { observed, last: next };
    observed = carriedOut(observed, next, nodeOf);
  }
  throw new Error("the plan did not come to rest within 60 rounds");
};
const sameWorkload = ({ workload }: Plan, { workload: before }: Observed): boolean =>
  JSON.stringify(workload) === JSON.stringify(before);

const slotOwners = ({ shards }: Ownership): number[] => {
  const owners = new Array<number>(slotCount).fill(0);
  for (const { slots } of shards)
    for (const [from, to] of slots) for (let s = from; s <= to; s++) owners[s] = (owners[s] ?? 0) + 1;
  return owners;
};

const scaling = fc.array(
  fc.record({ writers: fc.integer({ min: 1, max: 9 }), readers: fc.integer({ min: 0, max: 30 }) }),
  {
    minLength: 1,
    maxLength: 8,
  },
);

test("the first plan shares the slots out evenly, in ranges, and owns nothing yet", (t) => {
  const { ownership, workload, refusals } = plan(observedOf(clusterOf(3, 6)));
  t.deepEqual(
    ownership.shards.map(({ slots }) => slots),
    [[[0, 5460]], [[5461, 10921]], [[10922, 16383]]] as never,
  );
  t.deepEqual(
    ownership.shards.map(({ epoch, owner }) => [epoch, owner]),
    [
      [0, null],
      [0, null],
      [0, null],
    ] as never,
  );
  t.deepEqual([workload, refusals, ownership.assignments], [{ writers: 3, readers: 6 }, [], []]);
});

test("whatever is scaled, the plan comes to rest: every slot owned once, slots and readers level, epochs never back", (t) => {
  fc.assert(
    fc.property(scaling, fc.integer({ min: 1, max: 6 }), (steps, nodes) => {
      const nodeOf = spread(nodes);
      let observed = observedOf(clusterOf(1, 0));
      for (const [i, { writers, readers }] of steps.entries()) {
        const before = observed.ownership;
        observed = { ...observed, cluster: { ...clusterOf(writers, readers), generation: i + 1 } };
        const settled = settle(observed, nodeOf);
        observed = settled.observed;
        const { ownership } = settled.last;

        if (!slotOwners(ownership).every((owners) => owners === 1))
          throw new Error("a slot is not owned once");
        const withSlots = ownership.shards.filter(({ slots }) => countSlots(slots) > 0);
        const readersOf = readersByShard(ownership);
        const counts = withSlots.map(({ id }) => readersOf.get(id)?.length ?? 0);
        if (counts.reduce((a, b) => a + b, 0) !== readers) throw new Error("a reader has no shard");
        if (Math.max(...counts) - Math.min(...counts) > 1) throw new Error(`not level: ${counts.join(" ")}`);
        for (const shard of before?.shards ?? []) {
          const after = ownership.shards[shard.id];
          if (after !== undefined && after.epoch < shard.epoch) throw new Error("an epoch went back");
        }
        if (settled.last.workload.writers !== writers) throw new Error("not as many writers as wished");
        if (ownership.moves.length > 0 || ownership.rebalance !== null) throw new Error("slots still move");
        const owned = ownership.shards.map(({ slots }) => countSlots(slots));
        if (Math.max(...owned) - Math.min(...owned) > 1)
          throw new Error(`slots not level: ${owned.join(" ")}`);
      }
    }),
    { numRuns: 60 },
  );
  t.pass();
});

test("readers go off their owner's node, then off its zone, where there is a choice", (t) => {
  const nodes: NodeOf = (pod) => {
    const i = Number(pod.at(-1)) % 3;
    return [`node-${i}`, `zone-${i}`];
  };
  const { last } = settle(observedOf(clusterOf(3, 6)), nodes);
  for (const { pod, shard } of last.ownership.assignments) {
    t.not(nodes(pod)[0], nodes(`demo-write-${shard}`)[0], `${pod} stands beside its owner`);
  }
});

test("the pods of a shard stand on nodes of their own, where there are as many", (t) => {
  const nodes: NodeOf = (pod) => [`node-${Number(pod.slice(pod.lastIndexOf("-") + 1)) % 3}`, ""];
  const { last } = settle(observedOf(clusterOf(3, 6)), nodes);
  for (const [shard, readers] of readersByShard(last.ownership)) {
    const used = new Set([`demo-write-${shard}`, ...readers].map((pod) => nodes(pod)[0]));
    t.is(used.size, 3, `shard ${shard} stands on ${[...used].join(", ")}`);
  }
});

test("readers that come one by one are exchanged while they are empty, so that none has to stand beside its owner", (t) => {
  const node = (pod: string): string => `node-${pod.at(-1) ?? ""}`;
  const start = observedOf(clusterOf(3, 3));
  let { ownership } = plan(start);
  const names = ["demo-write-0", "demo-write-1", "demo-write-2", "demo-read-0", "demo-read-1", "demo-read-2"];
  for (let there = 1; there <= names.length; there++) {
    const sessions = names.slice(0, there).map((pod) => sessionOf(pod, { node: node(pod) }));
    ownership = plan({ ...start, workload: { writers: 3, readers: 3 }, sessions, ownership }).ownership;
  }
  t.is(ownership.assignments.length, 3);
  t.deepEqual(
    ownership.assignments.filter(({ pod, shard }) => node(pod) === `node-${shard}`),
    [],
  );
});

test("a pod whose node is not known yet, and that does not run, waits for its shard", (t) => {
  const start = plan(observedOf(clusterOf(1, 2))).ownership;
  const pods = [podOf("demo-write-0", "a"), podOf("demo-read-0", "b"), podOf("demo-read-1")];
  const { ownership } = plan(observedOf(clusterOf(1, 2), { ownership: start, pods }));
  t.deepEqual(
    ownership.assignments.map(({ pod }) => pod),
    ["demo-read-0"],
  );
});

test("planning is near linear: 10 times the cluster looks at no more than 13 times as much", (t) => {
  const work = (shards: number, readers: number): number => {
    const { observed } = settle(observedOf(clusterOf(shards, readers)), spread(50));
    let looks = 0;
    const counted = <T extends object>(object: T): T =>
      new Proxy(object, {
        get: (target, name, receiver): unknown => {
          looks++;
          const value: unknown = Reflect.get(target, name, receiver);
          const isPlain = !(ArrayBuffer.isView(value) || value instanceof Map || value instanceof Set);
          return typeof value === "object" && value !== null && isPlain ? counted(value) : value;
        },
      });
    // Half of the readers are new, a tenth goes.
    const before = observed.ownership;
    if (before === null) throw new Error("no ownership");
    const assignments = before.assignments.filter((_, i) => i % 2 === 0);
    const cluster = clusterOf(shards, readers * 0.9);
    const startMs = performance.now();
    plan({ ...counted({ ...observed, ownership: { ...before, assignments } }), cluster });
    t.log(
      `${shards} shards, ${readers} readers: ${looks} looks, ${(performance.now() - startMs).toFixed(0)} ms counted`,
    );
    const real = performance.now();
    plan({ ...observed, ownership: { ...before, assignments }, cluster });
    t.log(`uncounted: ${(performance.now() - real).toFixed(1)} ms`);
    return looks;
  };
  const small = work(100, 1_000);
  const large = work(1_000, 10_000);
  t.true(large <= small * 13, `${small} looks grew to ${large}`);
});

test("readers that are in sync with an owner that is gone stay until another has taken its place, whatever is wished", (t) => {
  const { observed } = settle(observedOf(clusterOf(1, 2)), anywhere);
  const { ownership } = observed;
  if (ownership === null) throw new Error("there is no ownership");
  const inSync = ["demo-read-0", "demo-read-1"];
  const shards = ownership.shards.map((shard) => ({ ...shard, inSync }));
  const wished = {
    ...{ ...observed, cluster: clusterOf(1, 0), ownership: { ...ownership, shards } },
    sessions: observed.sessions.filter(({ pod }) => pod !== "demo-write-0"),
  };
  const next = plan(wished);
  t.is(next.workload.readers, 2);
  t.deepEqual(
    next.ownership.assignments.map(({ pod }) => pod),
    inSync,
  );
  // The owner is back: it leaves them out, and they go once that is on record.
  const back = plan({ ...wished, sessions: observed.sessions });
  t.is(back.workload.readers, 2);
  t.deepEqual(back.ownership.assignments, []);
  const recorded = shards.map((shard) => ({ ...shard, inSync: [] }));
  const done = plan({
    ...wished,
    sessions: observed.sessions,
    ownership: { ...ownership, shards: recorded },
  });
  t.is(done.workload.readers, 0);
});

test("a reader that follows another shard by now is called back while it is on record with an owner that is gone", (t) => {
  const { observed } = settle(observedOf(clusterOf(2, 2)), anywhere);
  const { ownership } = observed;
  if (ownership === null) throw new Error("there is no ownership");
  const { assignments } = ownership;
  const moved = assignments.find(({ shard }) => shard === 1);
  if (moved === undefined) throw new Error("shard 1 has no reader");
  // It holds all of shard 1, and shard 0 counts on it still.
  const shards = ownership.shards.map((shard) =>
    shard.id === 0 ? { ...shard, inSync: [moved.pod] } : shard,
  );
  const seen = { ...observed, ownership: { ...ownership, shards } };
  t.deepEqual(plan(seen).ownership.assignments, assignments);
  const sessions = observed.sessions.filter(({ pod }) => pod !== "demo-write-0");
  t.deepEqual(
    plan({ ...seen, sessions }).ownership.assignments.find(({ pod }) => pod === moved.pod),
    { pod: moved.pod, shard: shardId(0) },
  );
});

test("readers that were let go while their owner was silently gone are called back to take its place", (t) => {
  const { observed } = settle(observedOf(clusterOf(1, 2)), anywhere);
  const { ownership } = observed;
  if (ownership === null) throw new Error("there is no ownership");
  const { assignments } = ownership;
  const shards = ownership.shards.map((shard) => ({ ...shard, inSync: ["demo-read-0", "demo-read-1"] }));
  // Down to no readers, in the second in which nobody knew that the owner had gone.
  const wished = { ...observed, cluster: clusterOf(1, 0), ownership: { ...ownership, shards } };
  const letGo = plan(wished).ownership;
  t.deepEqual(letGo.assignments, []);
  const sessions = observed.sessions.filter(({ pod }) => pod !== "demo-write-0");
  t.deepEqual(plan({ ...wished, sessions, ownership: letGo }).ownership.assignments, assignments);
});
