import test from "ava";
import type { Observed, Ownership, Plan } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import { clusterOf, observedOf, owning, reading, sessionOf } from "../../support/planWorld.ts";

const cluster = clusterOf(1, 2);
const first = sessionOf("demo-write-0");
/** One shard that `first` owns in epoch 1, with both readers assigned. */
const owned = (): Ownership => {
  const start = plan(observedOf(cluster)).ownership;
  const sessions = [first, sessionOf("demo-read-0"), sessionOf("demo-read-1")];
  return plan(observedOf(cluster, { ownership: start, sessions })).ownership;
};
const planWith = (ownership: Ownership, seen: Partial<Observed>): Plan =>
  plan(observedOf(cluster, { ownership, workload: { writers: 1, readers: 2 }, ...seen }));
const shardOf = ({ ownership: { shards } }: Plan): unknown => {
  const [shard] = shards;
  return [shard?.epoch, shard?.owner?.incarnation ?? null, shard?.phase];
};
const reasonsOf = ({ events }: Plan): string[] => events.map(({ reason }) => reason);

const restarted = { incarnation: "second", ageMs: 2_000 };
const reader = (ordinal: number, version: number, state: "connecting" | "copying" = "connecting") =>
  sessionOf(`demo-read-${ordinal}`, { version, serving: reading(0, state) });
const restoringFrom = (from: string): unknown => ({
  kind: "restoring",
  target: { pod: "demo-write-0", incarnation: "second" },
  from,
});

test("the first process of a writer is named owner in epoch 1, and stays it", (t) => {
  const ownership = owned();
  t.deepEqual(ownership.shards[0]?.owner, { pod: "demo-write-0", incarnation: "first" });
  t.is(ownership.shards[0]?.epoch as number, 1);
  const serving = sessionOf("demo-write-0", { version: 9, serving: owning(0, 1) });
  t.is(planWith(ownership, { sessions: [serving] }).ownership, ownership);
  t.is(planWith(ownership, { sessions: [] }).ownership, ownership, "an owner that is away stays named");
});

test("an owner that starts again with its data gets a new epoch", (t) => {
  const next = planWith(owned(), { sessions: [sessionOf("demo-write-0", { ...restarted, version: 9 })] });
  t.deepEqual(shardOf(next), [2, "second", { kind: "stable" }]);
});

test("where the record of a shard is lost, its epochs go on from what pods hold", (t) => {
  const start = plan(observedOf(cluster)).ownership;
  const reader8 = sessionOf("demo-read-0", { version: 8, serving: reading(0, "streaming", 0, 7) });
  const writer = sessionOf("demo-write-0", { version: 8 });
  const next = plan(observedOf(cluster, { ownership: start, sessions: [writer, reader8] }));
  t.is(next.ownership.shards[0]?.epoch as number, 8);
});

test("an owner that comes back empty copies from the reader furthest ahead, and owns when it holds all of that", (t) => {
  const readers = [reader(0, 5), reader(1, 8)];
  const begun = planWith(owned(), { sessions: [sessionOf("demo-write-0", restarted), ...readers] });
  t.deepEqual(shardOf(begun), [1, "first", restoringFrom("demo-read-1")]);
  t.deepEqual(reasonsOf(begun), ["Restoring"]);
  t.not(begun.againMs, null);

  const copying = { ...restarted, version: 8, serving: reading(0, "copying") };
  const half = planWith(begun.ownership, { sessions: [sessionOf("demo-write-0", copying), ...readers] });
  t.is(half.ownership, begun.ownership, "a copy that is not whole does not own");

  const whole = { ...restarted, version: 8, serving: reading(0, "streaming") };
  const done = planWith(begun.ownership, { sessions: [sessionOf("demo-write-0", whole), ...readers] });
  t.deepEqual(shardOf(done), [2, "second", { kind: "stable" }]);
  t.deepEqual(reasonsOf(done), ["Restored"]);
});

test("where the source goes away another is chosen, and a whole copy is good without it", (t) => {
  const begun = planWith(owned(), {
    sessions: [sessionOf("demo-write-0", restarted), reader(0, 5), reader(1, 8)],
  });
  const other = planWith(begun.ownership, { sessions: [sessionOf("demo-write-0", restarted), reader(0, 5)] });
  t.deepEqual(shardOf(other), [1, "first", restoringFrom("demo-read-0")]);

  const whole = sessionOf("demo-write-0", { ...restarted, version: 8, serving: reading(0, "streaming") });
  t.deepEqual(shardOf(planWith(begun.ownership, { sessions: [whole, reader(0, 5)] })), [
    2,
    "second",
    { kind: "stable" },
  ]);
});

test("another start of the writer in the middle of a restore begins it anew", (t) => {
  const readers = [reader(0, 5), reader(1, 8)];
  const begun = planWith(owned(), { sessions: [sessionOf("demo-write-0", restarted), ...readers] });
  const third = sessionOf("demo-write-0", { ...restarted, incarnation: "third" });
  const next = planWith(begun.ownership, { sessions: [third, ...readers] });
  t.deepEqual(shardOf(next), [
    1,
    "first",
    { kind: "restoring", target: { pod: "demo-write-0", incarnation: "third" }, from: "demo-read-1" },
  ]);
});

test("readers that hold part of a copy, another shard's data or nothing are no source", (t) => {
  const partial = reader(0, 5, "copying");
  const foreign = sessionOf("demo-read-1", { version: 9, serving: reading(7, "streaming"), ageMs: 1 });
  const late = sessionOf("demo-write-0", { ...restarted, ageMs: 10_000 });
  const next = planWith(owned(), { sessions: [late, partial, foreign] });
  t.deepEqual(shardOf(next), [2, "second", { kind: "stable" }]);
  t.deepEqual(reasonsOf(next), ["DataLost"]);
  t.regex(next.events[0]?.message ?? "", /none of demo-read-0 and demo-read-1 holds it/);
});

test("an owner that starts again with less than a reader has gets the rest from there first", (t) => {
  const behind = sessionOf("demo-write-0", { ...restarted, version: 6 });
  const begun = planWith(owned(), { sessions: [behind, reader(0, 5), reader(1, 8)] });
  t.deepEqual(shardOf(begun), [1, "first", restoringFrom("demo-read-1")]);
  const connected = sessionOf("demo-write-0", { ...restarted, version: 7, serving: reading(0, "streaming") });
  const waiting = planWith(begun.ownership, { sessions: [connected, reader(0, 5), reader(1, 8)] });
  t.is(waiting.ownership, begun.ownership);
  const level = sessionOf("demo-write-0", { ...restarted, version: 8, serving: reading(0, "streaming") });
  const done = planWith(begun.ownership, { sessions: [level, reader(0, 5), reader(1, 8)] });
  t.deepEqual(shardOf(done), [2, "second", { kind: "stable" }]);
  const alone = planWith(owned(), { sessions: [behind, reader(0, 5), reader(1, 6)] });
  t.deepEqual(reasonsOf(alone), ["OwnerNamed"], "nobody has more");
});

test("an empty owner waits for readers that have not spoken, first for their data, longer for any at all", (t) => {
  const ownership = owned();
  const at = (ageMs: number, leadingMs: number, ...others: ReturnType<typeof reader>[]): Plan =>
    planWith(ownership, {
      leadingMs,
      sessions: [sessionOf("demo-write-0", { ...restarted, ageMs }), ...others],
    });
  t.is(at(4_900, 60_000).ownership, ownership);
  t.is(
    at(60_000, 4_900).ownership,
    ownership,
    "an operator that has just begun to lead has not heard of all",
  );
  t.deepEqual(reasonsOf(at(5_000, 60_000)), ["DataLost"]);
  t.is(at(900, 60_000, reader(0, 5)).ownership, ownership);
  t.deepEqual(reasonsOf(at(1_000, 60_000, reader(0, 5))), ["Restoring"]);
  t.deepEqual(reasonsOf(at(0, 60_000, reader(0, 5), reader(1, 5))), ["Restoring"], "all have spoken");
});

test("a process that is leaving is not named owner", (t) => {
  const ownership = owned();
  const leaving = sessionOf("demo-write-0", { ...restarted, version: 9, leaving: true });
  t.is(planWith(ownership, { sessions: [leaving] }).ownership, ownership);
});
