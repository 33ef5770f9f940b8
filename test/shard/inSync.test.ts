import test from "ava";
import fc from "fast-check";
import { version } from "../../core/ids.ts";
import { createInSync, heldByAll, judge, recorded, statement, type Follower } from "../../shard/inSync.ts";

const follower = (pod: string, more: Partial<Follower> = {}): Follower => ({
  ...{ pod, incarnation: "1", isStreaming: true, acked: version(5), isWanted: true, hasGranted: true },
  lag: { versions: 0, bytes: 0, ms: 0 },
  ...more,
});
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
    judge(inSync, followers(follower("a", more)));
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
    judge(inSync, followers(follower("a")));
    t.true(judge(inSync, after));
    t.deepEqual(statement(inSync), { seq: 2, members: [] });
    t.false(recorded(inSync, 1));
    t.true(inSync.members.has("a"));
    t.true(recorded(inSync, 2));
    t.false(inSync.members.has("a"));
  }
});

test("one that comes back before that is a member as before, by a new statement", (t) => {
  const inSync = createInSync(version(5));
  judge(inSync, followers(follower("a")));
  judge(inSync, followers());
  judge(inSync, followers(follower("a")));
  t.deepEqual(statement(inSync), { seq: 3, members: ["a"] });
  t.false(recorded(inSync, 2));
  t.true(inSync.members.has("a"));
});

test("what all hold is what the slowest holds; who is not connected has said nothing", (t) => {
  const inSync = createInSync(version(5));
  t.is(heldByAll(inSync, followers()), null);
  judge(inSync, followers(follower("a"), follower("b")));
  t.is(
    heldByAll(inSync, followers(follower("a", { acked: version(7) }), follower("b", { acked: version(6) }))),
    version(6),
  );
  t.is(heldByAll(inSync, followers(follower("a"), follower("c", { acked: version(1) }))), version(0));
});

test("whoever is recorded is counted, whatever comes and goes and however late it is recorded and heard of", (t) => {
  const pods = ["a", "b", "c"];
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("followers" as const),
        here: fc.subarray(pods),
        good: fc.subarray(pods),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("say" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("record" as const), which: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("hear" as const) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const inSync = createInSync(version(5));
      const said: { seq: number; members: readonly string[] }[] = [];
      let api: { seq: number; members: readonly string[] } = { seq: 0, members: [] };
      for (const one of steps) {
        if (one.kind === "followers") {
          const lag = { versions: 1, bytes: 1, ms: 2_000 };
          judge(
            inSync,
            followers(...one.here.map((pod) => follower(pod, one.good.includes(pod) ? {} : { lag }))),
          );
        } else if (one.kind === "say") said.push(statement(inSync));
        else if (one.kind === "record") {
          // In any order; only a newer one than is recorded counts.
          const wanted = said[one.which % Math.max(1, said.length)];
          if (wanted !== undefined && wanted.seq > api.seq) api = wanted;
        } else recorded(inSync, api.seq);
        for (const pod of api.members) if (!inSync.members.has(pod)) return false;
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass();
});
