import test from "ava";
import { epoch, revision, shardId, term, version } from "../../../core/ids.ts";
import { encodeMessage } from "../../../core/message.ts";
import { difference } from "../../../core/topology.ts";
import { announcedOf, topologyOf } from "../../../operator/info/publish.ts";
import type { Ownership } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import { storedOwnership } from "../../../operator/storedOwnership.ts";
import { ownershipFrom } from "../../../operator/topologySchema.ts";
import { largeWorld, ownerGone } from "../../support/largeWorld.ts";

// The longest name that a cluster can have, as pods are called by it.
const name = "a-cluster-with-the-longest-name-possible";

test("1,000 shards with 10,000 readers in sync: what is stored is below 1 MB, and read as it was written", (t) => {
  t.is(name.length, 40);
  const { ownership } = largeWorld(1_000, 10_000, name);
  t.is(ownership?.shards.flatMap(({ inSync }) => inSync).length, 10_000);
  if (ownership === null) throw new Error("no ownership");
  const text = JSON.stringify(storedOwnership(ownership, name));
  t.log(`${text.length} bytes; in whole names ${JSON.stringify(ownership).length}`);
  t.true(text.length < 1_000_000, `${text.length} bytes`);
  t.deepEqual(ownershipFrom(JSON.parse(text)), ownership);
});

test("an ownership that was stored in whole names is read as well", (t) => {
  const { ownership } = largeWorld(2, 4, "demo");
  t.deepEqual(ownershipFrom(JSON.parse(JSON.stringify(ownership))), ownership);
});

test("each step of a failover among 1,000 shards changes one shard, and is told in less than 10 kB", (t) => {
  const world = largeWorld(1_000, 10_000, name);
  if (world.ownership === null) throw new Error("no ownership");
  t.is(plan(world).ownership, world.ownership, "it is at rest");
  const view = {
    ...{ clusterId: "uid-1", cluster: `default/${name}` },
    ...announcedOf(world.cluster.spec),
  };
  const told = (
    ownership: Ownership,
    sessions: typeof world.sessions,
    n: number,
  ): ReturnType<typeof topologyOf> =>
    topologyOf({ ...view, ownership }, sessions, { before: null, term: term(1), revision: revision(n) });
  const gone = ownerGone(world, shardId(700));
  const fenced = plan(gone).ownership;
  const promised = gone.sessions.map((session) =>
    session.report.held?.shard === 700
      ? {
          ...session,
          report: { ...session.report, promised: { shard: shardId(700), epoch: epoch(2), leftMs: 0 } },
        }
      : session,
  );
  const promoted = plan({ ...gone, ownership: fenced, sessions: promised }).ownership;
  t.is(Number(promoted.shards[700]?.epoch), 2);
  t.deepEqual(promoted.processes[700]?.held, { epoch: epoch(1), version: version(7) });
  const topologies = [
    told(world.ownership, world.sessions, 1),
    told(fenced, gone.sessions, 2),
    told(promoted, promised, 3),
  ] as const;
  for (const [before, after] of [topologies.slice(0, 2), topologies.slice(1)]) {
    if (before === undefined || after === undefined) throw new Error("no topology");
    const change = difference(before, after);
    t.is(change.shards.length, 1);
    const { length } = encodeMessage({ kind: "change", change });
    t.true(length < 10_000, `${length} bytes`);
  }
});
