import test from "ava";
import { systemClock } from "../../core/clock.ts";
import { shardId } from "../../core/ids.ts";
import { createVolume, type Volume } from "../../shard/volume.ts";
import { createMemoryDisk, type MemoryDisk } from "../support/memoryDisk.ts";
import { silent } from "../support/net.ts";
import { randomFrom } from "../support/random.ts";
import { folder, identity, openRig, set, smallLimits } from "../support/shardLog.ts";
import { createSmallStore } from "../support/shardStore.ts";

const kept = shardId(identity.shard + 1);

const volumeOn = (disk: MemoryDisk): Volume =>
  createVolume({
    ...{ disk, folder, clusterId: identity.clusterId, clock: systemClock, logger: silent },
    ...{ createStore: createSmallStore, fsync: () => "always", limits: smallLimits },
    events: { durable: () => undefined, room: () => undefined, failed: () => undefined },
  });

/** Two shards, of which the first has three keys. */
const written = async (): Promise<MemoryDisk> => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, folder: `${folder}/shard-${identity.shard}` });
  rig.write(set("a", "1"), set("b", "2"), set("c", "3"));
  await rig.log.close();
  await (await volumeOn(disk).open(kept)).log.close();
  return disk;
};

/** Drops what is not the kept shard's, as far as the process gets. */
const drop = async (disk: MemoryDisk): Promise<void> => {
  const volume = volumeOn(disk);
  volume.keepOnly([kept]);
  // It waits for that; a process that has ended opens nothing more.
  await volume
    .open(kept)
    .then(({ log }) => log.close())
    .catch(() => undefined);
};

const keysIn = async (disk: MemoryDisk): Promise<number> => {
  const { holding, log } = await volumeOn(disk).open(identity.shard);
  await log.close();
  return holding.store.keys();
};

test("what another shard had is gone, and nothing is left of it", async (t) => {
  const disk = await written();
  await drop(disk);
  t.deepEqual(await disk.list(folder), [`shard-${kept}`]);
  t.is(await volumeOn(disk).found(), kept);
});

test("what is not to go yet stays, whatever is held", async (t) => {
  const disk = await written();
  const volume = volumeOn(disk);
  const third = shardId(kept + 1);
  await (await volume.open(third)).log.close();
  volume.keepOnly([kept, identity.shard]);
  const { holding, log } = await volume.open(identity.shard);
  t.is(holding.store.keys(), 3);
  await log.close();
  t.deepEqual(await disk.list(folder), [`shard-${identity.shard}`, `shard-${kept}`]);
});

test("wherever a process ends that drops a shard, it is there whole or not at all; the next one drops the rest", async (t) => {
  const disk = await written();
  const whole = disk.restarted();
  await drop(whole);
  t.true(whole.operations() > 5);
  for (let end = 0; end < whole.operations(); end++) {
    const one = disk.restarted();
    one.stopAt(end);
    await drop(one);
    const after = [
      one.restarted(),
      ...[1, 2, 3, 4].map((seed) => one.afterPowerLoss(randomFrom(seed).below)),
    ];
    for (const [i, found] of after.entries()) {
      const keys = await keysIn(found.restarted());
      t.true(keys === 3 || keys === 0, `${keys} keys, end ${end}, way ${i}`);
      await drop(found);
      t.deepEqual(await found.list(folder), [`shard-${kept}`]);
    }
  }
});

test("a shard that is wanted again waits for what was dropped of it, and begins anew", async (t) => {
  const volume = volumeOn(await written());
  volume.keepOnly([kept]);
  const { holding, log } = await volume.open(identity.shard);
  t.is(holding.store.keys(), 0);
  await log.close();
});
