import test from "ava";
import { createMemoryDisk, inputOutput, noSpace, type MemoryDisk } from "../../support/memoryDisk.ts";
import { usualLimits } from "../../../shard/log/logLimits.ts";
import { until } from "../../support/net.ts";
import { contentsOf, folder, openRig, set, type Rig } from "../../support/shardLog.ts";

const durable = (rig: Rig): Promise<void> =>
  until("all is durable", () => rig.told.durable === rig.holding.version);

const snapshotsOn = (disk: MemoryDisk): readonly string[] =>
  [...disk.files().keys()].filter((path) => path.endsWith(".snap"));

for (const kind of ["write", "sync"] as const)
  test(`nothing is durable after a ${kind} has failed`, async (t) => {
    const disk = createMemoryDisk();
    const rig = await openRig({ disk });
    rig.write(set("a", "1"));
    await durable(rig);
    const before = rig.told.durable;
    disk.fault = (operation) =>
      operation.kind === kind && operation.path.endsWith(".log") ? inputOutput() : null;
    rig.write(set("a", "2"));
    await until("it has failed", () => rig.told.failures.length > 0);
    disk.fault = () => null;
    rig.write(set("a", "3"));
    await t.throwsAsync(rig.log.close(), { code: "disk-failed" });
    t.is(rig.told.durable, before);
    t.is(rig.told.failures.length, 1);
    t.regex(rig.told.failures[0] ?? "", /EIO/);
    const again = await openRig({ disk: disk.restarted() });
    t.true(again.holding.version >= before);
  });

test("a disk that is full keeps what was appended until there is room", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  rig.write(set("a", "1"));
  await durable(rig);
  const before = rig.told.durable;
  disk.capacity = disk.bytes() + 10;
  rig.write(set("b", "x".repeat(50)));
  await until("it says so", () => rig.told.room.at(-1) === false);
  rig.write(set("c", "y".repeat(50)));
  t.is(rig.told.durable, before);
  const found = await rig.log.read(rig.log.newest(), 1_000);
  t.is(found.last, rig.holding.version);
  disk.capacity = Infinity;
  await until("there is room", () => rig.told.room.at(-1) === true);
  await durable(rig);
  t.deepEqual(rig.told.failures, []);
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
});

test("a full disk can be opened and read", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  for (let i = 0; i < 30; i++) rig.write(set(`k${i}`, "some value"));
  await durable(rig);
  const full = disk.restarted();
  full.fault = ({ kind }) => (kind === "write" ? noSpace() : null);
  const again = await openRig({ disk: full });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
  full.fault = () => null;
  again.write(set("more", "x"));
  await durable(again);
});

test("writes are refused before the last byte is taken, and taken again when there is room", async (t) => {
  const disk = createMemoryDisk();
  disk.capacity = 4_000;
  const rig = await openRig({ disk, limits: { reserveBytes: 1_000_000, lookEveryBytes: 1 } });
  t.deepEqual(rig.told.room, []);
  while (rig.told.room.at(-1) !== false) {
    rig.write(set("k", "x".repeat(100)));
    await durable(rig);
    t.true(disk.bytes() < 3_980);
  }
  disk.capacity = 100_000;
  await until("there is room", () => rig.told.room.at(-1) === true);
});

test("on a small volume writes are refused as soon as its own reserve is reached", async (t) => {
  const disk = createMemoryDisk();
  disk.capacity = 40_000;
  const { reserveBytes, lookEveryBytes } = usualLimits;
  const rig = await openRig({ disk, limits: { segmentBytes: 1e6, reserveBytes, lookEveryBytes } });
  // Without waiting for a quarter of a second: what is written makes it look.
  while (rig.told.room.at(-1) !== false) {
    rig.write(set("k", "x".repeat(100)));
    await durable(rig);
    t.true(disk.bytes() < 39_500, `${disk.bytes()} bytes`);
  }
  t.true(disk.bytes() > 37_000);
});

test("a write that is taken in parts is whole", async (t) => {
  const disk = createMemoryDisk();
  disk.writeBytesMax = 7;
  const rig = await openRig({ disk });
  for (let i = 0; i < 20; i++) rig.write(set(`k${i}`, "v".repeat(i * 5)));
  await durable(rig);
  await rig.log.snapshot();
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
});

test("a snapshot without room is given up, and leaves nothing behind", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  for (let i = 0; i < 40; i++) rig.write(set(`k${i}`, "v".repeat(100)));
  await durable(rig);
  disk.capacity = disk.bytes() + 1_500;
  await t.throwsAsync(rig.log.snapshot(), { code: "disk-full" });
  disk.fault = ({ kind, path }) => (kind === "write" && path.endsWith(".snap") ? noSpace() : null);
  disk.capacity = Infinity;
  await t.throwsAsync(rig.log.snapshot(), { code: "disk-full" });
  t.deepEqual(snapshotsOn(disk), []);
  disk.fault = () => null;
  rig.write(set("more", "x"));
  await durable(rig);
  await rig.log.snapshot();
  t.is(snapshotsOn(disk).length, 1);
  t.is(rig.log.figures().failedSnapshots, 2);
});

test("a snapshot that cannot be read back is not relied on", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  for (let i = 0; i < 40; i++) rig.write(set(`k${i}`, "v"));
  await durable(rig);
  disk.fault = ({ kind, path }) => (kind === "read" && path.endsWith(".snap") ? inputOutput() : null);
  await t.throwsAsync(rig.log.snapshot(), { code: "damaged" });
  t.deepEqual(snapshotsOn(disk), []);
  disk.fault = () => null;
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
});

test("another's volume is not touched", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  rig.write(set("a", "1"));
  await rig.log.close();
  const name = `${folder}/identity.json`;
  const text = disk.files().get(name)?.toString() ?? "";
  t.regex(text, /cluster-1/);
  const other = await openRig({ disk: createMemoryDisk(), clusterId: "cluster-2" });
  await other.log.close();
  const before = disk.operations();
  await t.throwsAsync(openRig({ disk, clusterId: "cluster-2" }), {
    code: "wrong-volume",
    message: /cluster-1/,
  });
  const foreign = createMemoryDisk(new Map([[`${folder}/PG_VERSION`, Buffer.from("17")]]));
  await t.throwsAsync(openRig({ disk: foreign }), { code: "wrong-volume", message: /PG_VERSION/ });
  t.is(disk.operations(), before);
  t.is(foreign.operations(), 0);
});

test("a log that is closed on a full disk says so, and does not wait for a snapshot", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  rig.write(set("a", "1"));
  await durable(rig);
  disk.fault = ({ kind, path }) => (kind === "write" && path.endsWith(".log") ? noSpace() : null);
  rig.write(set("b", "2"));
  const snapshot = rig.log.snapshot();
  await Promise.all([t.throwsAsync(snapshot), t.throwsAsync(rig.log.close(), { code: "disk-full" })]);
  t.deepEqual(snapshotsOn(disk), []);
});
