import test, { type ExecutionContext } from "ava";
import { EdisError } from "../../../core/errors.ts";
import type { Version } from "../../../core/ids.ts";
import type { Operation } from "../../../core/record.ts";
import { createMemoryDisk, type MemoryDisk } from "../../support/memoryDisk.ts";
import { until } from "../../support/net.ts";
import { contentsOf, del, folder, openRig, set, type Rig, type RigOptions } from "../../support/shardLog.ts";

type Story = {
  readonly disk: MemoryDisk;
  /** What a holding has at each version that was the end of a write. */
  readonly states: ReadonlyMap<Version, unknown>;
  readonly last: Version;
};

/** Some segments, two snapshots, and writes behind them. */
const tell = async (end: (rig: Rig) => Promise<void>, limits: RigOptions["limits"] = {}): Promise<Story> => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, limits });
  const states = new Map<Version, unknown>([[rig.holding.version, contentsOf(rig.holding)]]);
  // One after the other, each in a frame of its own.
  const done = async (): Promise<void> => {
    states.set(rig.holding.version, contentsOf(rig.holding));
    await until("it is durable", () => rig.told.durable === rig.holding.version);
  };
  const write = async (...operations: readonly Operation[]): Promise<void> => {
    rig.write(...operations);
    await done();
  };
  for (let i = 0; i < 12; i++)
    await write(set(`k${i % 5}`, `value ${i}`, i % 3 === 0 ? 7e12 : null), set("n", `${i}`));
  await rig.log.snapshot();
  for (let i = 0; i < 6; i++) await write(set(`k${i % 5}`, `next ${i}`));
  rig.enterMap();
  await done();
  rig.drop("k4");
  await done();
  await rig.log.snapshot();
  rig.drop("k3");
  await done();
  for (let i = 0; i < 4; i++) await write(del(`k${i}`), set("m", `${i}`));
  await end(rig);
  return { disk: disk.restarted(), states, last: rig.holding.version };
};

/** The version that was recovered, null where the files were refused as damaged. */
const recover = async (t: ExecutionContext, disk: MemoryDisk, { states }: Story): Promise<Version | null> => {
  let rig;
  try {
    rig = await openRig({ disk });
  } catch (error) {
    if (error instanceof EdisError && error.code === "damaged") return null;
    throw error;
  }
  const { version } = rig.holding;
  t.deepEqual(contentsOf(rig.holding), states.get(version), `what version ${version} had`);
  await rig.log.close();
  return version;
};

const withFile = (disk: MemoryDisk, path: string, bytes: Uint8Array): MemoryDisk => {
  const changed = disk.restarted();
  changed.put(path, bytes);
  return changed;
};

const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
  return copy;
};

test("a bit flipped anywhere in files that were closed is repaired or refused", async (t) => {
  const story = await tell((rig) => rig.log.close());
  const seen = { recovered: 0, refused: 0 };
  for (const [path, bytes] of story.disk.files()) {
    for (let at = 0; at < bytes.length; at++) {
      const version = await recover(t, withFile(story.disk, path, flipped(bytes, at)), story);
      if (version === null) seen.refused++;
      else seen.recovered++;
      t.true(version === null || version === story.last, `${path} at ${at}: ${version}`);
    }
  }
  t.log(seen);
  t.true(seen.recovered > 100 && seen.refused > 100);
});

test("a bit flipped anywhere in files of a killed process loses at most what nothing said was synced", async (t) => {
  const story = await tell(() => Promise.resolve());
  const beforeLast = [...story.states.keys()].at(-2) ?? 0;
  for (const [path, bytes] of story.disk.files()) {
    for (let at = 0; at < bytes.length; at++) {
      const version = await recover(t, withFile(story.disk, path, flipped(bytes, at)), story);
      t.true(version === null || version >= beforeLast, `${path} at ${at}: ${version}`);
    }
  }
});

test("a log cut at any byte of its last segments is recovered up to there", async (t) => {
  // Large enough for all that comes behind the snapshots.
  const story = await tell(() => Promise.resolve(), { segmentBytes: 4_000 });
  const segments = [...story.disk.files()].filter(
    ([path, { length }]) => path.endsWith(".log") && length > 0,
  );
  const [path, bytes] = segments.at(-1) ?? ["", Buffer.alloc(0)];
  const versions: number[] = [];
  for (let length = 0; length < bytes.length; length++)
    versions.push((await recover(t, withFile(story.disk, path, bytes.subarray(0, length)), story)) ?? 0);
  // What the manifest says was synced cannot be missed; from there on, the more there is the more is recovered.
  t.deepEqual(
    versions,
    versions.toSorted((a, b) => a - b),
  );
  t.true(new Set(versions).size >= 4, versions.join());
});

test("a log that was closed and then cut is refused", async (t) => {
  const story = await tell((rig) => rig.log.close());
  const segments = [...story.disk.files()].filter(
    ([path, { length }]) => path.endsWith(".log") && length > 0,
  );
  const [path, bytes] = segments.at(-1) ?? ["", Buffer.alloc(0)];
  const versions = new Set<Version | null>();
  for (let length = 0; length < bytes.length; length++)
    versions.add(await recover(t, withFile(story.disk, path, bytes.subarray(0, length)), story));
  // All is there where only the frame was cut that says that all is synced.
  versions.delete(story.last);
  t.deepEqual([...versions], [null]);
});

test("a file that is missing is refused, or done without", async (t) => {
  const story = await tell(() => Promise.resolve());
  for (const path of story.disk.files().keys()) {
    const without = new Map(story.disk.files());
    if ((without.get(path)?.length ?? 0) === 0) continue;
    without.delete(path);
    const version = await recover(t, createMemoryDisk(without), story);
    t.true(version === null || version === story.last, path);
  }
});

test("the torn end is kept aside", async (t) => {
  const story = await tell(() => Promise.resolve());
  const segments = [...story.disk.files()].filter(
    ([path, { length }]) => path.endsWith(".log") && length > 0,
  );
  const [path, bytes] = segments.at(-1) ?? ["", Buffer.alloc(0)];
  const disk = withFile(story.disk, path, bytes.subarray(0, bytes.length - 3));
  await recover(t, disk, story);
  const kept = [...disk.files()].filter(([name]) => name.startsWith(`${folder}/quarantine/`));
  t.is(kept.length, 1);
  t.deepEqual(kept[0]?.[1], bytes.subarray(bytes.length - 3 - (kept[0]?.[1].length ?? 0), bytes.length - 3));
});

test("a start that is killed while it tidies up is gone on with by the next", async (t) => {
  const disk = createMemoryDisk();
  const rig = await openRig({ disk, mode: "never" });
  rig.write(set("a", "1"));
  await until("it is written", () => rig.told.durable === rig.holding.version);
  await until("the manifest knows", () => {
    const text = disk.files().get(`${folder}/manifest.json`)?.toString() ?? "";
    return text.includes('"last":1');
  });
  // Nothing of it was synced: the first segment is torn from its first byte on, the next one is still empty.
  const path = `${folder}/log-000001-0000000001.log`;
  const torn = withFile(disk, path, flipped(disk.files().get(path) ?? Buffer.alloc(0), 3));
  for (let stop = 0; stop < 40; stop++) {
    const first = torn.restarted();
    first.stopAt(stop);
    await openRig({ disk: first }).catch(() => undefined);
    const { holding } = await openRig({ disk: first.restarted() });
    t.is(holding.store.keys(), 0);
    t.false(holding.complete);
  }
});
