import test from "ava";
import fc from "fast-check";
import { version } from "../../../core/ids.ts";
import { createRecordCursor } from "../../../core/recordCursor.ts";
import { createMemoryDisk, type MemoryDisk } from "../../support/memoryDisk.ts";
import { until } from "../../support/net.ts";
import { contentsOf, folder, openRig, set, type Rig } from "../../support/shardLog.ts";

const durable = (rig: Rig): Promise<void> =>
  until("all is durable", () => rig.told.durable === rig.holding.version);

/** Syncs of segments wait until they are let go. */
const gate = (disk: MemoryDisk): { waiting: () => number; letGo: () => void; count: () => number } => {
  let waiting: (() => void)[] = [];
  let count = 0;
  disk.syncGate = (path) => {
    if (!path.endsWith(".log")) return Promise.resolve();
    count++;
    return new Promise((resolve) => waiting.push(resolve));
  };
  return {
    waiting: () => waiting.length,
    count: () => count,
    letGo: () => {
      const due = waiting;
      waiting = [];
      for (const resolve of due) resolve();
    },
  };
};

test("always: nothing is durable before its sync, and what came meanwhile goes with the next", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, limits: { segmentBytes: 1e6 } });
  const syncs = gate(disk);
  rig.write(set("a", "1"));
  const first = rig.holding.version;
  await until("a sync is under way", () => syncs.waiting() === 1);
  for (let i = 0; i < 5; i++) rig.write(set("a", `${i}`));
  t.is(rig.told.durable, version(0));
  syncs.letGo();
  await until("the next sync is under way", () => syncs.waiting() === 1);
  t.is(rig.told.durable, first);
  syncs.letGo();
  await durable(rig);
  t.is(syncs.count(), 2);
});

test("everysec: durable once written; held while a sync is under way, up to a bound", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, mode: "everysec", limits: { segmentBytes: 1e6, heldBytes: 1_000 } });
  const syncs = gate(disk);
  rig.write(set("a", "1"));
  await durable(rig);
  await until("a sync is under way", () => syncs.waiting() === 1);
  const before = disk.operations();
  rig.write(set("a", "2"));
  await durable(rig);
  t.is(disk.operations(), before);
  const held = rig.holding.version;
  rig.write(set("a", "3".repeat(2_000)));
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  t.is(rig.told.durable, held);
  syncs.letGo();
  await durable(rig);
});

test("never: no sync but of a segment that was left, and at the end", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, mode: "never", limits: { syncEveryMs: 1 } });
  let syncs = 0;
  disk.syncGate = (path) => {
    if (path.endsWith(".log")) syncs++;
    return Promise.resolve();
  };
  rig.write(set("a", "1"));
  await durable(rig);
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.is(syncs, 0);
  for (let i = 0; i < 30; i++) {
    rig.write(set("a", `${i}`.repeat(20)));
    await durable(rig);
  }
  t.true(syncs >= 1);
  await rig.log.close();
});

test("the mode may change at any time", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, mode: "never" });
  for (const mode of ["never", "always", "everysec", "always", "never"] as const) {
    rig.mode.is = mode;
    rig.write(set("a", mode));
    await durable(rig);
  }
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
});

test("once nothing more comes the log says what was synced, so that a cut end is noticed", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  rig.write(set("a", "1"));
  rig.write(set("a", "2"));
  await durable(rig);
  const path = `${folder}/log-000001-0000000001.log`;
  const isSaid = (): boolean => {
    const bytes = disk.files().get(path) ?? Buffer.alloc(0);
    // A frame without records at the end.
    const header = bytes.lastIndexOf("FRM1");
    return header !== -1 && bytes.readUInt32LE(header + 4) === 0;
  };
  await until("it is said", isSaid);
  const damaged = disk.restarted();
  const bytes = Buffer.from(damaged.files().get(path) ?? []);
  // The value of the second set.
  const at = bytes.lastIndexOf("Aa") + 3;
  t.is(bytes[at], 0x32);
  bytes[at] = 0x33;
  damaged.put(path, bytes);
  await t.throwsAsync(openRig({ disk: damaged }), {
    code: "damaged",
    message: /log-000001-0000000001\.log, byte 40/,
  });
});

test("records are read back from any place, whole, from memory and from files", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.nat(300), { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 2_000 }),
      async (turns, bytesMax) => {
        const disk = createMemoryDisk();
        const rig = await openRig({ disk });
        for (const [i, sizes] of turns.entries()) {
          rig.write(...sizes.map((size, n) => set(`k${n}`, "v".repeat(size))));
          if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        await checkReads(t, rig, bytesMax);
        await durable(rig);
        await checkReads(t, rig, bytesMax);
        await rig.log.close();
        const again = await openRig({ disk: disk.restarted() });
        await checkReads(t, again, bytesMax);
        await again.log.close();
      },
    ),
    { numRuns: 25 },
  );
});

const cursor = createRecordCursor();

const checkReads = async (
  t: { is: (a: unknown, b: unknown) => unknown; true: (a: boolean) => unknown },
  { log }: Rig,
  bytesMax: number,
): Promise<void> => {
  for (let from = log.first(); from <= log.newest();) {
    const batch = await log.read(from, bytesMax);
    t.is(batch.first, from);
    let records = 0;
    let next = from;
    for (let at = 0; at < batch.bytes.length; records++) {
      at = cursor.next(batch.bytes, at);
      t.is(cursor.version, next);
      next = version(next + 1);
    }
    t.is(version(next - 1), batch.last);
    t.true(records === 1 || batch.bytes.length <= bytesMax);
    // Not from where the last one ended, so that every place in a frame is met.
    from = version(from + Math.max(1, Math.floor(records / 2)));
  }
};

test("a hold keeps what a reader still wants", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  const writeMany = async (): Promise<void> => {
    for (let i = 0; i < 30; i++) rig.write(set(`k${i % 3}`, `v${i}`));
    await durable(rig);
  };
  await writeMany();
  const from = version(5);
  const hold = rig.log.hold(from);
  for (let i = 0; i < 4; i++) {
    await writeMany();
    await rig.log.snapshot();
  }
  t.true(rig.log.first() <= from);
  t.is((await rig.log.read(from, 1)).first, from);
  hold.release();
  await until("it is let go", () => rig.log.first() > 60);
});

test("snapshots come by themselves as the log grows, and bound it", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, mode: "everysec", limits: { snapshotEveryBytes: 2_000 } });
  for (let i = 0; i < 400; i++) {
    rig.write(set(`k${i % 10}`, "v".repeat(40)));
    if (i % 4 === 0) await durable(rig);
  }
  await durable(rig);
  await until("old segments have gone", () => rig.log.first() > 200 && !rig.log.figures().isSnapshotting);
  t.is(rig.log.figures().snapshots, 2);
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
});

test("one large record is written, read and recovered", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, limits: { segmentBytes: 1e6, frameBytes: 1e5, writeBytes: 1e5 } });
  rig.write(set("small", "1"));
  rig.write(set("large", "x".repeat(900_000)));
  rig.write(set("small", "2"));
  await durable(rig);
  t.true((await rig.log.read(version(3), 10)).bytes.length > 900_000);
  await rig.log.snapshot();
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
  await again.log.snapshot();
  const third = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(third.holding), contentsOf(rig.holding));
});
