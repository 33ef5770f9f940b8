import test from "ava";
import { epoch, version } from "../../../core/ids.ts";
import { podOf, sessionOf } from "../../support/planWorld.ts";
import {
  cluster,
  dead,
  following,
  gone,
  handoverTo,
  ownerSaying,
  planned,
  reader0,
  reader1,
  reasonsOf,
  remembering,
  shardOf,
  shardWith,
  stampOf,
  stateOf,
  writer,
} from "../../support/ownerWorld.ts";

const readers = [following(reader0), following(reader1)];
const kept = [3, writer, "first", "stable"];
const readerOwns = shardWith({ owner: { pod: reader0, incarnation: "first" }, inSync: [writer] });
const owningReader = ownerSaying({ sync: { seq: 4, members: [writer] } }, { pod: reader0 });

test("an owner that is ending hands over to the member of S that holds most; without one it stays", (t) => {
  const leaving = ownerSaying({}, { leaving: true });
  const after = planned(shardWith(), {
    sessions: [leaving, following(reader0, { version: 8 }), following(reader1)],
  });
  t.deepEqual(shardOf(after).phase, handoverTo(reader1));
  t.deepEqual(reasonsOf(after), ["HandoverBegun"]);
  t.deepEqual(stateOf(planned(shardWith({ inSync: [] }), { sessions: [leaving, ...readers] })), kept);
  const gone1 = [leaving, following(reader0, { leaving: true })];
  t.deepEqual(stateOf(planned(shardWith(), { sessions: gone1 })), kept);
  const dropped = ownerSaying({ sync: { seq: 4, members: [] } }, { leaving: true });
  t.deepEqual(
    stateOf(planned(shardWith(), { sessions: [dropped, ...readers] })),
    kept,
    "the owner counts nobody",
  );
});

test("an owner whose pod is deleted, or is not wanted any more, hands over before it goes", (t) => {
  const pods = [{ ...podOf(writer), deleting: true }, podOf(reader0), podOf(reader1)];
  t.is(stateOf(planned(shardWith(), { sessions: [ownerSaying(), ...readers], pods }))[3], "handover");
  const fewer = { ...cluster, spec: { ...cluster.spec, readers: 0 } };
  const shrunk = planned(readerOwns, {
    ...{ cluster: fewer, sessions: [owningReader, following(writer, { ageMs: 10 })] },
  });
  t.deepEqual(shardOf(shrunk).phase, handoverTo(writer), "at once");
  t.deepEqual(shrunk.workload, { writers: 1, readers: 1 }, "its pod stays until then");
  const home = ownerSaying({ epoch: epoch(4), sync: { seq: 0, members: [] } });
  const done = planned(shardWith({ epoch: epoch(4), inSync: [], syncSeq: 0 }), {
    cluster: fewer,
    sessions: [home, following(reader0)],
  });
  t.deepEqual(done.workload, { writers: 1, readers: 0 });
});

test("a shard comes home once its pod is in sync and has been well for 10 s", (t) => {
  const at = (ageMs: number, fields: object = {}): readonly unknown[] => {
    const after = planned(readerOwns, { sessions: [owningReader, following(writer, { ageMs, ...fields })] });
    return [stateOf(after)[3], after.againMs];
  };
  t.deepEqual(at(9_000), ["stable", 1_000]);
  t.is(at(10_000)[0], "handover");
  t.is(at(10_000, { leaving: true })[0], "stable");
  const apart = planned({ ...readerOwns, inSync: [] }, { sessions: [owningReader, following(writer)] });
  t.is(stateOf(apart)[3], "stable", "it is not in sync");
  const retried = planned(readerOwns, {
    sessions: [owningReader, following(writer)],
    ...remembering({ abortedMs: 9_000 }),
  });
  t.deepEqual([stateOf(retried)[3], retried.againMs], ["stable", 1_000]);
});

const under = shardWith({ phase: handoverTo(reader0) });
const told = remembering({ phaseMs: 50, told: stampOf(7) });
const frozen = (at: number, fields: object = {}): ReturnType<typeof ownerSaying> =>
  ownerSaying({ frozen: version(9) }, { topology: stampOf(at), ...fields });

test("it is committed once the owner says, of this very handover, that it is frozen", (t) => {
  const done = planned(under, { sessions: [frozen(7), ...readers], ...told });
  t.deepEqual([stateOf(done), reasonsOf(done)], [[4, reader0, "first", "stable"], ["HandedOver"]]);
  t.deepEqual([shardOf(done).inSync, shardOf(done).syncSeq], [[], 0]);
  const early = planned(under, {
    sessions: [ownerSaying({}, { topology: stampOf(7) }), ...readers],
    ...told,
  });
  t.is(stateOf(early)[3], "handover");
  t.is(
    stateOf(planned(under, { sessions: [frozen(6), ...readers], ...told }))[3],
    "handover",
    "an earlier one",
  );
  t.is(
    stateOf(planned(under, { sessions: [frozen(7), ...readers], ...remembering({ phaseMs: 50 }) }))[3],
    "handover",
    "this operator has told nobody of it yet",
  );
});

test("one that gets nowhere is given up, in the same epoch", (t) => {
  const seen = (sessions: readonly ReturnType<typeof following>[], memory = told): readonly unknown[] => {
    const after = planned(under, { sessions, ...memory });
    return [...stateOf(after), ...reasonsOf(after)];
  };
  const aborted = [...kept, "HandoverAborted"];
  t.deepEqual(seen([frozen(7), following(reader1)]), aborted, "the target is gone");
  const other = following(reader0, { incarnation: "second" });
  t.deepEqual(seen([frozen(7), other, following(reader1)]), aborted, "it is another process");
  t.deepEqual(seen([frozen(7), following(reader0, { leaving: true })]), aborted, "it is ending");
  const dropped = ownerSaying({ sync: { seq: 5, members: [reader1] } }, { topology: stampOf(7) });
  t.deepEqual(seen([dropped, ...readers]), aborted, "it is not in sync any more");
  const slow = remembering({ phaseMs: 3_000, told: stampOf(7) });
  t.deepEqual(seen([ownerSaying(), ...readers], slow), aborted, "it takes too long");
  const again = planned(shardWith(), {
    sessions: [ownerSaying({}, { leaving: true }), ...readers],
    ...remembering({ abortedMs: 400 }),
  });
  t.deepEqual([stateOf(again)[3], again.againMs], ["stable", 600]);
});

test("an owner that dies in the middle is failed over, to the target like any other", (t) => {
  const after = planned(under, { sessions: readers, ...dead });
  t.deepEqual(stateOf(after), [3, writer, "first", "fencing"]);
  t.deepEqual(stateOf(planned(under, { sessions: readers, ...gone(300) }))[3], "handover");
});

test("statements of S are recorded while the phase is stable, in their epoch, upwards", (t) => {
  const says = (seq: number, at = 3): ReturnType<typeof ownerSaying> =>
    ownerSaying({ epoch: epoch(at), sync: { seq, members: [reader1] } });
  const recorded = planned(shardWith(), { sessions: [says(5), ...readers] });
  t.deepEqual([shardOf(recorded).inSync, shardOf(recorded).syncSeq], [[reader1], 5]);
  for (const [shard, owner] of [
    [shardWith(), says(4)],
    [shardWith(), says(9, 2)],
    [under, says(5)],
  ] as const) {
    const { inSync } = shardOf(planned(shard, { sessions: [owner, ...readers] }));
    t.deepEqual(inSync, [reader0, reader1]);
  }
  const foreign = sessionOf(writer, { incarnation: "second", serving: says(9).report.serving, uid: "x" });
  t.deepEqual(shardOf(planned(shardWith(), { sessions: [foreign, ...readers], ...gone(10) })).inSync, [
    reader0,
    reader1,
  ]);
});
