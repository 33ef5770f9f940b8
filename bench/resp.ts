import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { respClient } from "../test/support/respClient.ts";
import { shardOwnedBy, startTestInfo } from "../test/support/shardInfo.ts";
import { addressOf } from "../test/support/shardPair.ts";
import { startShardProcess } from "../test/support/shardProcess.ts";
import { until } from "../test/support/shardUntil.ts";

/**
 * One shard process without a reader beside redis-server: requests a second and microseconds of the server's processor time
 * per request, in alternating rounds. 16-byte keys, 100-byte values, 50 connections.
 *
 * Usage: `node bench/resp.ts [pipelines] [rounds] [keys] [node options …]`, e.g. `64,16,1 5 1000000 --cpu-prof`.
 */
const [pipelines = "64,16,1", rounds = "5", keys = "1000000", ...nodeArguments] = process.argv.slice(2);
const requestsOf: Readonly<Record<string, number>> = { "64": 3_000_000, "16": 2_000_000, "1": 200_000 };
const run = promisify(execFile);

type Target = { readonly name: string; readonly port: number; readonly pid: number };
/** Thousands of requests a second, and microseconds of processor time per request. */
type Figures = { readonly rate: number; readonly cpu: number };

/** Processor time of a process so far, in microseconds: ticks of 10 ms. */
const cpuOf = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
};

const measure = async ({ port, pid }: Target, what: string, pipeline: string): Promise<Figures> => {
  const requests = requestsOf[pipeline] ?? 1_000_000;
  const before = cpuOf(pid);
  const { stdout } = await run("redis-benchmark", [
    ...["-p", `${port}`, "-r", keys, "-d", "100", "-c", "50", "-n", `${requests}`],
    ...["-t", what, "-P", pipeline, "--csv"],
  ]);
  const rate = Number(/^"(?:SET|GET)[^,]*","([\d.]+)"/m.exec(stdout)?.[1]) / 1000;
  return { rate, cpu: (cpuOf(pid) - before) / requests };
};

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

const answers = async (port: number): Promise<boolean> => {
  try {
    const client = await respClient(port);
    client.close();
    return true;
  } catch {
    return false;
  }
};

/** Every key once, so that all of them are there. */
const fill = async ({ port }: Target): Promise<void> => {
  const client = await respClient(port);
  const value = "x".repeat(100);
  for (let from = 0; from < Number(keys); from += 1_000)
    await client.send(
      ...Array.from({ length: 1_000 }, (_, i) => ["SET", `key:${String(from + i).padStart(12, "0")}`, value]),
    );
  client.close();
};

const compare = async (targets: readonly Target[]): Promise<void> => {
  for (const pipeline of pipelines.split(","))
    for (const what of ["set", "get"]) {
      const figures = targets.map((): Figures[] => []);
      for (let round = 0; round < Number(rounds); round++)
        for (const [i, target] of targets.entries()) figures[i]?.push(await measure(target, what, pipeline));
      const [ours = [], theirs = []] = figures;
      const ratios = ours.map(({ rate }, i) => rate / (theirs[i]?.rate ?? NaN));
      const shown = targets.map(({ name }, i) => {
        const [rates, cpus] = [
          figures[i]?.map(({ rate }) => rate) ?? [],
          figures[i]?.map(({ cpu }) => cpu) ?? [],
        ];
        return `${name} ${median(rates).toFixed(0).padStart(5)} k/s ${median(cpus).toFixed(2).padStart(5)} us`;
      });
      const spread = `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`;
      console.log(
        `P${pipeline.padEnd(3)} ${what.toUpperCase()}  ${shown.join("   ")}   ratio ${median(ratios).toFixed(2)} (${spread})`,
      );
    }
};

const redisFolder = mkdtempSync(join(tmpdir(), "edis-bench-"));
const redisPort = await freePort();
const redis = spawn("redis-server", ["--port", `${redisPort}`, "--save", "", "--appendonly", "no"], {
  cwd: redisFolder,
  stdio: "ignore",
});
const info = await startTestInfo();
const shard = startShardProcess({ role: "writer", pod: "demo-write-0", info: info.url, nodeArguments });
try {
  await until("redis-server answers", () => answers(redisPort));
  const owner = await info.registered("demo-write-0");
  info.publish([shardOwnedBy(owner)]);
  await info.reported("demo-write-0", ({ serving }) => serving.kind === "owner");
  const targets = [
    { name: "edis", port: addressOf(info, "demo-write-0").resp, pid: shard.child.pid ?? 0 },
    { name: "redis", port: redisPort, pid: redis.pid ?? 0 },
  ];
  for (const target of targets) await fill(target);
  await compare(targets);
} finally {
  shard.signal("SIGTERM");
  await shard.ended;
  await info.close();
  redis.kill();
  rmSync(redisFolder, { recursive: true, force: true });
}
