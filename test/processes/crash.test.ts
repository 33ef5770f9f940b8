import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../core/clock.ts";
import { fsyncs, type Fsync } from "../../core/settings.ts";
import { connectToShard, get, set, type ShardClient } from "../support/shardClient.ts";
import { addressOf, readerPodName, streaming, writerPodName } from "../support/shardPair.ts";
import { shardOwnedBy, startTestInfo, type TestInfo } from "../support/shardInfo.ts";
import { startShardProcess, type ShardProcess } from "../support/shardProcess.ts";

// An owner is killed under full write load, again and again, and goes on from its volume. `EDIS_CRASHES` says how often per
// mode (200 for the figures in docs/benchmarks.md), which then meets the log's rotation and snapshots as well.

const crashes = Number(process.env["EDIS_CRASHES"] ?? 3);
const keyCount = 512;
const keysPerFrame = 16;
const framesUnderWay = 8;
/** Large enough that a second of load fills a segment and asks for a snapshot. */
const valueBytes = 4096;

/** What a key was last asked to hold, and what of that was acknowledged, when. */
type Told = { asked: number; acked: { readonly n: number; readonly atMs: number }[] };
type World = {
  readonly info: TestInfo;
  readonly folder: string;
  readonly mode: Fsync;
  writer: ShardProcess;
  epoch: number;
  readonly told: readonly Told[];
};

const start = (world: Pick<World, "info" | "folder">, role: "writer" | "reader"): ShardProcess => {
  const pod = role === "writer" ? writerPodName : readerPodName;
  const env = { EDIS_DATA: join(world.folder, role) };
  return startShardProcess({ role, pod, info: world.info.url, env });
};

/** Names the newest process of the writer owner of the next epoch, and waits until it serves. */
const own = async (world: World, not?: string): Promise<ShardClient> => {
  const { info } = world;
  const owner = await info.registered(writerPodName, not);
  const at = ++world.epoch;
  info.publish([shardOwnedBy(owner, { at })], { [readerPodName]: 0 });
  await info.reported(writerPodName, ({ serving }) => serving.kind === "owner" && serving.epoch === at);
  return connectToShard(addressOf(info, writerPodName));
};

const valueOf = (n: number): string => String(n).padEnd(valueBytes, ".");

/** Writes rising numbers to all keys, some frames at a time, until the connection is gone. */
const load = async (world: World, client: ShardClient): Promise<void> => {
  let next = 0;
  const write = async (): Promise<void> => {
    for (;;) {
      const first = next;
      next = (next + keysPerFrame) % keyCount;
      const keys = Array.from({ length: keysPerFrame }, (_, i) => first + i);
      const numbers = keys.map((key) => {
        const told = world.told[key];
        return told === undefined ? 0 : ++told.asked;
      });
      const results = await client.ask(
        keys.map((key, i) => set(`key:${key}`, valueOf(numbers[i] ?? 0))),
        { epoch: world.epoch },
      );
      const atMs = systemClock.nowMs();
      results.forEach((result, i) => {
        if (result.kind === "set") world.told[keys[i] ?? 0]?.acked.push({ n: numbers[i] ?? 0, atMs });
      });
    }
  };
  await Promise.allSettled(Array.from({ length: framesUnderWay }, write));
};

const readAll = async (client: ShardClient, world: World): Promise<readonly number[]> => {
  const numbers: number[] = [];
  for (let first = 0; first < keyCount; first += keysPerFrame) {
    const keys = Array.from({ length: keysPerFrame }, (_, i) => get(`key:${first + i}`));
    for (const result of await client.ask(keys, { epoch: world.epoch })) {
      if (result.kind !== "value") throw new Error(`cannot read: ${JSON.stringify(result)}`);
      numbers.push(result.value === null ? 0 : Number.parseInt(Buffer.from(result.value).toString(), 10));
    }
  }
  return numbers;
};

type Found = { lost: number; lostBeforeMs: number; madeUp: number };

/** Compares what is there with what was acknowledged before the writer was killed. */
const check = (world: World, numbers: readonly number[], killedAtMs: number): Found => {
  const found = { lost: 0, lostBeforeMs: 0, madeUp: 0 };
  world.told.forEach((told, key) => {
    const holds = numbers[key] ?? 0;
    if (holds > told.asked) found.madeUp++;
    const lost = told.acked.filter(({ n }) => n > holds);
    found.lost += lost.length;
    for (const { atMs } of lost) found.lostBeforeMs = Math.max(found.lostBeforeMs, killedAtMs - atMs);
    // What was not acknowledged and is there all the same stays.
    told.acked.length = 0;
    told.asked = Math.max(told.asked, holds);
  });
  return found;
};

const crash = async (t: ExecutionContext, world: World, loadMs: number): Promise<number> => {
  const { info, told } = world;
  const lost = info.sessions.get(writerPodName)?.incarnation;
  const client = await connectToShard(addressOf(info, writerPodName));
  const loading = load(world, client);
  await systemClock.sleep(loadMs);
  const killedAtMs = systemClock.nowMs();
  await world.writer.kill();
  await loading;
  const acked = told.reduce((sum, one) => sum + one.acked.length, 0);

  world.writer = start(world, "writer");
  const again = await own(world, lost).catch((error: unknown) => {
    t.log(world.writer.log());
    throw error;
  });
  const numbers = await readAll(again, world);
  const found = check(world, numbers, killedAtMs);
  t.is(found.madeUp, 0, "nothing is there that nobody wrote");
  if (world.mode === "always") t.is(found.lost, 0);
  else t.true(found.lostBeforeMs < 1_000, `lost what was acknowledged ${found.lostBeforeMs} ms before`);

  await streaming(info);
  const { version } = await info.reported(writerPodName, ({ serving }) => serving.kind === "owner");
  await info.reported(readerPodName, (report) => report.version >= version);
  const reader = await connectToShard(addressOf(info, readerPodName));
  t.deepEqual(await readAll(reader, world), numbers, "the reader holds the same");
  for (const one of [again, reader]) one.close();
  return acked;
};

for (const mode of fsyncs)
  test.serial(
    `an owner that is killed under load comes back with what it acknowledged: fsync ${mode}`,
    async (t) => {
      t.timeout(60_000 + crashes * 20_000);
      const info = await startTestInfo();
      const folder = mkdtempSync(join(tmpdir(), "edis-crash-"));
      const told = Array.from({ length: keyCount }, () => ({ asked: 0, acked: [] }));
      const world: World = { info, folder, mode, writer: start({ info, folder }, "writer"), epoch: 0, told };
      const reader = start(world, "reader");
      t.teardown(async () => {
        await Promise.all([world.writer.kill(), reader.kill(), info.close()]);
        rmSync(folder, { recursive: true });
      });
      await info.registered(readerPodName);
      info.tell({ fsync: mode });
      (await own(world)).close();
      let acked = 0;
      for (let i = 0; i < crashes; i++) acked += await crash(t, world, 100 + ((i * 617) % 900));
      t.true(acked > crashes * 100, `${acked} writes were acknowledged`);
      t.log(`${crashes} kills, ${acked} writes of ${valueBytes} bytes acknowledged, none lost`);
    },
  );
