import test from "ava";
import { epoch, shardId, version } from "../../../core/ids.ts";
import type { Place } from "../../../core/request.ts";
import type { Session } from "../../../operator/plan/model.ts";
import { reading, sessionOf } from "../../support/planWorld.ts";
import {
  again,
  cluster,
  dead,
  fencing,
  following,
  gone,
  lasting,
  ownerSaying,
  ownershipWith,
  planned,
  promising,
  reader0,
  reader1,
  reasonsOf,
  remembering,
  shardOf,
  shardWith,
  stateOf,
  troublesOf,
  writer,
} from "../../support/ownerWorld.ts";

const kept = [3, writer, "first", "stable"];
const fenced = [3, writer, "first", "fencing"];
const readers = [following(reader0), following(reader1)];
const both = [promising(reader0), promising(reader1)];

test("an owner that is gone is fenced after a second, one that is known to have ended at once", (t) => {
  t.deepEqual(stateOf(planned(shardWith(), { sessions: readers, ...gone(999) })), kept);
  t.is(planned(shardWith(), { sessions: readers, ...gone(400) }).againMs, 600);
  const after = planned(shardWith(), { sessions: readers, ...gone(1_000) });
  t.deepEqual([stateOf(after), troublesOf(after)], [fenced, ["FailingOver"]]);
  t.deepEqual(shardOf(after).phase, fencing);
  t.deepEqual(stateOf(planned(shardWith(), { sessions: readers, ...dead })), fenced);
  t.deepEqual(
    stateOf(planned(shardWith(), { sessions: readers, ended: new Set([`uid of ${writer}`]) })),
    fenced,
  );
  const restarted = sessionOf(writer, { incarnation: "second", version: 9 });
  t.deepEqual(stateOf(planned(shardWith(), { sessions: [...readers, restarted] })), fenced);
  const twin = sessionOf(writer, { incarnation: "second", version: 9, uid: "another" });
  t.deepEqual(stateOf(planned(shardWith(), { sessions: [...readers, twin], ...gone(10) })), kept);
});

test("a pod in place of one that was deleted by force takes over once it knows that the former has ended", (t) => {
  const solo = shardWith({ inSync: [] });
  const twin = (ended: readonly { uid: string; startedAtMs: number }[]): Session =>
    again(9, { uid: "another", ended });
  const stateWith = (session: Session) => stateOf(planned(solo, { sessions: [session], ...gone(30_000) }));
  t.deepEqual(stateWith(twin([])), [3, writer, "first", "stable"]);
  t.deepEqual(stateWith(twin([{ uid: `uid of ${writer}`, startedAtMs: 999 }])), [
    3,
    writer,
    "first",
    "stable",
  ]);
  t.deepEqual(
    stateWith(
      twin([
        { uid: "between", startedAtMs: 1_500 },
        { uid: `uid of ${writer}`, startedAtMs: 1_000 },
      ]),
    ),
    [4, writer, "second", "stable"],
  );
});

test("a new leader waits as long before it takes an owner for gone that it has never heard of", (t) => {
  t.deepEqual(stateOf(planned(shardWith(), { sessions: readers, leadingMs: 900 })), kept);
  t.deepEqual(stateOf(planned(shardWith(), { sessions: readers, leadingMs: 1_000 })), fenced);
});

test("an owner that a member of S still hears is left alone, unless it has ended", (t) => {
  const hearing = [following(reader0, { heardMs: 950 }), following(reader1)];
  const after = planned(shardWith(), { sessions: hearing, ...gone(30_000) });
  t.deepEqual([stateOf(after), troublesOf(after)], [kept, ["OwnerUnreachable"]]);
  const late = [following(reader0, { heardMs: 950, silentMs: 60 }), following(reader1)];
  t.deepEqual(stateOf(planned(shardWith(), { sessions: late, ...gone(30_000) })), fenced);
  const past = [following(reader0, { heardMs: 0, at: 2 }), following(reader1)];
  t.deepEqual(stateOf(planned(shardWith(), { sessions: past, ...gone(30_000) })), fenced);
  t.deepEqual(stateOf(planned(shardWith(), { sessions: hearing, ...dead })), fenced);
});

test("with nobody of S within reach nothing is begun, and it is said who is missing", (t) => {
  const outsider = following(reader1);
  const after = planned(shardWith({ inSync: [reader0] }), { sessions: [outsider], ...dead });
  t.deepEqual([stateOf(after), troublesOf(after)], [kept, ["NothingToPromote"]]);
  t.regex(
    after.troubles[0]?.message ?? "",
    /demo-write-0 and demo-read-0.*demo-read-1 holds version 9 of epoch 3.*edis failover 0 --force/,
  );
  const later = planned(shardWith({ inSync: [reader0], phase: fencing }), {
    sessions: [promising(reader1)],
    ...dead,
  });
  t.deepEqual([stateOf(later), troublesOf(later)], [fenced, ["NothingToPromote"]]);
});

test("an owner that says itself that it serves no more is replaced", (t) => {
  const stepped = sessionOf(writer, { version: 9 });
  t.deepEqual(stateOf(planned(shardWith(), { sessions: [...readers, stepped] })), fenced);
  t.deepEqual(
    stateOf(planned(shardWith({ inSync: [] }), { sessions: [...readers, stepped] })),
    kept,
    "it has not begun yet",
  );
});

test("nobody is promoted before a member of S has promised", (t) => {
  const shard = shardWith({ phase: fencing });
  t.deepEqual(stateOf(planned(shard, { sessions: readers, ...dead })), fenced);
  const before = following(reader0, { promised: { shard: shardId(0), epoch: epoch(3), leftMs: 0 } });
  t.deepEqual(stateOf(planned(shard, { sessions: [before], ...dead })), fenced);
  const outsider = planned(shardWith({ phase: fencing, inSync: [reader0] }), {
    sessions: [following(reader0), promising(reader1)],
    ...dead,
  });
  t.deepEqual(stateOf(outsider), fenced);
});

test("a lease that the owner may still hold runs out first: info's, and that of one member", (t) => {
  const shard = shardWith({ phase: fencing });
  const at = (grantMs: number, leftMs: readonly number[], silentMs = 0): readonly unknown[] => {
    const sessions = [reader0, reader1].map((pod, i) => promising(pod, leftMs[i] ?? 0, { silentMs }));
    const after = planned(shard, { sessions, ...gone(1_500), ...remembering({ grantMs }) });
    return [shardOf(after).epoch, after.againMs];
  };
  t.deepEqual(at(1_900, [0, 0]), [3, 100]);
  t.deepEqual(at(2_000, [0, 0])[0], 4);
  t.deepEqual(at(Infinity, [700, 800]), [3, 700]);
  t.deepEqual(at(Infinity, [0, 800])[0], 4, "the shortest counts: the owner needs them all");
  t.deepEqual(at(Infinity, [700, 800], 700)[0], 4, "time goes on since the report");
  const heir = planned(shard, { sessions: both, ...gone(1_500), leadingMs: 1_200 });
  t.deepEqual(
    [shardOf(heir).epoch, heir.againMs],
    [3, 800],
    "the operator before may have granted until then",
  );
  const ended = [promising(reader0, 1_500), promising(reader1, 1_500)];
  t.is(
    Number(shardOf(planned(shard, { sessions: ended, ...dead, ...remembering({ grantMs: 10 }) })).epoch),
    4,
  );
});

test("the member that holds most begins the new epoch, with nobody in sync and its process on record", (t) => {
  const shard = shardWith({ phase: fencing });
  const after = planned(shard, {
    sessions: [promising(reader0, 0, { version: 8 }), promising(reader1)],
    ...dead,
  });
  t.deepEqual(stateOf(after), [4, reader1, "first", "stable"]);
  t.deepEqual([shardOf(after).inSync, shardOf(after).syncSeq], [[], 0]);
  t.deepEqual(after.ownership.processes, [
    {
      ...{ shard: shardId(0), epoch: epoch(4), uid: `uid of ${reader1}`, startedAtMs: 1_000 },
      held: { epoch: epoch(3), version: version(9) },
    },
  ]);
  t.deepEqual(reasonsOf(after), ["FailedOver"]);
  t.deepEqual(after.workload, { writers: 1, readers: 2 });
  t.true(
    after.ownership.assignments.some(({ pod }) => pod === reader1),
    "it stays with its shard",
  );
});

test("others of S have a moment to say what they hold; those that are ending are not chosen", (t) => {
  const shard = shardWith({ phase: fencing });
  const one = [promising(reader0), following(reader1)];
  const early = planned(shard, { sessions: one, ...dead, ...remembering({ phaseMs: 100 }) });
  t.deepEqual([shardOf(early).epoch, early.againMs] as const, [epoch(3), 200]);
  t.deepEqual(stateOf(planned(shard, { sessions: one, ...dead, ...remembering({ phaseMs: 300 }) })), [
    ...[4, reader0, "first", "stable"],
  ]);
  const leaving = [promising(reader0, 0, { leaving: true }), promising(reader1, 0, { version: 7 })];
  t.is(stateOf(planned(shard, { sessions: leaving, ...dead }))[1], reader1);
});

test("a member that has promised and still reads its copy from its volume is waited for", (t) => {
  const shard = shardWith({ phase: fencing });
  const promised = { shard: shardId(0), epoch: epoch(4), leftMs: 0 };
  const back = again(9, { promised });
  const readingIt = sessionOf(reader0, { promised });
  const waited = planned(shard, { sessions: [back, readingIt, promising(reader1)], ...dead });
  t.deepEqual([stateOf(waited), troublesOf(waited)], [fenced, ["FailingOver"]]);
  t.regex(waited.troubles[0]?.message ?? "", /demo-read-0 reads its copy/);
  const there = planned(shard, { sessions: [back, promising(reader0, 0, { version: 10 })], ...dead });
  t.is(stateOf(there)[1], reader0);
  // One that follows and has nothing has lost its volume.
  const blank = sessionOf(reader0, { promised, serving: reading(0, "connecting", 0, 0) });
  t.is(stateOf(planned(shard, { sessions: [back, blank], ...dead }))[1], writer);
  const ending = sessionOf(reader0, { promised, leaving: true });
  t.is(stateOf(planned(shard, { sessions: [back, ending, promising(reader1)], ...dead }))[1], writer);
});

test("the old owner's pod is a candidate as well: it wins with more, or where all hold the same", (t) => {
  const shard = shardWith({ phase: fencing });
  const back = (at: number): ReturnType<typeof again> =>
    again(at, { promised: { shard: shardId(0), epoch: epoch(4), leftMs: 0 } });
  t.deepEqual(stateOf(planned(shard, { sessions: [...both, back(10)] })), [4, writer, "second", "stable"]);
  t.deepEqual(stateOf(planned(shard, { sessions: [...both, back(9)] })), [4, writer, "second", "stable"]);
  t.deepEqual(stateOf(planned(shard, { sessions: [...both, back(8)] })), [4, reader0, "first", "stable"]);
  t.deepEqual(stateOf(planned(shard, { sessions: [...both, back(0)] })), [4, reader0, "first", "stable"]);
  t.deepEqual(stateOf(planned(shard, { sessions: [back(10)] })), fenced, "not without a member of S");
});

test("an owner that stepped down itself needs no lease to run out, and may begin the next epoch without a member of S", (t) => {
  const shard = shardWith({ phase: fencing });
  const stepped = promising(writer);
  const seen = { ...remembering({ grantMs: 5 }) };
  t.deepEqual(stateOf(planned(shard, { ...seen, sessions: [stepped] })), [4, writer, "first", "stable"]);
  const ahead = [stepped, promising(reader0, 1_900), promising(reader1, 1_900)];
  t.is(Number(shardOf(planned(shard, { ...seen, sessions: ahead })).epoch), 4);
});

test("without a reader in sync only the owner's own volume goes on, once its old process is known to have ended", (t) => {
  const shard = shardWith({ inSync: [], syncSeq: 5 });
  t.deepEqual(stateOf(planned(shard, { sessions: [again(9)] })), [4, writer, "second", "stable"]);
  const alone = planned(shard, { sessions: [], ...gone(5_000), ...dead });
  t.deepEqual([stateOf(alone), troublesOf(alone)], [kept, ["NothingToPromote"]]);
  const twin = planned(shard, {
    sessions: [sessionOf(writer, { incarnation: "second", version: 9, uid: "another" })],
  });
  t.deepEqual([stateOf(twin), troublesOf(twin)], [kept, ["NothingToPromote"]]);
  t.regex(twin.troubles[0]?.message ?? "", /may still take writes/);
  const older = planned(shard, { sessions: [again(9)] }, { held: { epoch: epoch(3), version: version(10) } });
  t.deepEqual(troublesOf(older), ["NothingToPromote"], "that is another volume than the one it began with");
  // It had nothing when it was named, and ended before its first record: the volume that it had has nothing still.
  const had = [{ uid: `uid of ${writer}`, startedAtMs: 1_000 }];
  const blank = (before: typeof had, began: Place | null) =>
    planned(shard, { cluster: lasting, sessions: [again(0, { had: before })], ...dead }, { held: began });
  t.deepEqual(stateOf(blank(had, null)), [4, writer, "second", "stable"]);
  t.regex(blank(had, null).events[0]?.message ?? "", /before it wrote anything/);
  t.deepEqual(troublesOf(blank([], null)), ["NothingToPromote"], "it may be another volume");
  t.deepEqual(troublesOf(blank([{ uid: `uid of ${writer}`, startedAtMs: 900 }], null)), ["NothingToPromote"]);
  const began = { epoch: epoch(2), version: version(5) };
  t.deepEqual(troublesOf(blank(had, began)), ["NothingToPromote"], "what it began with is not there");
});

test("an empty volume never goes on by itself, but in a cluster that keeps nothing, where nobody holds anything", (t) => {
  const empty = sessionOf(writer, { incarnation: "second" });
  const blank = [sessionOf(reader0), sessionOf(reader1)];
  for (const shard of [shardWith({ inSync: [] }), shardWith({ inSync: [reader0] })]) {
    t.deepEqual(troublesOf(planned(shard, { cluster: lasting, sessions: [empty, ...blank] })).length, 1);
  }
  // A shard that is to get its first slots has nothing to lose.
  for (const inSync of [[], [reader0]]) {
    const bare = planned(shardWith({ inSync, slots: [] }), { cluster: lasting, sessions: [empty] });
    t.deepEqual([stateOf(bare), reasonsOf(bare)], [[4, writer, "second", "stable"], ["OwnerNamed"]]);
  }
  // Nor is there any word to wait for: who is on record follows another shard by now, and promises nothing for this one.
  const elsewhere = sessionOf(reader0, {
    serving: { ...following(reader0).report.serving, shard: shardId(1) } as Session["report"]["serving"],
  });
  const waited = planned(shardWith({ inSync: [reader0], slots: [], phase: fencing }), {
    ...{ cluster: lasting, sessions: [empty, elsewhere] },
    ...remembering({}),
  });
  t.deepEqual([stateOf(waited), reasonsOf(waited)], [[4, writer, "second", "stable"], ["OwnerNamed"]]);
  const shard = shardWith({ inSync: [] });
  const lost = planned(shard, { sessions: [empty, ...blank] });
  t.deepEqual([stateOf(lost), reasonsOf(lost)], [[4, writer, "second", "stable"], ["DataLost"]]);
  // Who is on record and does another shard's work, or has not begun, may have all that is left on its volume.
  const counted = shardWith({ inSync: [reader0], phase: fencing });
  const promised = { shard: shardId(0), epoch: epoch(4), leftMs: 0 };
  const serves = (other: Session["report"]["serving"]) =>
    planned(counted, {
      sessions: [empty, sessionOf(reader0, { serving: other, promised }), sessionOf(reader1)],
    });
  t.deepEqual(stateOf(serves({ kind: "nothing" })), fenced);
  t.deepEqual(stateOf(serves(reading(1, "streaming", 0, 3))), fenced);
  t.deepEqual(reasonsOf(serves(reading(0, "connecting", 0, 0))), ["DataLost"]);
  const held = planned(shard, { sessions: [empty, following(reader0), sessionOf(reader1)] });
  t.deepEqual([stateOf(held), troublesOf(held)], [kept, ["NothingToPromote"]]);
  t.deepEqual(
    stateOf(planned(shard, { sessions: [empty], leadingMs: 4_000 })),
    kept,
    "readers may still come",
  );
  t.deepEqual(
    stateOf(planned(shardWith({ phase: fencing }), { sessions: [empty, sessionOf(reader0)] })),
    fenced,
  );
});

test("spec.failover.automatic false: the owner's own pod may come back, a reader waits for a person", (t) => {
  const asked = { ...cluster, spec: { ...cluster.spec, failover: { leaseSeconds: 2, automatic: false } } };
  const away = planned(shardWith(), { cluster: asked, sessions: readers, ...dead });
  t.deepEqual([stateOf(away), troublesOf(away)], [kept, ["NothingToPromote"]]);
  const back = again(9, { promised: { shard: shardId(0), epoch: epoch(4), leftMs: 0 } });
  t.deepEqual(stateOf(planned(shardWith(), { cluster: asked, sessions: [...readers, back] })), fenced);
  const shard = shardWith({ phase: fencing });
  t.deepEqual(stateOf(planned(shard, { cluster: asked, sessions: [...both, back] })), [
    4,
    writer,
    "second",
    "stable",
  ]);
  t.deepEqual(stateOf(planned(shard, { cluster: asked, sessions: both })), fenced);
});

test("a person's word takes the copy furthest ahead, in sync or not, once, and says what may be lost", (t) => {
  const forced = { ...cluster, force: { shard: 0, epoch: 3 } };
  const shard = shardWith({ inSync: [reader0] });
  const begun = planned(shard, { cluster: forced, sessions: [following(reader1)], ...gone(60_000) });
  t.deepEqual(stateOf(begun), fenced);
  const fence = shardWith({ inSync: [reader0], phase: fencing });
  const sessions = [promising(reader1)];
  t.deepEqual(
    stateOf(
      planned(fence, { cluster: forced, sessions, ...gone(60_000), ...remembering({ phaseMs: 1_900 }) }),
    ),
    fenced,
    "a lease that can be waited for is",
  );
  const done = planned(fence, {
    cluster: forced,
    sessions,
    ...gone(60_000),
    ...remembering({ phaseMs: 2_000 }),
  });
  t.deepEqual([stateOf(done), reasonsOf(done)], [[4, reader1, "first", "stable"], ["ForcedFailover"]]);
  t.regex(done.events[0]?.message ?? "", /what only demo-write-0 and demo-read-0 held is lost/);
  const later = planned(shardOf(done), {
    cluster: forced,
    sessions: [ownerSaying({ epoch: epoch(4), sync: { seq: 0, members: [] } }, { pod: reader1 })],
  });
  t.deepEqual(stateOf(later), [4, reader1, "first", "stable"], "it was meant for epoch 3");
});

test("any operator goes on from any step: what is stored is all that it needs", (t) => {
  let ownership = ownershipWith(shardWith());
  const steps: unknown[] = [];
  for (const sessions of [readers, both, both]) {
    const after = planned(ownership.shards[0] ?? shardWith(), { sessions, leadingMs: 2_000 });
    ownership = after.ownership;
    steps.push(stateOf(after));
  }
  t.deepEqual(steps.slice(0, 2), [fenced, [4, reader0, "first", "stable"]]);
});
