import test from "ava";
import { epoch, shardId } from "../../core/ids.ts";
import { createPromises, promisedSchema, type Promised } from "../../shard/promise.ts";
import { grantAsked } from "../../shard/role.ts";
import { readDocument, writeDocument } from "../../shard/log/document.ts";
import { createMemoryDisk } from "../support/memoryDisk.ts";
import { createManualClock } from "../support/shardClock.ts";

const shard = shardId(0);
const leaseMs = 2_000;

const world = () => {
  const clock = createManualClock();
  const writes: { readonly promised: readonly Promised[]; readonly done: () => void }[] = [];
  let changes = 0;
  const promises = createPromises({
    clock,
    write: (promised) =>
      new Promise((resolve) => {
        writes.push({ promised, done: resolve });
      }),
    changed: () => {
      changes++;
    },
    failed: (error) => {
      throw error;
    },
  });
  /** The oldest write that is under way ends. */
  const written = async (): Promise<void> => {
    writes.shift()?.done();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, promises, writes, written, changes: () => changes };
};

test("a promise is kept once it is on the volume, and bars older owners before that", async (t) => {
  const { promises, written, changes } = world();
  promises.promise(shard, epoch(3));
  t.is(promises.kept(shard), epoch(0));
  t.is(promises.floor(shard), epoch(3));
  await written();
  t.is(promises.kept(shard), epoch(3));
  t.is(changes(), 1);
  promises.promise(shard, epoch(2));
  t.is(promises.floor(shard), epoch(3));
});

test("what is promised while a promise is being written is written next, with all others", async (t) => {
  const { promises, writes, written } = world();
  promises.promise(shard, epoch(3));
  promises.promise(shard, epoch(4));
  promises.promise(shardId(1), epoch(9));
  t.is(writes.length, 1);
  await written();
  t.is(promises.kept(shard), epoch(3));
  t.deepEqual(writes[0]?.promised, [
    { shard, epoch: epoch(4) },
    { shard: shardId(1), epoch: epoch(9) },
  ]);
  await written();
  t.is(promises.kept(shard), epoch(4));
});

test("a lease is granted once the promise to obey nobody older is on the volume, for the epoch that asked last", async (t) => {
  const { promises, written } = world();
  const granted: number[] = [];
  const subscriber = {
    grant: (mark: number) => {
      granted.push(mark);
    },
  };
  const asking = (e: number, mark: number) => ({
    ...{ subscriber, reader: { shard }, asked: { epoch: epoch(e), mark } },
  });
  const options = { promises, leaseMs: () => leaseMs };
  promises.promise(shard, epoch(3));
  const third = asking(3, 7);
  grantAsked(options, third);
  t.deepEqual(granted, []);
  await written();
  grantAsked(options, third);
  grantAsked(options, third);
  t.deepEqual(granted, [7]);
  promises.promise(shard, epoch(4));
  grantAsked(options, asking(3, 8));
  await written();
  grantAsked(options, asking(3, 9));
  t.deepEqual(granted, [7]);
  grantAsked(options, asking(4, 10));
  t.deepEqual(granted, [7, 10]);
});

test("a promise that finds no room is kept once there is room", async (t) => {
  const clock = createManualClock();
  let room = false;
  let kept = 0;
  const promises = createPromises({
    clock,
    write: () =>
      room
        ? Promise.resolve()
        : Promise.reject(Object.assign(new Error("no space left on device"), { code: "ENOSPC" })),
    changed: () => {
      kept++;
    },
    failed: (error) => {
      throw error;
    },
  });
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  promises.promise(shard, epoch(3));
  await settle();
  clock.advance(200);
  await settle();
  t.is(promises.kept(shard), epoch(0));
  t.is(promises.floor(shard), epoch(3));
  room = true;
  clock.advance(200);
  await settle();
  t.is(promises.kept(shard), epoch(3));
  t.is(kept, 1);
});

test("a process that has just started may have granted a lease, and one that grants has", (t) => {
  const { clock, promises } = world();
  t.is(promises.leftMs(shard, leaseMs), leaseMs);
  clock.advance(leaseMs);
  t.is(promises.leftMs(shard, leaseMs), 0);
  promises.grant(shard, leaseMs);
  clock.advance(500);
  t.is(promises.leftMs(shard, leaseMs), 1_500);
});

test("a promise survives a loss of power, and half a file is none", async (t) => {
  const disk = createMemoryDisk();
  const at = { folder: "data", name: "promised.json" };
  await disk.makeFolder(at.folder);
  const promised = [{ shard, epoch: epoch(7) }];
  await writeDocument(disk, at, { promised });
  const after = disk.afterPowerLoss(() => 0);
  t.deepEqual(await readDocument(after, at, promisedSchema), { promised });
  const { promises } = world();
  promises.restore(promised);
  t.is(promises.kept(shard), epoch(7));
  const file = disk.files().get("data/promised.json") ?? Buffer.alloc(0);
  disk.put("data/promised.json", file.subarray(0, file.length - 3));
  await t.throwsAsync(readDocument(disk, at, promisedSchema), { message: /checksum/ });
});
