import test from "ava";
import fc from "fast-check";
import { version, type Version } from "../../core/ids.ts";
import {
  createInSync,
  heldByAll,
  hold,
  judge,
  recorded,
  statement,
  type Follower,
} from "../../shard/inSync.ts";

const follower = (pod: string, more: Partial<Follower> = {}): Follower => ({
  ...{ pod, incarnation: "1", isStreaming: true, acked: version(5), isWanted: true, hasGranted: true },
  lag: { versions: 0, bytes: 0, ms: 0 },
  ...more,
});
/** The owner's log where it is not what counts. */
const durable = version(5);
const followers = (...all: readonly Follower[]): ReadonlyMap<string, Follower> =>
  new Map(all.map((one) => [one.pod, one]));

test("a follower is in sync once it holds the epoch's first record, streams, is close behind, and has granted", (t) => {
  const lag = { versions: 1, bytes: 1, ms: 1 };
  for (const [what, more, wanted] of [
    ["all of it", {}, ["a"]],
    ["close behind", { lag }, ["a"]],
    ["before the first record", { acked: version(4) }, []],
    ["fed from the log", { isStreaming: false }, []],
    ["too many bytes behind", { lag: { ...lag, bytes: 2 ** 20 + 1 } }, []],
    ["too late", { lag: { ...lag, ms: 501 } }, []],
    ["it ends", { isWanted: false }, []],
    ["not known to the topology", { isWanted: null }, []],
    ["without a grant", { hasGranted: false }, []],
  ] as const) {
    const inSync = createInSync(version(5));
    judge(inSync, followers(follower("a", more)), durable);
    t.deepEqual([...inSync.members.keys()], [...wanted], what);
    t.deepEqual(statement(inSync), { seq: wanted.length, members: [...wanted] }, what);
  }
});

test("who is gone or has fallen behind counts until the topology shows that it is left out", (t) => {
  for (const after of [
    followers(),
    followers(follower("a", { lag: { versions: 1, bytes: 1, ms: 1_001 } })),
    followers(follower("a", { isWanted: false })),
  ]) {
    const inSync = createInSync(version(5));
    judge(inSync, followers(follower("a")), durable);
    t.true(judge(inSync, after, durable));
    t.deepEqual(statement(inSync), { seq: 2, members: [] });
    t.false(recorded(inSync, 1));
    t.true(inSync.members.has("a"));
    t.true(recorded(inSync, 2));
    t.false(inSync.members.has("a"));
  }
});

test("one that comes back before that is a member as before, by a new statement", (t) => {
  const inSync = createInSync(version(5));
  judge(inSync, followers(follower("a")), durable);
  judge(inSync, followers(), durable);
  judge(inSync, followers(follower("a")), durable);
  t.deepEqual(statement(inSync), { seq: 3, members: ["a"] });
  t.false(recorded(inSync, 2));
  t.true(inSync.members.has("a"));
});

test("one that comes back with less than it has said is recorded once it holds that again", (t) => {
  const inSync = createInSync(version(5));
  const at = (acked: number): boolean =>
    judge(inSync, followers(follower("a", { acked: version(acked) })), version(9));
  at(9);
  judge(inSync, followers(), version(9));
  t.false(at(8));
  t.deepEqual(statement(inSync), { seq: 2, members: [] });
  t.true(at(9));
  t.deepEqual(statement(inSync), { seq: 3, members: ["a"] });
});

test("one that joins is counted at once, and recorded when it holds all that was answered before", (t) => {
  const inSync = createInSync(version(5));
  const at = (acked: number, own: number): boolean =>
    judge(inSync, followers(follower("a", { acked: version(acked) })), version(own));
  t.false(at(5, 8));
  t.true(inSync.members.has("a"));
  t.is(heldByAll(inSync), version(5));
  t.deepEqual(statement(inSync), { seq: 0, members: [] });
  t.false(at(7, 20));
  t.true(at(8, 21));
  t.deepEqual(statement(inSync), { seq: 1, members: ["a"] });
});

test("one that goes before it was recorded does not count any more", (t) => {
  const inSync = createInSync(version(5));
  judge(inSync, followers(follower("a")), version(8));
  t.false(judge(inSync, followers(), version(8)));
  t.is(heldByAll(inSync), null);
});

test("what all hold is what the slowest has said, which counts where it is not connected too", (t) => {
  const inSync = createInSync(version(5));
  t.is(heldByAll(inSync), null);
  judge(inSync, followers(follower("a", { acked: version(7) }), follower("b")), durable);
  t.is(heldByAll(inSync), version(5));
  t.false(hold(inSync, "b", version(6)));
  t.is(heldByAll(inSync), version(6));
  judge(inSync, followers(), durable);
  t.is(heldByAll(inSync), version(6));
  t.true(hold(inSync, "nobody", version(6)));
});

/**
 * An owner, its readers and what is recorded of them, in any order: answers rest on what all members hold, on the owner's own log
 * where there are none.
 */
const anySteps = (() => {
  const pods = ["a", "b", "c"];
  return fc.array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant("followers" as const),
          here: fc.subarray(pods),
          good: fc.subarray(pods),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant("writes" as const), count: fc.integer({ min: 1, max: 3 }) }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant("acks" as const),
          pod: fc.constantFrom(...pods),
          count: fc.integer({ min: 1, max: 3 }),
        }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("answers" as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("say" as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("record" as const), which: fc.nat() }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("hear" as const) }) },
    ),
    { maxLength: 60 },
  );
})();

test("whoever is recorded is counted and holds all that was answered, whatever comes and goes and is heard of late", (t) => {
  fc.assert(
    fc.property(anySteps, (steps) => {
      const inSync = createInSync(version(5));
      const said: { seq: number; members: readonly string[] }[] = [];
      let api: { seq: number; members: readonly string[] } = { seq: 0, members: [] };
      let own = version(5);
      let answered = version(0);
      const disks = new Map<string, Version>();
      const diskOf = (pod: string): Version => disks.get(pod) ?? version(5);
      const here = new Set<string>();
      for (const one of steps) {
        switch (one.kind) {
          case "followers": {
            const lag = { versions: 1, bytes: 1, ms: 2_000 };
            here.clear();
            for (const pod of one.here) here.add(pod);
            const all = one.here.map((pod) =>
              follower(pod, { acked: diskOf(pod), ...(one.good.includes(pod) ? {} : { lag }) }),
            );
            judge(inSync, followers(...all), own);
            break;
          }
          case "writes":
            own = version(own + one.count);
            break;
          case "acks": {
            const acked = version(Math.min(own, diskOf(one.pod) + one.count));
            disks.set(one.pod, acked);
            if (here.has(one.pod)) hold(inSync, one.pod, acked);
            break;
          }
          case "answers":
            answered = version(Math.max(answered, Math.min(own, heldByAll(inSync) ?? own)));
            break;
          case "say":
            said.push(statement(inSync));
            break;
          case "record": {
            // In any order; only a newer one than is recorded counts.
            const wanted = said[one.which % Math.max(1, said.length)];
            if (wanted !== undefined && wanted.seq > api.seq) api = wanted;
            break;
          }
          case "hear":
            recorded(inSync, api.seq);
        }
        for (const pod of api.members) if (!inSync.members.has(pod) || diskOf(pod) < answered) return false;
      }
      return true;
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});
