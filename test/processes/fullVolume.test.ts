import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { logReserveShareMax } from "../../core/limits.ts";
import type { ReadLevel } from "../../core/request.ts";
import type { Fsync } from "../../core/settings.ts";
import { isNoSpace } from "../../shard/log/disk.ts";
import { respClient } from "../support/respClient.ts";
import { connectToShard, get, set, textOf, type ShardClient } from "../support/shardClient.ts";
import { shardOwnedBy, startTestInfo, type TestInfo } from "../support/shardInfo.ts";
import { addressOf, readerPodName, streaming, writerPodName } from "../support/shardPair.ts";
import { startShardProcess, type ShardProcess } from "../support/shardProcess.ts";
import { until } from "../support/shardUntil.ts";

// Real shard processes on a real small volume: a file system in memory, which only root may mount.

const MiB = 1024 * 1024;
const volumeBytes = 96 * MiB;
const keyCount = 256;
const valueBytes = 16 * 1024;
const framesUnderWay = 8;
const setsPerFrame = 16;
const misconf = "-MISCONF Errors writing to the AOF file: No space left on device\r\n";

/** A file system of 96 MiB, taken away after the test; null where this process may not mount one. */
const mountVolume = (t: ExecutionContext): string | null => {
  const folder = mkdtempSync(join(tmpdir(), "edis-volume-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${volumeBytes}`, "edis-test", folder], {
      stdio: "pipe",
    });
  } catch (error) {
    rmdirSync(folder);
    t.log(`skipped: no file system can be mounted here: ${String(error)}`);
    t.pass();
    return null;
  }
  t.teardown(() => {
    execFileSync("umount", [folder]);
    rmdirSync(folder);
  });
  return folder;
};

const freeBytes = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};
/** Puts something else on the volume that leaves so much room, or takes the last byte while others write as well. */
const fillUpTo = (folder: string, leftBytes: number): void => {
  try {
    writeFileSync(join(folder, "ballast"), Buffer.alloc(freeBytes(folder) - leftBytes));
  } catch (error) {
    if (leftBytes > 0 || !isNoSpace(error)) throw error;
  }
};
const makeRoom = (folder: string): void => {
  rmSync(join(folder, "ballast"));
};

/** What each key was asked to hold last, and the newest of it that was acknowledged. */
type Ledger = { readonly asked: number[]; readonly acked: number[] };
const emptyLedger = (): Ledger => ({
  asked: Array.from({ length: keyCount }, () => 0),
  acked: Array.from({ length: keyCount }, () => 0),
});
const valueOf = (n: number): string => String(n).padEnd(valueBytes, ".");

/** Writes rising numbers to all keys until `isOver` says so of a result's code, or the connection is gone. */
const load = async (
  client: ShardClient,
  { asked, acked }: Ledger,
  options: { readonly epoch: number; readonly isOver: (code: string | null) => boolean },
): Promise<void> => {
  let next = 0;
  const over = new AbortController();
  const write = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const keys = Array.from({ length: setsPerFrame }, (_, i) => (next + i) % keyCount);
      next += setsPerFrame;
      const numbers = keys.map((key) => (asked[key] = (asked[key] ?? 0) + 1));
      const sets = keys.map((key, i) => set(`key:${key}`, valueOf(numbers[i] ?? 0)));
      const results = await client.ask(sets, { epoch: options.epoch });
      results.forEach((result, i) => {
        const key = keys[i] ?? 0;
        if (result.kind === "set") acked[key] = Math.max(acked[key] ?? 0, numbers[i] ?? 0);
        if (options.isOver(result.kind === "error" ? result.code : null)) over.abort();
      });
    }
  };
  await Promise.all(Array.from({ length: framesUnderWay }, write));
};

/** Every key holds what was acknowledged last, or what was asked for later. */
const compare = async (
  t: ExecutionContext,
  client: ShardClient,
  [ledger, at]: readonly [Ledger, number],
): Promise<void> => {
  const wrong: string[] = [];
  for (let key = 0; key < keyCount; key++) {
    const [result] = await client.ask([get(`key:${key}`)], { epoch: at });
    const text = textOf(result);
    const holds = text === null ? 0 : Number.parseInt(text, 10);
    const [acked = 0, asked = 0] = [ledger.acked[key], ledger.asked[key]];
    if (!(holds >= acked && holds <= asked))
      wrong.push(`${key}: ${acked} to ${asked}, is ${text?.slice(0, 40) ?? "none"}`);
  }
  t.deepEqual(wrong, []);
};

type World = { readonly info: TestInfo; readonly folder: string; epoch: number; writer: ShardProcess };

const startWriter = ({ info, folder }: Pick<World, "info" | "folder">): ShardProcess =>
  startShardProcess({
    ...{ role: "writer", pod: writerPodName, info: info.url },
    env: { EDIS_DATA: join(folder, "data") },
  });
const own = async (world: World, not?: string): Promise<ShardClient> => {
  const owner = await world.info.registered(writerPodName, not);
  const at = ++world.epoch;
  world.info.publish([shardOwnedBy(owner, { at })], { [readerPodName]: 0 });
  await world.info.reported(writerPodName, ({ serving }) => serving.kind === "owner" && serving.epoch === at);
  return connectToShard(addressOf(world.info, writerPodName));
};
/** Ends the writer and starts it anew on the same volume. */
const restart = async (world: World, signal: "SIGTERM" | "SIGKILL"): Promise<ShardClient> => {
  const before = world.info.sessions.get(writerPodName)?.incarnation;
  world.writer.signal(signal);
  await world.writer.ended;
  world.writer = startWriter(world);
  return own(world, before);
};

const isFull = (code: string | null): boolean => code === "disk-full";

for (const fsync of ["always", "everysec"] satisfies Fsync[])
  test.serial(
    `an owner whose volume is full refuses writes, reads on, and goes on with room: ${fsync}`,
    async (t) => {
      t.timeout(120_000);
      const folder = mountVolume(t);
      if (folder === null) return;
      fillUpTo(folder, 48 * MiB);
      const info = await startTestInfo();
      const world: World = { info, folder, epoch: 0, writer: startWriter({ info, folder }) };
      t.teardown(async () => {
        await world.writer.kill();
        await info.close();
      });
      info.tell({ fsync });
      let client = await own(world);
      const ledger = emptyLedger();

      await load(client, ledger, { epoch: world.epoch, isOver: isFull });
      const free = freeBytes(folder);
      t.true(free > 0 && free < volumeBytes * logReserveShareMax * 1.25, `${free} bytes are left`);
      const resp = await respClient(addressOf(info, writerPodName).resp);
      const said = await resp.send(
        ["SET", "a", "1"],
        ["MULTI"],
        ["SET", "a", "1"],
        ["GET", "key:0"],
        ["EXEC"],
      );
      t.is(said[0]?.toString(), misconf);
      t.is(said[2]?.toString(), misconf);
      t.regex(said[4]?.toString() ?? "", /^-(EXECABORT|MISCONF) /);
      await resp.send(["RESET"]);
      t.is((await resp.send(["GET", "a"]))[0]?.toString(), "$-1\r\n");
      await compare(t, client, [ledger, world.epoch]);
      t.regex(world.writer.log(), /the volume is full: writes are refused, reads go on/);

      // A container that is killed and started again finds the volume as full as it was.
      client = await restart(world, "SIGKILL");
      await compare(t, client, [ledger, world.epoch]);
      await until("it refuses writes again", async () => {
        const [result] = await client.ask([set("full", "?")], { epoch: world.epoch });
        return result?.kind === "error" && result.code === "disk-full";
      });

      makeRoom(folder);
      await until("writes go on", async () => {
        const [result] = await client.ask([set("full", "no more")], { epoch: world.epoch });
        return result?.kind === "set";
      });
      let writes = 0;
      await load(client, ledger, { epoch: world.epoch, isOver: (code) => code !== null || ++writes > 500 });
      client = await restart(world, "SIGTERM");
      await compare(t, client, [ledger, world.epoch]);
      t.is(textOf((await client.ask([get("full")], { epoch: world.epoch }))[0]), "no more");
    },
  );

test.serial(
  "an owner whose volume is filled by others to the last byte keeps what it acknowledged",
  async (t) => {
    t.timeout(120_000);
    const folder = mountVolume(t);
    if (folder === null) return;
    const info = await startTestInfo();
    const world: World = { info, folder, epoch: 0, writer: startWriter({ info, folder }) };
    t.teardown(async () => {
      await world.writer.kill();
      await info.close();
    });
    info.tell({ fsync: "always" });
    let client = await own(world);
    const ledger = emptyLedger();
    let writes = 0;
    await load(client, ledger, { epoch: world.epoch, isOver: () => ++writes > 500 });

    const loading = load(client, ledger, { epoch: world.epoch, isOver: isFull });
    fillUpTo(folder, 0);
    await until("writes are refused", () => world.writer.log().includes("writes are refused"));
    // What waits when the volume becomes full is cut off.
    const say = async (...command: readonly string[]): Promise<string> => {
      const resp = await respClient(addressOf(info, writerPodName).resp);
      const [said] = await resp.send(command).catch(() => [Buffer.from("cut off")]);
      resp.close();
      return said?.toString() ?? "nothing";
    };
    t.is(await say("EXISTS", "key:0"), ":1\r\n");
    t.is(await say("SET", "a", "1"), misconf);
    t.true(freeBytes(folder) < 64 * 1024);
    t.is(world.writer.child.exitCode, null);
    await loading;

    // What was appended before is written once there is room.
    makeRoom(folder);
    await until("writes go on", async () => (await say("SET", "a", "1")) === "+OK\r\n");
    fillUpTo(folder, 0);
    await until("writes are refused again", async () => (await say("SET", "a", "2")) === misconf);
    client = await restart(world, "SIGTERM");
    await compare(t, client, [ledger, world.epoch]);
    makeRoom(folder);
    await until("writes go on", async () => {
      const [result] = await client.ask([set("after", "yes")], { epoch: world.epoch });
      return result?.kind === "set";
    });
    client = await restart(world, "SIGKILL");
    await compare(t, client, [ledger, world.epoch]);
  },
);

test.serial("a reader whose volume is full reads on, and follows again once there is room", async (t) => {
  t.timeout(120_000);
  const folder = mountVolume(t);
  if (folder === null) return;
  fillUpTo(folder, 48 * MiB);
  const info = await startTestInfo();
  const writer = startShardProcess({ role: "writer", pod: writerPodName, info: info.url });
  const world: World = { info, folder, epoch: 0, writer };
  const startReader = (): ShardProcess =>
    startShardProcess({
      ...{ role: "reader", pod: readerPodName, info: info.url },
      env: { EDIS_DATA: join(folder, "data") },
    });
  let reader = startReader();
  t.teardown(async () => {
    await Promise.all([writer.kill(), reader.kill(), info.close()]);
  });
  await info.registered(readerPodName);
  const client = await own(world);
  await streaming(info);
  const ledger = emptyLedger();
  const state = (): string => {
    const serving = info.sessions.get(readerPodName)?.report?.serving;
    return serving?.kind === "reader" ? serving.state : "nothing";
  };
  const isOver = (): boolean => state() !== "streaming";
  await load(client, ledger, { epoch: world.epoch, isOver });
  t.regex(reader.log(), /the volume is full/);
  t.true(freeBytes(folder) > 0, "the reserve is not touched");
  const held = await info.reported(readerPodName, () => true);
  // The owner goes on without it.
  const [later] = await client.ask([set("later", "there")], { epoch: world.epoch });
  t.is(later?.kind, "set");
  const reads = await connectToShard(addressOf(info, readerPodName));
  const stale: ReadLevel = { kind: "eventual", lagMsMax: 600_000 };
  const found = await reads.ask([get("key:0", stale), get("later", stale), get("key:0")]);
  t.regex(textOf(found[0]) ?? "", /^[1-9]/, "it reads on, for whoever is content with old data");
  t.is(textOf(found[1]), null);
  await until(
    "others are told that it lags",
    async () => textOf((await reads.ask([get("later")]))[0]) === "error lagging",
  );

  makeRoom(folder);
  await streaming(info);
  await until("it follows", async () => textOf((await reads.ask([get("later")]))[0]) === "there");
  t.true(
    (await info.reported(readerPodName, ({ version }) => version > held.version)).version > held.version,
  );
  await compare(t, reads, [ledger, world.epoch]);
  t.notRegex(reader.log(), /full copy taken.*full copy taken/s, "it went on where it stood");

  reader.signal("SIGKILL");
  await reader.ended;
  const gone = held.incarnation;
  reader = startReader();
  await info.registered(readerPodName, gone);
  info.publish([...info.topology().shards]);
  await streaming(info);
  await compare(t, await connectToShard(addressOf(info, readerPodName)), [ledger, world.epoch]);
  t.notRegex(reader.log(), /full copy taken/);
});

test.serial("a reader whose volume has no room for the copy takes it once there is room", async (t) => {
  t.timeout(120_000);
  const folder = mountVolume(t);
  if (folder === null) return;
  const info = await startTestInfo();
  const writer = startShardProcess({ role: "writer", pod: writerPodName, info: info.url });
  const world: World = { info, folder, epoch: 0, writer };
  const client = await own(world);
  const ledger = emptyLedger();
  let writes = 0;
  await load(client, ledger, { epoch: world.epoch, isOver: () => ++writes > 1_000 });
  const large = Array.from({ length: 16 }, (_, i) => `large:${i}`);
  for (const key of large)
    await client.ask([set(key, new Uint8Array(2 * MiB).fill(1))], { epoch: world.epoch });
  // More than the reserve, less than the copy.
  fillUpTo(folder, 16 * MiB);
  const reader = startShardProcess({
    ...{ role: "reader", pod: readerPodName, info: info.url },
    env: { EDIS_DATA: join(folder, "data") },
  });
  t.teardown(async () => {
    await Promise.all([writer.kill(), reader.kill(), info.close()]);
  });
  await info.registered(readerPodName);
  info.publish([...info.topology().shards]);
  await until("it says why", () => reader.log().includes("copy cannot be kept"));
  makeRoom(folder);
  await streaming(info);
  const reads = await connectToShard(addressOf(info, readerPodName));
  await until("it follows", async () => textOf((await reads.ask([get("key:0")]))[0]) !== "error lagging");
  await compare(t, reads, [ledger, world.epoch]);
  for (const key of large)
    t.is(textOf((await reads.ask([get(key)], { epoch: world.epoch }))[0])?.length, 2 * MiB);
  t.is(reader.child.exitCode, null);
});
