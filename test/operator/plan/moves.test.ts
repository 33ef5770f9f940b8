import test from "ava";
import { epoch, version } from "../../../core/ids.ts";
import type { MoveReport } from "../../../core/message.ts";
import { countSlots } from "../../../core/topology.ts";
import type { MoveAge, Observed, Ownership, Plan } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import { carriedOut, clusterOf, observedOf } from "../../support/planWorld.ts";

const nowhere = (): readonly [string, string] => ["", ""];
const counts = (ownership: Ownership | null): number[] =>
  (ownership?.shards ?? []).map(({ slots }) => countSlots(slots));

const settled = (start: Observed): Observed => {
  let observed = start;
  for (let round = 0; round < 60; round++) {
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
/** One plan, and everybody does what it says. */
const step = (observed: Observed): { planned: Plan; observed: Observed } => {
  const planned = plan(observed);
  return { planned, observed: carriedOut(observed, planned, nowhere) };
};
const ownedBy = (observed: Observed): Ownership => {
  if (observed.ownership === null) throw new Error("nothing is owned");
  return observed.ownership;
};
const until = (start: Observed, isThere: (plan: Plan) => boolean): { planned: Plan; observed: Observed } => {
  let observed = start;
  for (let round = 0; round < 60; round++) {
    const next = step(observed);
    if (isThere(next.planned)) return next;
    ({ observed } = next);
  }
  throw new Error("it did not come that far");
};
const aged = (observed: Observed, age: Partial<MoveAge>): Observed => {
  const ages = (observed.ownership?.moves ?? []).map(({ id }): [number, MoveAge] => [
    id,
    { stageMs: 0, idleMs: 0, thawed: 0, ...age },
  ]);
  return { ...observed, ledger: { ...observed.ledger, moves: new Map(ages) } };
};
type TargetReport = Extract<MoveReport, { kind: "target" }>;
/** The same, where targets say this of their moves. */
const targetsSay = (observed: Observed, say: (move: TargetReport) => TargetReport): Observed => ({
  ...observed,
  sessions: observed.sessions.map((session) => {
    const { serving } = session.report;
    if (serving.kind !== "owner") return session;
    const moves = serving.moves.map((move) => (move.kind === "target" ? say(move) : move));
    return { ...session, report: { ...session.report, serving: { ...serving, moves } } };
  }),
});
const wishing = (
  observed: Observed,
  writers: number,
  fields: Partial<Observed["cluster"]["spec"]> = {},
): Observed => {
  const { spec } = clusterOf(writers, 3);
  return { ...observed, cluster: { ...observed.cluster, spec: { ...spec, ...fields } } };
};
const three = (): Observed => settled(observedOf(clusterOf(3, 3)));
const isFreezing = ({ ownership }: Plan): boolean =>
  ownership.moves.some(({ stage }) => stage === "freezing");
const isCopying = ({ ownership }: Plan): boolean => ownership.moves.some(({ stage }) => stage === "copying");

test("3 to 4 writers: a shard, its owner, then moves that copy, freeze, and change the map once for all", (t) => {
  const begun = until(wishing(three(), 4), isCopying);
  const { ownership } = begun.planned;
  t.deepEqual(counts(ownership), [5461, 5461, 5462, 0]);
  t.deepEqual(
    ownership.moves.map(({ id, from, to, stage, toEpoch }) => [id, from, to, stage, toEpoch]),
    [
      [1, 0, 3, "copying", 1],
      [2, 1, 3, "copying", 1],
      [3, 2, 3, "copying", 1],
    ] as never,
  );
  const frozen = step(begun.observed);
  t.true(frozen.planned.ownership.moves.every(({ stage }) => stage === "freezing"));
  t.is(frozen.planned.ownership.mapVersion, ownership.mapVersion);
  const done = step(frozen.observed);
  t.deepEqual(counts(done.planned.ownership), [4096, 4096, 4096, 4096]);
  t.deepEqual([done.planned.ownership.moves, done.planned.ownership.lastMove], [[], 3]);
  t.deepEqual([done.planned.ownership.mapVersion], [ownership.mapVersion + 1] as never);
  t.true(done.planned.ownership.shards.every(({ mapVersion }) => mapVersion === ownership.mapVersion + 1));
  const after = step(done.observed);
  t.is(after.planned.ownership.rebalance, null);
  t.deepEqual(
    after.planned.events.map(({ reason }) => reason),
    ["RebalanceFinished"],
  );
});

test("a new leader that was not told yet what the slots hold looks again soon, as nothing else tells it to", (t) => {
  const grown = until(wishing(three(), 4), ({ ownership }) => ownership.shards.length === 4).observed;
  const early = { ...grown, ownership: { ...ownedBy(grown), moves: [], rebalance: null }, leadingMs: 400 };
  const planned = plan(early);
  t.deepEqual([planned.ownership.rebalance, planned.ownership.moves], [null, []]);
  t.true((planned.againMs ?? Infinity) <= 250);
});

test("3 to 5 to 2 in the middle: moves that are not wanted any more end, none goes two ways, the shards go last", (t) => {
  const begun = until(wishing(three(), 5), isFreezing);
  const turned = step(wishing(begun.observed, 2));
  t.is(turned.planned.ownership.rebalance?.writers, 2);
  t.true(turned.planned.ownership.moves.every(({ to }) => to < 2));
  const ended = settled(turned.observed);
  t.deepEqual(counts(ended.ownership), [8192, 8192]);
  t.deepEqual(ended.workload, { writers: 2, readers: 3 });
  const again = settled(wishing(ended, 4));
  t.deepEqual(counts(again.ownership), [4096, 4096, 4096, 4096]);
});

test("a shard that comes back begins above the epochs it had before", (t) => {
  const four = settled(wishing(three(), 4));
  const back = settled(wishing(four, 3));
  t.is(back.ownership?.epochFloor, epoch(1));
  const again = settled(wishing(back, 4));
  t.is(again.ownership?.shards[3]?.epoch, epoch(2));
});

test("a change of an epoch, at either end and at any stage, ends the move; another one begins", (t) => {
  for (const isThere of [isCopying, isFreezing])
    for (const changed of [0, 3]) {
      const { observed } = until(wishing(three(), 4), isThere);
      const before = ownedBy(observed);
      const shards = before.shards.map((shard) =>
        shard.id === changed ? { ...shard, epoch: epoch(shard.epoch + 1) } : shard,
      );
      const { ownership } = plan({ ...observed, ownership: { ...before, shards } });
      const ids = before.moves
        .filter(({ from, to }) => from === changed || to === changed)
        .map(({ id }) => id);
      t.false(ownership.moves.some(({ id }) => ids.includes(id)));
      t.is(ownership.shards[changed]?.slots, before.shards[changed]?.slots);
    }
});

test("nothing is carried out before the target holds all that the source froze", (t) => {
  const { observed } = until(wishing(three(), 4), isFreezing);
  const behind = observed.sessions.map((session) => {
    const { serving } = session.report;
    if (serving.kind !== "owner") return session;
    const moves = serving.moves.map((move) =>
      move.kind === "target" ? { ...move, holds: version(6) } : move,
    );
    return { ...session, report: { ...session.report, serving: { ...serving, moves } } };
  });
  const { ownership } = plan({ ...observed, sessions: behind });
  t.true(ownership === observed.ownership);
});

test("a freeze that lasts goes back to copying, rests, and is not taken up again by what was said of the first", (t) => {
  const { observed } = until(wishing(three(), 4), isFreezing);
  const silent = observed.sessions.map((session) =>
    session.pod === "demo-write-3"
      ? { ...session, report: { ...session.report, serving: { kind: "nothing" as const } } }
      : session,
  );
  const thawed = plan({ ...aged(observed, { stageMs: 2_001 }), sessions: silent });
  t.true(thawed.ownership.moves.every(({ stage }) => stage === "copying"));
  // The sources have not heard of it: they still say where they froze.
  const still = aged({ ...observed, ownership: thawed.ownership }, { stageMs: 1_500, thawed: 1 });
  t.true(plan(still).ownership === thawed.ownership);
  const heard = carriedOut(observed, thawed, nowhere);
  t.is(plan(aged(heard, { stageMs: 500, thawed: 1 })).ownership, thawed.ownership);
  t.true(isFreezing(plan(aged(heard, { stageMs: 1_500, thawed: 1 }))));
});

test("paused: nothing begins, what copies is taken out, what is frozen is brought to its end; unpaused it goes on", (t) => {
  const paused = { rebalance: { paused: true, bytesPerSecondMax: "" } };
  const copying = until(wishing(three(), 4), isCopying);
  const stopped = step(wishing(copying.observed, 4, paused));
  t.deepEqual(stopped.planned.ownership.moves, []);
  t.true(plan(stopped.observed).ownership === stopped.planned.ownership);
  const frozen = until(wishing(three(), 4), isFreezing);
  const ended = step(wishing(frozen.observed, 4, paused));
  t.deepEqual(counts(ended.planned.ownership), [4096, 4096, 4096, 4096]);
  t.deepEqual(counts(settled(wishing(stopped.observed, 4)).ownership), [4096, 4096, 4096, 4096]);
});

test("slots freeze together: not while the target copies others that come on, and then all of them", (t) => {
  const { observed } = until(wishing(three(), 4), isCopying);
  const stages = (state: "copying" | "connecting", idleMs: number): string[] =>
    plan(
      targetsSay(aged(observed, { idleMs }), (move) =>
        move.id === 1 ? { ...move, state, holds: null } : move,
      ),
    ).ownership.moves.map(({ stage }) => stage);
  t.deepEqual(stages("copying", 100), ["copying", "copying", "copying"]);
  t.deepEqual(stages("copying", 2_500), ["copying", "freezing", "freezing"]);
  t.deepEqual(stages("connecting", 100), ["copying", "freezing", "freezing"]);
  t.deepEqual(
    plan(aged(observed, { idleMs: 100 })).ownership.moves.map(({ stage }) => stage),
    ["freezing", "freezing", "freezing"],
  );
});

test("a move of which nothing comes for 30 s ends with the reason, and is tried again", (t) => {
  const { observed } = until(wishing(three(), 4), isCopying);
  const stuck = targetsSay(aged(observed, { idleMs: 30_001 }), (move) => ({
    ...move,
    state: "connecting",
    problem: "connection refused",
  }));
  const { ownership, events } = plan(stuck);
  t.deepEqual(
    ownership.moves.map(({ id }) => id),
    [4, 5, 6],
  );
  t.regex(ownership.rebalance?.problem ?? "", /connection refused/);
  t.deepEqual(
    events.map(({ reason }) => reason),
    ["MoveFailed", "MoveFailed", "MoveFailed"],
  );
});

test("slots that hold much move by bytes: the full shard gives, and moves are no larger than they may be", (t) => {
  const start = three();
  const slotBytes = Float64Array.from({ length: 16384 }, (_, s) => (s < 5461 ? 1024 * 1024 : 1024));
  const known: Observed = { ...start, ledger: { ...start.ledger, slotBytes } };
  const { planned } = until(wishing(known, 4), ({ ownership }) => ownership.moves.some(({ to }) => to === 3));
  const goal = planned.ownership.rebalance?.goals.find(({ to }) => to === 3);
  t.true((goal?.slots ?? []).every(([, to]) => to < 5461));
  for (const { slots } of planned.ownership.moves) t.true(countSlots(slots) <= 64);
  t.true(planned.ownership.moves.filter(({ from }) => from === 0).length <= 4);
});

test("by itself it levels only what is far apart, and then rests", (t) => {
  const start = three();
  const sized = (bytes: number): Observed => ({
    ...start,
    ledger: {
      ...start.ledger,
      slotBytes: new Float64Array(16384).map((_, s) => (s < 5461 ? bytes : 100_000)),
    },
  });
  t.true(plan(sized(120_000)).ownership === start.ownership);
  const uneven = plan(sized(300_000));
  t.is(uneven.ownership.rebalance?.writers, 3);
  const rest = settled(sized(300_000));
  t.true(plan(rest).ownership === rest.ownership);
  t.is(rest.ownership?.rebalance, null);
});

test("scale-down is refused where the others have no room; the message says what to set", (t) => {
  const start = three();
  const full = start.sessions.map((session) => ({
    ...session,
    report: { ...session.report, bytes: 60 * 2 ** 20 },
  }));
  const memory = { max: "64Mi", eviction: "noeviction" } as const;
  const { ownership, refusals } = plan(wishing({ ...start, sessions: full }, 2, { memory }));
  t.true(ownership === start.ownership);
  t.deepEqual(refusals, [
    {
      reason: "NoRoom",
      message:
        "Cannot go down to 2 writers: the shards hold 180 MiB, and 2 writers of 64 MiB (memory.max) are to hold 115 MiB at most; set spec.writers to 4 or more, or raise spec.memory.max",
    },
  ]);
  t.deepEqual(
    plan(wishing({ ...start, sessions: full }, 2, { memory: { ...memory, eviction: "allkeys-lru" } }))
      .refusals,
    [],
  );
});

test("with acks: inSync, slots wait for the new shard's readers, and shards that could get none are not made", (t) => {
  const inSync = { durability: { fsync: "everysec", acks: "inSync", minInSync: 1 } } as const;
  const start = three();
  t.deepEqual(
    plan(wishing(start, 4, inSync)).refusals.map(({ reason }) => reason),
    ["NotEnoughReaders"],
  );
  const wished = wishing(start, 4, { ...inSync, readers: 4 });
  let { observed } = until(
    wished,
    ({ ownership }) => ownership.shards[3]?.owner !== undefined && ownership.shards[3].owner !== null,
  );
  ({ observed } = step(observed));
  const waiting = plan(observed);
  t.is(waiting.ownership.rebalance?.writers, 4);
  t.deepEqual(waiting.ownership.moves, []);
  t.true(waiting.ownership.assignments.some(({ shard }) => shard === 3));
  const before = waiting.ownership;
  const shards = before.shards.map((shard) =>
    shard.id === 3 ? { ...shard, inSync: ["demo-read-3"] } : shard,
  );
  t.is(plan({ ...observed, ownership: { ...before, shards } }).ownership.moves.length, 3);
});
