import { readFileSync } from "node:fs";
import test from "ava";
import { systemClock } from "../../core/clock.ts";
import { respClient } from "../support/respClient.ts";
import { shardOwnedBy, startTestInfo } from "../support/shardInfo.ts";
import { addressOf } from "../support/shardPair.ts";
import { startShardProcess } from "../support/shardProcess.ts";

// What the process itself takes, some 200 MiB, is to be little beside the data.
const keys = 200_000;
const atOnce = 500;
const backMsMax = 60_000;
const value = "x".repeat(6_000);

/** Bytes of a process that are in memory. */
const residentOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;

test("memory of deleted keys goes back to the system: 90 % deleted, less than 30 % resident within a minute", async (t) => {
  const info = await startTestInfo();
  // The young generation of the heap is the process's own: 64 MiB of it, full or not, would be a part of both figures.
  const nodeArguments = ["--max-semi-space-size=8"];
  const shard = startShardProcess({ role: "writer", pod: "demo-write-0", info: info.url, nodeArguments });
  t.teardown(async () => {
    await Promise.all([shard.kill(), info.close()]);
  });
  info.publish([shardOwnedBy(await info.registered("demo-write-0"))]);
  await info.reported("demo-write-0", ({ serving }) => serving.kind === "owner");
  const client = await respClient(addressOf(info, "demo-write-0").resp);
  const [about] = await client.send(["INFO", "server"]);
  const pid = Number(/process_id:(\d+)/.exec(about?.toString("latin1") ?? "")?.[1]);
  const each = async (command: (i: number) => readonly string[] | null): Promise<void> => {
    for (let from = 0; from < keys; from += atOnce) {
      const commands = Array.from({ length: atOnce }, (_, n) => command(from + n));
      await client.send(...commands.filter((one) => one !== null));
    }
  };

  await each((i) => ["SET", `key:${i}`, value]);
  const peak = residentOf(pid);
  t.true(peak > keys * value.length);
  await each((i) => (i % 10 === 0 ? null : ["DEL", `key:${i}`]));
  const sinceMs = systemClock.nowMs();
  while (residentOf(pid) >= peak * 0.3 && systemClock.nowMs() - sinceMs < backMsMax)
    await systemClock.sleep(200);
  const left = residentOf(pid);
  const inMiB = [left, peak].map((bytes) => Math.round(bytes / 2 ** 20)).join(" of ");
  t.log(`${inMiB} MiB after ${Math.round((systemClock.nowMs() - sinceMs) / 1000)} s`);
  t.true(left < peak * 0.3, inMiB);
  const [kept] = await client.send(["DBSIZE"]);
  t.is(kept?.toString("latin1"), `:${keys / 10}\r\n`);
  client.close();
});
