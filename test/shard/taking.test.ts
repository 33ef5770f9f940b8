import test from "ava";
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../core/clock.ts";
import { EdisError } from "../../core/errors.ts";
import { createLogger } from "../../core/logger.ts";
import { systemDisk, type Disk } from "../../shard/log/disk.ts";
import { takeVolume, type TakeOptions } from "../../shard/taking.ts";
import { createMemoryDisk } from "../support/memoryDisk.ts";

const logger = createLogger("silent", {});
const optionsOf = (folder: string, uid: string, disk: Disk = systemDisk): TakeOptions => ({
  ...{ disk, folder, uid, clock: systemClock, logger },
});
/** Another process takes it; resolves to it, and when it says that it started. */
const takenByChild = async (
  folder: string,
): Promise<{ readonly child: ChildProcessWithoutNullStreams; readonly startedAtMs: number }> => {
  const child = spawn(process.execPath, ["test/support/lockChild.ts", folder]);
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  return { child, startedAtMs: Number(said.toString()) };
};
const ended = async (child: ChildProcessWithoutNullStreams, signal: NodeJS.Signals): Promise<void> => {
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
};

test("a volume is one process's: the next one waits until it has ended, and knows that it has", async (t) => {
  const folder = join(await mkdtemp(join(tmpdir(), "edis-taking-")), "data");
  const { child, startedAtMs } = await takenByChild(folder);
  let isTaken = false;
  const taking = takeVolume(optionsOf(folder, "second")).then((taken) => {
    isTaken = true;
    return taken;
  });
  // One that is frozen may go on: it has the volume.
  child.kill("SIGSTOP");
  t.is(systemDisk.lock(join(folder, "lock")), null);
  await systemClock.sleep(120);
  t.false(isTaken);
  await ended(child, "SIGKILL");
  const second = await taking;
  t.deepEqual(second.ended, [{ uid: "child", startedAtMs }]);
  t.is(systemDisk.lock(join(folder, "lock")), null);
  second.release();
  const third = await takeVolume(optionsOf(folder, "third"));
  const { uid, startedAtMs: secondMs } = second;
  t.deepEqual(third.ended, [
    { uid, startedAtMs: secondMs },
    { uid: "child", startedAtMs },
  ]);
  third.release();
  await rm(folder, { recursive: true });
});

test("under another kernel nobody is known to have ended; nor where what was noted cannot be read", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "edis-taking-"));
  (await takeVolume(optionsOf(folder, "first"))).release();
  const elsewhere = { ...systemDisk, kernel: () => Promise.resolve("another") };
  const second = await takeVolume(optionsOf(folder, "second", elsewhere));
  t.deepEqual(second.ended, []);
  t.deepEqual(
    second.had.map(({ uid }) => uid),
    ["first"],
    "but it had this very volume",
  );
  second.release();
  await writeFile(join(folder, "holder.json"), "{}");
  const third = await takeVolume(optionsOf(folder, "third"));
  t.deepEqual([third.ended, third.had], [[], []]);
  third.release();
  await rm(folder, { recursive: true });
});

test("a full volume can be taken all the same; a folder that cannot be used is said", async (t) => {
  const disk = createMemoryDisk();
  disk.capacity = 0;
  t.deepEqual((await takeVolume(optionsOf("data", "first", disk))).ended, []);
  const folder = await mkdtemp(join(tmpdir(), "edis-taking-"));
  await writeFile(join(folder, "file"), "");
  const error = await t.throwsAsync(takeVolume(optionsOf(join(folder, "file/data"), "first")), {
    instanceOf: EdisError,
  });
  t.is(error.code, "bad-argument");
  t.regex(error.message, /^Cannot use .*file\/data for data: .*EDIS_DATA$/);
  await rm(folder, { recursive: true });
});

test("of many processes the latest are noted", async (t) => {
  const disk = createMemoryDisk();
  for (let i = 0; i < 40; i++) await takeVolume(optionsOf("data", `start ${i}`, disk));
  const { ended: latest } = await takeVolume(optionsOf("data", "last", disk));
  t.deepEqual([latest.length, latest[0]?.uid, latest.at(-1)?.uid], [16, "start 39", "start 24"]);
});
