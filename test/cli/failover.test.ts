import test from "ava";
import { epoch, mapVersion, revision, shardId, slot, term } from "../../core/ids.ts";
import { usualSettings } from "../../core/settings.ts";
import type { Member, Shard, Topology } from "../../core/topology.ts";
import { outlook } from "../../cli/failover.ts";

const member = (pod: string, state: Member["state"] = "serving"): Member => ({
  ...{ pod, incarnation: "a", home: pod.includes("write") ? "writer" : "reader", shard: shardId(0), state },
  ...{ address: { host: "h", client: 1, replication: 2, http: 3, resp: 4 }, node: "", zone: "" },
});
const shard = (inSync: readonly string[], phase: Shard["phase"] = { kind: "stable" }): Shard => ({
  ...{ id: shardId(0), epoch: epoch(7), owner: { pod: "demo-write-0", incarnation: "a" } },
  ...{ inSync, syncSeq: 1, phase, slots: [[slot(0), slot(16_383)]], mapVersion: mapVersion(1) },
});
const lines = (members: readonly Member[], of: Shard): readonly string[] => {
  const topology: Topology = {
    ...{ clusterId: "u", cluster: "default/demo", term: term(1), revision: revision(1) },
    ...{
      mapVersion: mapVersion(1),
      lagMsMax: 2_000,
      settings: usualSettings,
      shards: [of],
      moves: [],
      members,
    },
  };
  return outlook(topology, of).trimEnd().split("\n");
};

test("it is told whether a copy takes over by itself, and what force would lose", (t) => {
  const well = lines([member("demo-write-0"), member("demo-read-0")], shard(["demo-read-0"]));
  t.deepEqual(well.slice(0, 3), [
    "shard 0: epoch 7, owner demo-write-0, at rest",
    "in sync: demo-read-0",
    "other copies: none",
  ]);
  t.regex(well[3] ?? "", /Should it go, one of those in sync takes over by itself/);

  const stuck = lines([member("demo-read-1", "copying")], shard(["demo-read-0"]));
  t.deepEqual(stuck.slice(0, 3), [
    "shard 0: epoch 7, owner demo-write-0 (away), at rest",
    "in sync: none; away: demo-read-0",
    "other copies: demo-read-1 (copying)",
  ]);
  t.regex(stuck[3] ?? "", /waits for the pods that are away\. With --force the copy that is furthest ahead/);

  const changing = lines(
    [member("demo-read-0")],
    shard(["demo-read-0"], { kind: "fencing", epoch: epoch(8) }),
  );
  t.regex(changing[3] ?? "", /changing hands now/);
});
