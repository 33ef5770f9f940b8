import test from "ava";
import { createLogger } from "../../../core/logger.ts";
import { systemDisk, type Space } from "../../../shard/log/disk.ts";
import { usualLimits } from "../../../shard/log/logLimits.ts";
import { createRoom } from "../../../shard/log/room.ts";
import { createManualClock } from "../../support/shardClock.ts";

const MiB = 1024 * 1024;

/** A volume of 1000 MiB, of which 50 are the reserve, that answers a question when it is told to. */
const world = () => {
  const clock = createManualClock();
  const asked: ((freeBytes: number) => void)[] = [];
  const changes: boolean[] = [];
  const room = createRoom({
    disk: {
      ...systemDisk,
      space: () =>
        new Promise<Space>((resolve) => {
          asked.push((free) => {
            resolve({ free, total: 1000 * MiB });
          });
        }),
    },
    ...{ folder: "volume", clock, logger: createLogger("silent", {}), limits: usualLimits },
    changed: (isThere) => changes.push(isThere),
  });
  const says = async (freeBytes: number): Promise<void> => {
    asked.shift()?.(freeBytes);
    await new Promise(setImmediate);
  };
  return { clock, room, says, changes };
};

test("what is written while a look is under way counts before the look is over", async (t) => {
  const { room, says, changes } = world();
  room.look();
  await says(80 * MiB);
  room.wrote(20 * MiB);
  t.true(room.isThere(), "that made it look again; 10 MiB are left above the reserve");
  room.wrote(9 * MiB);
  t.true(room.isThere());
  room.wrote(2 * MiB);
  t.false(room.isThere());
  await says(40 * MiB);
  t.deepEqual(changes, [false]);
});

test("a volume that got room meanwhile takes writes again once it was looked at", async (t) => {
  const { clock, room, says, changes } = world();
  room.look();
  await says(60 * MiB);
  room.wrote(11 * MiB);
  t.deepEqual(changes, [false]);
  clock.advance(250);
  await says(55 * MiB);
  t.deepEqual(changes, [false], "not for the little above the reserve");
  clock.advance(250);
  await says(500 * MiB);
  t.deepEqual(changes, [false, true]);
  room.stop();
});
