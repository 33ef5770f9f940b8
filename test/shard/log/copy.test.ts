import test from "ava";
import { epoch, version } from "../../../core/ids.ts";
import { encodeEntry } from "../../../core/record.ts";
import { createMemoryDisk, noSpace } from "../../support/memoryDisk.ts";
import { until } from "../../support/net.ts";
import { contentsOf, folder, openRig, set, type Rig } from "../../support/shardLog.ts";

const durable = (rig: Rig): Promise<void> =>
  until("all is durable", () => rig.log.durable() === rig.holding.version);

const entry = (key: string): Uint8Array =>
  encodeEntry({ key: Buffer.from(key), value: Buffer.from("copied"), expiresAtMs: null });

/** The holding of a reader that begins a copy. */
const beginAt = ({ holding }: Rig, at: number): void => {
  holding.store.clear();
  Object.assign(holding, {
    ...{ version: version(at), epoch: epoch(5), bytes: 900, complete: false },
    history: [{ epoch: epoch(5), startVersion: version(at - 1) }],
  });
};

const copyOne = async (rig: Rig, at: number, quarantineFrom?: number): Promise<void> => {
  beginAt(rig, at);
  const copy = rig.log.beginCopy({
    version: version(at),
    ...(quarantineFrom === undefined ? {} : { quarantineFrom: version(quarantineFrom) }),
  });
  rig.holding.store.set(Buffer.from("a"), Buffer.from("copied"), null);
  await copy.add(entry("a"));
  rig.holding.complete = true;
  await copy.finish();
};

test("a copy takes the place of what was there, and goes on from its own place", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  for (let i = 0; i < 50; i++) rig.write(set(`k${i}`, "old"));
  await durable(rig);
  // The copy may stand before what was here.
  await copyOne(rig, 20);
  t.is(rig.log.newest(), version(20));
  t.is(rig.log.durable(), version(20));
  t.is(rig.log.first(), version(21));
  rig.write(set("b", "new"));
  await durable(rig);
  t.is((await rig.log.read(version(21), 10)).last, version(21));
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
  t.false([...disk.files().keys()].some((path) => path.includes("log-000001-")));
});

test("nothing of a copy is durable before it is whole", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  rig.write(set("k", "old"));
  await durable(rig);
  const before = { held: contentsOf(rig.holding), durable: rig.told.durable };
  beginAt(rig, 100);
  const copy = rig.log.beginCopy({ version: version(100) });
  await copy.add(entry("a"));
  rig.write(set("b", "meanwhile"));
  await new Promise((resolve) => setTimeout(resolve, 30));
  t.is(rig.log.durable(), version(0));
  t.is(rig.told.durable, before.durable);
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), before.held);
});

test("a copy that was given up leaves what was there, and another may be taken", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  rig.write(set("k", "old"));
  await durable(rig);
  const before = contentsOf(rig.holding);
  beginAt(rig, 100);
  const copy = rig.log.beginCopy({ version: version(100) });
  await copy.add(entry("a"));
  await copy.abort();
  await t.throwsAsync(copy.add(entry("b")), { code: "aborted" });
  await t.throwsAsync(copy.finish(), { code: "aborted" });
  t.is(rig.log.newest(), version(2));
  t.deepEqual(contentsOf((await openRig({ disk: disk.restarted() })).holding), before);
  beginAt(rig, 300);
  const second = rig.log.beginCopy({ version: version(300) });
  // Begun without giving the one before up: that is done for it.
  await copyOne(rig, 200);
  await t.throwsAsync(second.finish(), { code: "aborted" });
  rig.write(set("b", "new"));
  await durable(rig);
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
  const files = [...disk.files().keys()].filter((path) => /\.(?:log|snap)$/.test(path));
  await again.log.close();
  t.is(files.length, 3, files.join());
});

test("records that are not part of the new history are kept aside, the newest of them", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, limits: { quarantineBytes: 1_500 } });
  for (let i = 0; i < 80; i++) {
    rig.write(set(`k${i}`, "v".repeat(30)));
    await durable(rig);
  }
  const newest = [...disk.files().keys()]
    .filter((path) => path.endsWith(".log"))
    .toSorted()
    .at(-2);
  await copyOne(rig, 40, 40);
  await until(
    "the old is let go",
    () => ![...disk.files().keys()].some((path) => path.startsWith(`${folder}/log-000001`)),
  );
  const kept = [...disk.files()].filter(([path]) => path.startsWith(`${folder}/quarantine/`));
  t.true(kept.length >= 1);
  t.true(kept.reduce((sum, [, { length }]) => sum + length, 0) <= 1_500);
  t.true(kept.some(([path]) => path.endsWith(newest?.slice(folder.length) ?? "?")));
});

test("a copy without room is refused, and what was there stays", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  rig.write(set("k", "old"));
  await durable(rig);
  const before = contentsOf(rig.holding);
  for (const part of [".snap", "manifest.json.new"]) {
    disk.fault = ({ kind, path }) => (kind === "write" && path.endsWith(part) ? noSpace() : null);
    await t.throwsAsync(copyOne(rig, 100), { code: "disk-full" }, part);
    t.deepEqual(contentsOf((await openRig({ disk: disk.restarted() })).holding), before, part);
  }
  t.deepEqual(rig.told.failures, []);
  disk.fault = () => null;
  await copyOne(rig, 100);
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
});

test("a snapshot that is under way is given up for a copy", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, limits: { sliceMs: 0 } });
  for (let i = 0; i < 200; i++) rig.write(set(`k${i}`, "old"));
  await durable(rig);
  const snapshot = rig.log.snapshot();
  await copyOne(rig, 500);
  await t.throwsAsync(snapshot, { code: "aborted" });
  await rig.log.snapshot();
  const again = await openRig({ disk: disk.restarted() });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
});

test("nothing at no place is not a whole copy after a restart", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk });
  rig.write(set("k", "old"));
  await durable(rig);
  rig.holding.store.clear();
  Object.assign(rig.holding, {
    version: version(0),
    epoch: epoch(0),
    bytes: 0,
    history: [],
    complete: false,
  });
  await rig.log.beginCopy({ version: version(0) }).finish();
  const again = await openRig({ disk: disk.restarted() });
  t.false(again.holding.complete);
  t.is(again.holding.store.keys(), 0);
  rig.write(set("k", "new"));
  await durable(rig);
  t.true((await openRig({ disk: disk.restarted() })).holding.complete);
});
