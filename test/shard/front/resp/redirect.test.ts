import test from "ava";
import { epoch, revision, shardId, slot, term } from "../../../../core/ids.ts";
import { indexTopology, type Member } from "../../../../core/topology.ts";
import { redirect, type Place } from "../../../../shard/front/resp/redirect.ts";
import type { Standing } from "../../../../shard/route.ts";
import { usualSettings } from "../../../../core/settings.ts";
import { shardFields, topologyFields } from "../../../support/fields.ts";

const member = (pod: string, shard: number): Member => ({
  ...{ pod, incarnation: "1", home: "writer", shard: shardId(shard), state: "serving", node: "", zone: "" },
  address: { host: pod, client: 1, replication: 2, http: 3, resp: 6379 },
});
const index = indexTopology({
  ...{ clusterId: "id", cluster: "default/demo", term: term(1), revision: revision(1) },
  ...{ ...topologyFields, lagMsMax: 1_000, settings: usualSettings },
  shards: [
    {
      ...{ id: shardId(0), epoch: epoch(1), owner: { pod: "w0", incarnation: "1" } },
      ...{ ...shardFields, slots: [[slot(0), slot(99)]] },
    },
    {
      ...{ id: shardId(1), epoch: epoch(1), owner: null },
      ...{ ...shardFields, slots: [[slot(100), slot(16_000)]] },
    },
  ],
  members: [member("w0", 0)],
});
const slots = new Uint8Array(16_384).fill(1, 0, 100);
const owner = { kind: "owner", shard: shardId(0), epoch: epoch(1), slots, hasLease: true } as const;
const reader = {
  kind: "reader",
  shard: shardId(0),
  complete: true,
  hasMap: true,
  slots,
  isNext: false,
} as const;
const place = (standing: Standing, ms = 0): Place => ({ standing, index, lag: () => ({ ms, msMax: 1_000 }) });

for (const [what, at, asked, isReadOnly, wanted] of [
  ["the owner serves its slots", place(owner), 5, false, null],
  ["the owner says who is down", place(owner), 200, false, "CLUSTERDOWN Hash slot not served"],
  ["a slot of no shard is down", place(owner), 16_383, false, "CLUSTERDOWN Hash slot not served"],
  ["a reader sends on who has not said READONLY", place(reader), 5, false, "MOVED 5 w0:6379"],
  ["a reader serves reads after READONLY", place(reader), 5, true, null],
  [
    "a reader that is too far behind says so",
    place(reader, 1_001),
    5,
    true,
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  ],
  [
    "a reader that copies says so",
    place({ ...reader, complete: false }),
    5,
    true,
    "LOADING Redis is loading the dataset in memory",
  ],
  [
    "an owner without a lease is down",
    place({ ...owner, hasLease: false }),
    5,
    false,
    "CLUSTERDOWN The owner of the slot has no lease now: another may own it by now",
  ],
  ["it answers who has said READONLY", place({ ...owner, hasLease: false }), 5, true, null],
  [
    "whoever is about to be the owner lets wait",
    place({ ...reader, isNext: true }),
    5,
    false,
    "TRYAGAIN The slot is changing hands; try again in a moment",
  ],
  [
    "a process that serves nothing sends on",
    place({ kind: "nothing", informed: true, isNext: false }),
    5,
    false,
    "MOVED 5 w0:6379",
  ],
] as const) {
  test(what, (t) => {
    t.is(redirect(at, asked, isReadOnly), wanted);
  });
}

test("before the first topology the cluster is down", (t) => {
  const nowhere = { ...place({ kind: "nothing", informed: false, isNext: false }), index: undefined };
  t.is(redirect(nowhere, 5, false), "CLUSTERDOWN The cluster is down");
});
