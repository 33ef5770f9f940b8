import test from "ava";
import { epoch, revision, shardId, slot, term } from "../../core/ids.ts";
import { indexTopology, type Member, type Shard } from "../../core/topology.ts";
import { dutyOf, floorOf } from "../../shard/duty.ts";
import { usualSettings } from "../../core/settings.ts";
import { shardFields, topologyFields } from "../support/fields.ts";

const member = (pod: string, more: Partial<Member> = {}): Member => ({
  ...{ pod, incarnation: "1", home: "writer", shard: null, state: "serving", node: "", zone: "" },
  address: { host: "127.0.0.1", client: 1, replication: 2, http: 3, resp: 4 },
  ...more,
});
const owned: Shard = {
  ...{ id: shardId(0), epoch: epoch(3), ...shardFields, slots: [[slot(0), slot(16383)]] },
  owner: { pod: "w0", incarnation: "1" },
};
const duty = (members: readonly Member[], shard: Shard, self: { pod: string; incarnation: string }) =>
  dutyOf(
    indexTopology({
      ...{ clusterId: "c", cluster: "n/c", term: term(1), revision: revision(1), ...topologyFields },
      ...{ lagMsMax: 1_000, settings: usualSettings, shards: [shard], members },
    }),
    self,
  );
const w0 = member("w0");
const r0 = member("r0", { home: "reader", shard: shardId(0) });

test("the process that is named owner owns; another start of its pod does not", (t) => {
  t.deepEqual(duty([w0, r0], owned, w0), { kind: "own", shard: owned });
  t.deepEqual(duty([w0, r0], owned, { pod: "w0", incarnation: "2" }), { kind: "nothing", shard: null });
});

test("any pod may own, and a writer follows whoever owns the shard of its home", (t) => {
  const ownedByReader: Shard = { ...owned, owner: { pod: "r0", incarnation: "1" } };
  t.deepEqual(duty([w0, r0], ownedByReader, r0), { kind: "own", shard: ownedByReader });
  const home = member("w0", { shard: shardId(0) });
  t.deepEqual(duty([home, r0], ownedByReader, home), { kind: "follow", shard: ownedByReader, source: r0 });
});

test("a writer whose earlier process owns its shard, or that is to be the first one, waits until it is named", (t) => {
  const again = member("w0", { incarnation: "2", shard: shardId(0) });
  t.deepEqual(duty([again, r0], owned, again), { kind: "nothing", shard: owned });
  const nobodys: Shard = { ...owned, owner: null };
  t.deepEqual(duty([again, r0], nobodys, again), { kind: "nothing", shard: nobodys });
});

test("a reader follows the owner of its shard, and waits while that is not there", (t) => {
  t.deepEqual(duty([w0, r0], owned, r0), { kind: "follow", shard: owned, source: w0 });
  const replaced = member("w0", { incarnation: "2" });
  t.deepEqual(duty([replaced, r0], owned, r0), { kind: "follow", shard: owned, source: null });
  t.deepEqual(duty([w0, r0], owned, { pod: "r0", incarnation: "0" }), { kind: "nothing", shard: null });
});

test("while an epoch is fenced off its owner does nothing, nobody follows it, and nothing below the next one is obeyed", (t) => {
  const fenced: Shard = { ...owned, phase: { kind: "fencing", epoch: epoch(4) } };
  t.deepEqual(duty([w0, r0], fenced, w0), { kind: "nothing", shard: fenced });
  t.deepEqual(duty([w0, r0], fenced, r0), { kind: "follow", shard: fenced, source: null });
  t.deepEqual(floorOf(fenced), { epoch: epoch(4), isFencing: true });
  t.deepEqual(floorOf(owned), { epoch: epoch(3), isFencing: false });
});

test("a writer without a shard, and a reader of a shard that is not there, have nothing to do", (t) => {
  t.deepEqual(duty([member("w1")], owned, { pod: "w1", incarnation: "1" }), { kind: "nothing", shard: null });
  const lost = member("r1", { home: "reader", shard: shardId(7) });
  t.deepEqual(duty([lost], owned, lost), { kind: "nothing", shard: null });
});
