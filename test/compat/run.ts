/**
 * Compares commands with a real redis-server: random sequences from a seed, sent to both, must be answered with the same
 * bytes, in RESP2 and RESP3. Then Redis's tools at a local cluster. Needs `redis-server` and its tools (Debian: `apt-get install
 * redis-server redis-tools`). `run.ts [sequences] [seed]`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { valueBytesMax } from "../../core/limits.ts";
import { shardOwnedBy, startTestInfo } from "../support/shardInfo.ts";
import { addressOf } from "../support/shardPair.ts";
import { startShardProcess } from "../support/shardProcess.ts";
import { until } from "../support/shardUntil.ts";
import { freePort } from "../support/net.ts";
import { randomFrom } from "../support/random.ts";
import { fillCommands, randomCommand } from "./generate.ts";
import { respClient, type RespClient } from "../support/respClient.ts";
import { compareTools } from "./tools.ts";

const commandsPerSequence = 200;

const startRedis = async (): Promise<{ readonly port: number; readonly child: ChildProcess }> => {
  const port = await freePort();
  const settings = ["--port", `${port}`, "--save", "", "--appendonly", "no", "--proto-max-bulk-len"];
  const child = spawn("redis-server", [...settings, `${valueBytesMax}`], { stdio: "ignore" });
  child.on("error", () => {
    console.error("redis-server is missing. Debian: apt-get install redis-server");
    process.exit(1);
  });
  await until("redis-server answers", async () => {
    try {
      (await respClient(port)).close();
      return true;
    } catch {
      return false;
    }
  });
  return { port, child };
};

/** Replies that differ although both are right: what depends on the instant, and what has no order. */
const isSame = (args: readonly string[], ours: Buffer, theirs: Buffer): boolean => {
  if (ours.equals(theirs)) return true;
  const name = (args[0] ?? "").toLowerCase();
  const [a, b] = [ours.toString("latin1"), theirs.toString("latin1")];
  if (["ttl", "pttl", "expiretime", "pexpiretime"].includes(name)) {
    const [x, y] = [Number(a.slice(1)), Number(b.slice(1))];
    return a.startsWith(":") && b.startsWith(":") && Math.abs(x - y) <= (name.startsWith("p") ? 500 : 1);
  }
  // What a key takes is each server's own.
  if (name === "memory" && a.startsWith(":") && b.startsWith(":")) return true;
  // Redis shares small integers between keys, and with them the instant at which one was used last.
  if (name === "object" && a.startsWith(":") && b.startsWith(":")) return true;
  // The connection's number and the mode are each server's own.
  if (name === "hello" && a.includes("modules")) return b.includes("modules");
  const sorted = (text: string): string => text.split("\r\n").sort().join();
  return ["keys", "scan"].includes(name) && sorted(a) === sorted(b);
};

/** Inside EXEC every reply may be one of those. */
const isSameExec = (queued: readonly (readonly string[])[], ours: Buffer, theirs: Buffer): boolean => {
  if (ours.equals(theirs)) return true;
  const isLoose = queued.some(([name = ""]) =>
    /^(p?ttl|p?expiretime|keys|scan|hello|object|memory)$/i.test(name),
  );
  return isLoose && ours.toString("latin1", 0, 4) === theirs.toString("latin1", 0, 4);
};

const shown = (args: readonly string[] | Buffer): string =>
  JSON.stringify(Buffer.isBuffer(args) ? args.toString("latin1").slice(0, 300) : args);

/** One in five sequences is sent to servers that have no memory left. */
const isFull = (seed: number): boolean => seed % 5 === 4;

const differs = async (seed: number, ours: RespClient, theirs: RespClient): Promise<string | null> => {
  const random = randomFrom(seed);
  const commands = Array.from({ length: commandsPerSequence }, () => randomCommand(random)).filter(
    ([name = ""]) => !(isFull(seed) && /^flush/i.test(name)),
  );
  const protocol = seed % 2 === 0 ? "2" : "3";
  const start = [["RESET"], ["FLUSHALL"], ["HELLO", protocol]];
  await Promise.all([ours.send(...start), theirs.send(...start)]);
  if (isFull(seed)) {
    const filled = [["SET", "{t}kept", "1"], ...fillCommands(random)];
    await Promise.all([ours.send(...filled), theirs.send(...filled)]);
    await setMaximum(1, ours, theirs);
  }
  const [got, wanted] = await Promise.all([ours.send(...commands), theirs.send(...commands)]);
  let queued: (readonly string[])[] = [];
  for (const [i, args] of commands.entries()) {
    const [a, b] = [got[i] ?? Buffer.alloc(0), wanted[i] ?? Buffer.alloc(0)];
    const isExec = args[0]?.toLowerCase() === "exec";
    if (isExec ? !isSameExec(queued, a, b) : !isSame(args, a, b))
      return `seed ${seed}, command ${i}, RESP${protocol}: ${shown(args)}\n  edis  ${shown(a)}\n  redis ${shown(b)}\n  after ${commands
        .slice(Math.max(0, i - 6), i)
        .map(shown)
        .join(" ")}`;
    if (b.toString("latin1") === "+QUEUED\r\n") queued.push(args);
    else if (/^(exec|discard)$/i.test(args[0] ?? "")) queued = [];
  }
  return null;
};

/** Of both servers, in bytes; null for none. */
const setMaximum = async (bytes: number | null, ours: RespClient, theirs: RespClient): Promise<void> => {
  info.tell({ memoryMaxBytes: bytes });
  await theirs.send(["CONFIG", "SET", "maxmemory", String(bytes ?? 0)]);
  await until("the maximum is known", async () => {
    const [reply] = await ours.send(["CONFIG", "GET", "maxmemory"]);
    return reply?.toString("latin1").endsWith(`\r\n${bytes ?? 0}\r\n`) === true;
  });
};

const [, , sequences = "500", firstSeed = String(process.pid)] = process.argv;
const redis = await startRedis();
const info = await startTestInfo();
const shard = startShardProcess({ role: "writer", pod: "demo-write-0", info: info.url });
try {
  const owner = await info.registered("demo-write-0");
  info.publish([shardOwnedBy(owner)]);
  await info.reported("demo-write-0", ({ serving }) => serving.kind === "owner");
  let passed = 0;
  let failed = 0;
  for (let seed = Number(firstSeed); seed < Number(firstSeed) + Number(sequences); seed++) {
    const ours = await respClient(addressOf(info, "demo-write-0").resp);
    const theirs = await respClient(redis.port);
    const difference = await differs(seed, ours, theirs);
    if (isFull(seed)) {
      await Promise.all([ours.send(["RESET"]), theirs.send(["RESET"])]);
      await setMaximum(null, ours, theirs);
    }
    ours.close();
    theirs.close();
    if (difference === null) passed++;
    else {
      failed++;
      console.log(`✘ ${difference}`);
      if (failed === 10) break;
    }
  }
  const tools = await compareTools();
  const failedInAll = failed + tools.failed;
  console.log(`${passed + tools.passed} passed, ${failedInAll} failed`);
  process.exitCode = failedInAll === 0 ? 0 : 1;
} finally {
  await shard.kill();
  await info.close();
  redis.child.kill();
}
