import test from "ava";
import type { Observed, Ownership, Plan } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import { clusterOf, observedOf, owning, reading, sessionOf } from "../../support/planWorld.ts";
import { epoch } from "../../../core/ids.ts";
import {
  following,
  ownerSaying,
  ownershipWith,
  planned,
  reader0,
  reader1,
  shardWith,
} from "../../support/ownerWorld.ts";

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

test("the first process of a writer is named owner in epoch 1, and stays it", (t) => {
  const ownership = owned();
  t.deepEqual(ownership.shards[0]?.owner, { pod: "demo-write-0", incarnation: "first" });
  t.is(ownership.shards[0]?.epoch as number, 1);
  const serving = sessionOf("demo-write-0", { version: 9, serving: owning(0, 1) });
  t.is(planWith(ownership, { sessions: [serving] }).ownership, ownership);
  t.is(planWith(ownership, { sessions: [] }).ownership, ownership, "an owner that is away stays named");
});

test("where the record of a shard is lost, its epochs go on from what pods hold; an older copy waits for a person", (t) => {
  const start = plan(observedOf(cluster)).ownership;
  const reader8 = sessionOf("demo-read-0", { version: 8, serving: reading(0, "streaming", 0, 7) });
  const at = (version: number, held: number, force: Observed["cluster"]["force"] = null): Plan => {
    const writer = sessionOf("demo-write-0", { version, serving: reading(0, "streaming", 0, held) });
    return plan(observedOf({ ...cluster, force }, { ownership: start, sessions: [writer, reader8] }));
  };
  t.is(at(8, 7).ownership.shards[0]?.epoch as number, 8);
  t.deepEqual(
    at(8, 6).troubles.map(({ reason }) => reason),
    ["NothingToPromote"],
  );
  t.is(at(8, 6, { shard: 0, epoch: 0 }).ownership.shards[0]?.owner?.pod, "demo-read-0");
});

test("a process that is leaving is not named owner", (t) => {
  const start = plan(observedOf(cluster)).ownership;
  const leaving = sessionOf("demo-write-0", { leaving: true });
  t.is(planWith(start, { sessions: [leaving] }).ownership.shards[0], start.shards[0]);
});

test("an owner whose process is not on record yet is put on it", (t) => {
  const ownership = { ...ownershipWith(shardWith()), processes: [] };
  const sessions = [ownerSaying(), following(reader0), following(reader1)];
  const after = planWith(ownership, { sessions });
  t.deepEqual(
    after.ownership.processes.map(({ uid, epoch: at }) => [uid, at]),
    [["uid of demo-write-0", epoch(3)]],
  );
  t.is(planWith(after.ownership, { sessions }).ownership, after.ownership);
});

test("moves of slots end with the epochs that they were begun in", (t) => {
  const move = { id: 1, from: 0, fromEpoch: 2, to: 0, toEpoch: 3, slots: [], stage: "copying" };
  const ownership = { ...ownershipWith(shardWith()), moves: [move] as unknown as Ownership["moves"] };
  t.deepEqual(planWith(ownership, { sessions: [ownerSaying()] }).ownership.moves, []);
  t.is(planned(shardWith()).ownership.moves.length, 0);
});
