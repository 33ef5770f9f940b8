import test from "ava";
import { epoch, shardId } from "../../core/ids.ts";
import type { Shard } from "../../core/topology.ts";
import { shardsKept } from "../../shard/kept.ts";
import { shardFields } from "../support/fields.ts";

const shard = (id: number, fields: Partial<Shard> = {}): Shard => ({
  ...{ id: shardId(id), epoch: epoch(3), ...shardFields, slots: [] },
  owner: { pod: `w${id}`, incarnation: "1" },
  ...fields,
});

test("what is held stays, be it known or not; of the others those that count on the pod", (t) => {
  const shards = [
    shard(0, { inSync: ["r0", "r1"] }),
    shard(1, { inSync: ["r1"] }),
    shard(2, { owner: { pod: "r0", incarnation: "an earlier one" } }),
    shard(3, { owner: null }),
  ];
  const kept = (pod: string, held: number): readonly number[] => shardsKept(shards, pod, shardId(held));
  t.deepEqual(kept("r0", 1), [1, 0, 2]);
  t.deepEqual(kept("r0", 0), [0, 2]);
  t.deepEqual(kept("r1", 3), [3, 0, 1]);
  t.deepEqual(kept("r2", 3), [3]);
  t.deepEqual(kept("r2", 9), [9]);
});
