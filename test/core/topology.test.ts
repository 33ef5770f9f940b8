import test from "ava";
import fc from "fast-check";
import { epoch, mapVersion, revision, shardId, slot, term } from "../../core/ids.ts";
import { decodeMessage, encodeMessage, toClientSchema } from "../../core/message.ts";
import {
  difference,
  indexTopology,
  ownerOf,
  patched,
  shardOf,
  type Phase,
  type Shard,
  type Topology,
} from "../../core/topology.ts";
import { acksModes, evictions, fsyncs, usualSettings } from "../../core/settings.ts";
import { shardFields, topologyFields } from "../support/fields.ts";

const member = fc.record({
  pod: fc.constantFrom(...Array.from({ length: 12 }, (_, i) => `demo-read-${i}`)),
  incarnation: fc.constantFrom("a", "b"),
  home: fc.constant("reader" as const),
  shard: fc.option(fc.nat({ max: 3 }).map(shardId)),
  state: fc.constantFrom("starting" as const, "copying" as const, "serving" as const, "leaving" as const),
  address: fc.constant({ host: "10.0.0.1", client: 1, replication: 2, http: 3, resp: 4 }),
  node: fc.constantFrom("", "node-1"),
  zone: fc.constant("zone-a"),
});
const shard = (id: number): fc.Arbitrary<Shard> =>
  fc.record({
    id: fc.constant(shardId(id)),
    epoch: fc.nat({ max: 3 }).map(epoch),
    owner: fc.option(
      fc.record({ pod: fc.constant(`demo-write-${id}`), incarnation: fc.constantFrom("x", "y") }),
    ),
    phase: fc.constantFrom<Phase[]>(
      { kind: "stable" },
      { kind: "fencing", epoch: epoch(4) },
      { kind: "handover", to: { pod: "demo-read-0", incarnation: "a" } },
    ),
    inSync: fc.subarray(["demo-read-0", "demo-read-1"]),
    syncSeq: fc.nat({ max: 2 }),
    mapVersion: fc.nat({ max: 2 }).map(mapVersion),
    slots: fc.constant([[slot(id * 100), slot(id * 100 + 99)] as const]),
  });
const moves = fc.array(
  fc.record({
    id: fc.nat(),
    ...{ from: fc.constant(shardId(0)), to: fc.constant(shardId(1)) },
    ...{ fromEpoch: fc.constant(epoch(1)), toEpoch: fc.nat({ max: 3 }).map(epoch) },
    slots: fc.constant([[slot(5), slot(6)] as const]),
    stage: fc.constantFrom("copying" as const, "freezing" as const),
  }),
  { maxLength: 2 },
);
const topology = (at: number): fc.Arbitrary<Topology> =>
  fc
    .record({
      settings: fc.record({
        fsync: fc.constantFrom(...fsyncs),
        memoryMaxBytes: fc.option(fc.nat()),
        eviction: fc.constantFrom(...evictions),
        acks: fc.constantFrom(...acksModes),
        ...{ minInSync: fc.nat(3), leaseMs: fc.nat(9_000), moveBytesPerSecondMax: fc.nat() },
      }),
      moves,
      members: fc.uniqueArray(member, { selector: ({ pod }) => pod }),
      shards: fc.nat({ max: 4 }).chain((n) => fc.tuple(...Array.from({ length: n }, (_, i) => shard(i)))),
    })
    .map(({ members, shards, settings, moves }) => ({
      clusterId: "c",
      cluster: "default/demo",
      term: term(1),
      revision: revision(at),
      mapVersion: mapVersion(at),
      lagMsMax: 2000,
      settings,
      shards,
      moves,
      members: members.sort((a, b) => (a.pod < b.pod ? -1 : 1)),
    }));

test("a difference, over the wire, turns the old topology into the new one", (t) => {
  fc.assert(
    fc.property(topology(1), topology(2), (before, after) => {
      const bytes = encodeMessage({ kind: "change", change: difference(before, after) });
      const message = decodeMessage(toClientSchema, bytes);
      t.true(message.kind === "change");
      if (message.kind === "change") t.deepEqual(patched(before, message.change), after);
    }),
  );
});

test("a change that starts elsewhere is not applied", (t) => {
  const [first, second, third] = [1, 2, 3].map((at) => fc.sample(topology(at), { numRuns: 1, seed: 7 })[0]);
  if (first === undefined || second === undefined || third === undefined) throw new Error("no sample");
  t.is(patched(first, difference(second, third)), undefined);
  t.is(patched({ ...second, clusterId: "other" }, difference(second, third)), undefined);
});

test("the index names an owner only while its process is the one that the topology means", (t) => {
  const base: Topology = {
    clusterId: "c",
    cluster: "default/demo",
    term: term(1),
    revision: revision(1),
    ...topologyFields,
    lagMsMax: 2000,
    settings: usualSettings,
    shards: [
      {
        id: shardId(0),
        epoch: epoch(3),
        owner: { pod: "demo-write-0", incarnation: "x" },
        ...shardFields,
        slots: [[slot(0), slot(16383)]],
      },
    ],
    members: [
      {
        pod: "demo-write-0",
        incarnation: "x",
        home: "writer",
        shard: shardId(0),
        state: "serving",
        address: { host: "h", client: 1, replication: 2, http: 3, resp: 4 },
        node: "",
        zone: "",
      },
    ],
  };
  t.is(ownerOf(indexTopology(base), shardId(0))?.pod, "demo-write-0");
  const restarted = base.members.map((m) => ({ ...m, incarnation: "y" }));
  t.is(ownerOf(indexTopology({ ...base, members: restarted }), shardId(0)), undefined);
  t.is(shardOf(indexTopology(base), slot(16383))?.id, shardId(0));
});
