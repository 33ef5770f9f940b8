import test, { type ExecutionContext } from "ava";
import { encodeEntry } from "../../../core/record.ts";
import { epoch, version, type Version } from "../../../core/ids.ts";
import type { Fsync } from "../../../shard/log/log.ts";
import { randomFrom } from "../../support/hostile.ts";
import { createMemoryDisk, type MemoryDisk } from "../../support/memoryDisk.ts";
import { until } from "../../support/net.ts";
import { contentsOf, del, openRig, set, type Rig } from "../../support/shardLog.ts";

/** What the story has got to by the time the process ends. */
type Progress = {
  /** What the holding had at each version, before the copy and from its beginning on. */
  readonly old: Map<Version, unknown>;
  readonly copied: Map<Version, unknown>;
  /** The newest version that was said to be durable, of either. */
  durable: Version;
  copy: "none" | "begun" | "finished";
};

/** Writes, rotation, snapshots, then a full copy of other data and writes behind it. */
const tell = async (disk: MemoryDisk, mode: Fsync, progress: Progress): Promise<void> => {
  const rig = await openRig({ disk, mode });
  const note = (): void => {
    (progress.copy === "none" ? progress.old : progress.copied).set(
      rig.holding.version,
      contentsOf(rig.holding),
    );
  };
  const settled = async (): Promise<void> => {
    await until(
      "it is durable or over",
      () => rig.told.failures.length > 0 || rig.log.durable() === rig.log.newest(),
    );
    if (rig.told.failures.length > 0) throw new Error("It has failed");
    progress.durable = rig.log.durable();
  };
  const writeSome = async (from: number, count: number): Promise<void> => {
    for (let i = from; i < from + count; i++) {
      rig.write(
        set(`key ${i % 4}`, `value ${i}`),
        i % 5 === 0 ? del(`key ${(i + 1) % 4}`) : set("n", `${i}`),
      );
      note();
      if (i % 2 === 0) await settled();
    }
    await settled();
  };
  note();
  await writeSome(0, 8);
  await rig.log.snapshot();
  await writeSome(8, 4);
  await rig.log.snapshot();
  await writeSome(12, 3);
  await copyIn(rig, progress, note);
  await settled();
  await writeSome(40, 6);
  await rig.log.close();
};

const copyIn = async ({ log, holding, write }: Rig, progress: Progress, note: () => void): Promise<void> => {
  progress.copy = "begun";
  holding.store.clear();
  Object.assign(holding, {
    ...{ version: version(100), epoch: epoch(9), bytes: 4_000, complete: true },
    history: [{ epoch: epoch(9), startVersion: version(50) }],
  });
  const copy = log.beginCopy({ version: holding.version, quarantineFrom: version(20) });
  for (let i = 0; i < 6; i++) {
    const entry = {
      key: Buffer.from(`copied ${i}`),
      value: Buffer.from("x".repeat(i * 10)),
      expiresAtMs: null,
    };
    holding.store.set(entry.key, entry.value, entry.expiresAtMs);
    await copy.add(encodeEntry(entry));
    write(set(`copied ${i - 1}`, `changed ${i}`), set(`meanwhile ${i}`, "y"));
    note();
  }
  await copy.finish();
  progress.copy = "finished";
  progress.durable = log.durable();
};

const freshProgress = (): Progress => ({
  old: new Map(),
  copied: new Map(),
  durable: version(0),
  copy: "none",
});

const check = async (
  t: ExecutionContext,
  disk: MemoryDisk,
  { what, ...progress }: Progress & { readonly what: string },
): Promise<void> => {
  const { holding, log } = await openRig({ disk });
  const found = contentsOf(holding);
  const isCopied = holding.version >= 100;
  t.true(
    holding.version >= progress.durable || (progress.copy === "begun" && isCopied),
    `${what}: durable ${progress.durable}, found ${holding.version}`,
  );
  if (progress.copy === "finished") t.true(isCopied, what);
  const states = isCopied ? progress.copied : progress.old;
  if (holding.version > 0)
    t.deepEqual(found, states.get(holding.version), `${what}: version ${holding.version}`);
  t.true(holding.complete === holding.version > 0, what);
  // What was found is served, so it must not get lost any more.
  const again = await openRig({ disk: disk.afterPowerLoss(randomFrom(disk.operations())) });
  t.deepEqual(contentsOf(again.holding), found, `${what}, then power was lost`);
  await again.log.close();
  await log.close();
};

const operationsOf = async (mode: Fsync): Promise<number> => {
  const disk = createMemoryDisk();
  await tell(disk, mode, freshProgress());
  return disk.operations();
};

for (const mode of ["always", "everysec", "never"] as const) {
  test(`a process that is killed at any operation finds what was durable: ${mode}`, async (t) => {
    const count = await operationsOf(mode);
    t.log(`${count} operations`);
    t.true(count > 60);
    for (let stop = 0; stop <= count; stop++) {
      const disk = createMemoryDisk();
      const progress = freshProgress();
      disk.stopAt(stop);
      await t.notThrowsAsync(tell(disk, mode, progress).catch(() => undefined));
      await check(t, disk.restarted(), { ...progress, what: `stopped at ${stop}` });
    }
  });
}

test("a loss of power at any operation loses nothing that was durable: always", async (t) => {
  const count = await operationsOf("always");
  const random = randomFrom(7);
  for (let stop = 0; stop <= count; stop++) {
    const disk = createMemoryDisk();
    const progress = freshProgress();
    disk.stopAt(stop);
    await tell(disk, "always", progress).catch(() => undefined);
    for (let i = 0; i < 6; i++)
      await check(t, disk.afterPowerLoss(random), {
        ...progress,
        what: `power lost at ${stop}, chance ${i}`,
      });
  }
});

test("a loss of power leaves a state that there was: everysec", async (t) => {
  const count = await operationsOf("everysec");
  const random = randomFrom(8);
  for (let stop = 0; stop <= count; stop++) {
    const disk = createMemoryDisk();
    const progress = freshProgress();
    disk.stopAt(stop);
    await tell(disk, "everysec", progress).catch(() => undefined);
    const isFinished = progress.copy === "finished";
    for (let i = 0; i < 6; i++)
      await check(t, disk.afterPowerLoss(random), {
        ...{ ...progress, durable: version(isFinished ? 100 : 0) },
        what: `power lost at ${stop}, chance ${i}`,
      });
  }
});
