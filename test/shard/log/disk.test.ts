import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test, { type ExecutionContext } from "ava";
import { systemDisk } from "../../../shard/log/disk.ts";
import { until } from "../../support/net.ts";
import { contentsOf, entriesOf, openRig, set } from "../../support/shardLog.ts";

const temporary = async (t: ExecutionContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "edis-log-"));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
};

test("a log on a real disk comes back with its snapshots and segments", async (t) => {
  const folder = join(await temporary(t), "deep", "shard-2");
  const rig = await openRig({ disk: systemDisk, folder });
  for (let i = 0; i < 200; i++) {
    rig.write(set(`k${i % 9}`, "v".repeat(i)));
    if (i % 50 === 49) await rig.log.snapshot();
  }
  await until("all is durable", () => rig.told.durable === rig.holding.version);
  t.true(rig.log.first() > 1);
  await rig.log.read(rig.log.first(), 10_000);
  await rig.log.close();
  const again = await openRig({ disk: systemDisk, folder });
  t.deepEqual(contentsOf(again.holding), contentsOf(rig.holding));
  t.true((await again.log.read(again.log.first(), 10_000)).bytes.length > 0);
  await again.log.close();
  const names = await readdir(folder);
  t.is(names.filter((name) => name.endsWith(".snap")).length, 2);
  t.true(names.includes("identity.json") && names.includes("manifest.json"));
});

test("a file that was closed is not touched through an old hand", async (t) => {
  const path = join(await temporary(t), "file");
  const file = await systemDisk.open(path, "create");
  await file.write([Buffer.from("some"), Buffer.from("thing")], 0);
  const target = Buffer.alloc(20);
  const reading = file.read(target, 0);
  const closing = file.close();
  t.is(await reading, 9);
  await closing;
  await t.throwsAsync(file.read(target, 0), { message: /closed/ });
  t.throws(() => file.writeNow([Buffer.from("x")], 0), { message: /closed/ });
  t.true((await systemDisk.space(path)).total > 0);
  t.deepEqual(await systemDisk.list(join(path, "nowhere")).catch(() => "no folder"), "no folder");
});

for (const mode of ["always", "everysec", "never"] as const)
  test(`a process that is killed while it writes finds what it said was durable: ${mode}`, async (t) => {
    const folder = await temporary(t);
    let least = 0;
    for (let round = 0; round < 3; round++) {
      const said = await writeUntilKilled(folder, mode, 20 + round * 15);
      t.true(said > least, `${said} after ${least}`);
      const rig = await openRig({ disk: systemDisk, folder });
      const { version, store } = rig.holding;
      // While a sync is under way `everysec` answers for what it holds in memory.
      if (mode !== "everysec") t.true(version >= said, `found ${version}, ${said} were durable`);
      for (const [key, value] of Object.entries(entriesOf(store)))
        t.true(Number(value.split("@")[0]) > version - 100, `${key} is ${value} at ${version}`);
      least = version;
      await rig.log.close();
    }
  });

/** The newest version that the child said was durable before it was killed. */
const writeUntilKilled = async (folder: string, mode: string, lines: number): Promise<number> => {
  const child = spawn(process.execPath, ["test/support/logChild.ts", folder, mode], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  let said = 0;
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    said = Number(line);
    if (++count === lines) child.kill("SIGKILL");
  }
  await ended;
  return said;
};
