import test from "ava";
import { version } from "../../../core/ids.ts";
import { createMemoryDisk } from "../../support/memoryDisk.ts";
import { until } from "../../support/net.ts";
import { contentsOf, del, openRig, set } from "../../support/shardLog.ts";

test("what was written is there after a restart", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  t.false(rig.holding.complete);
  rig.write(set("a", "1"), set("b", "2", 5000));
  rig.write(del("a"));
  await until("all is durable", () => rig.told.durable === rig.holding.version);
  const wanted = contentsOf(rig.holding);
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), wanted);
  t.is(again.log.newest(), rig.holding.version);
  t.is(again.log.first(), version(1));
});

test("a restart goes on from snapshots and the log behind them, and the log before is let go", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 30; i++) rig.write(set(`key ${i % 7}`, `value ${round}-${i}`));
    rig.beginEpoch(round + 2);
    await rig.log.snapshot();
  }
  rig.write(del("key 3"));
  await until("all is durable", () => rig.told.durable === rig.holding.version);
  t.true(rig.log.first() > 90);
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
  again.write(set("more", "x"));
  await again.log.close();
  const third = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(third.holding), contentsOf(rig.holding));
});
