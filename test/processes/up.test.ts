import test from "ava";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../core/clock.ts";
import { clusterYaml, isAlive } from "../support/localCluster.ts";
import { until } from "../support/net.ts";

const edis = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

type Command = {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<unknown[]>;
};

const runUp = (folder: string, content: string, ...words: readonly string[]): Command => {
  const file = join(folder, "cluster.yaml");
  writeFileSync(file, content);
  const ports = words.includes("--info-port") ? [] : ["--info-port", "0"];
  const child = spawn(
    process.execPath,
    [edis, "up", "-f", file, "--state", join(folder, "state"), "--http-port", "0", ...ports, ...words],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  return { child, output: () => output, ended: once(child, "close") };
};

/** The shard processes that a command started, by what their own logs say of them. */
const pidsIn = (folder: string, pods: readonly string[]): readonly number[] =>
  pods.map((pod) => {
    const [line = "{}"] = readFileSync(join(folder, "state", "logs", `${pod}.log`), "utf8").split("\n");
    return Number((JSON.parse(line) as { pid?: number }).pid);
  });

const inFolder = async (run: (folder: string) => Promise<void>): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), "edis-up-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

test("Ctrl-C stops everything; SIGKILL of the command leaves no process either", async (t) => {
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    await inFolder(async (folder) => {
      const command = runUp(folder, clusterYaml(1, 1), "--plain");
      t.teardown(() => command.child.kill("SIGKILL"));
      await until("it is ready", () => command.output().includes("Ctrl-C stops everything."), 60_000);
      t.regex(command.output(), /Ready: All 16384 slots are served by 1 writer; 1 reader serves/);
      t.regex(command.output(), /npx edis set a 1 --info ws:\/\/127\.0\.0\.1:\d+/);
      const pids = pidsIn(folder, ["demo-write-0", "demo-read-0"]);
      t.deepEqual(pids.filter(isAlive), pids);
      const startMs = systemClock.nowMs();
      command.child.kill(signal);
      const [code] = await command.ended;
      if (signal === "SIGINT") {
        t.is(code, 0);
        t.regex(command.output(), /Everything has ended\.\n$/);
        t.deepEqual(pids.filter(isAlive), []);
      }
      await until("no process is left", () => !pids.some(isAlive), 10_000);
      const tookMs = systemClock.nowMs() - startMs;
      t.log(`${signal}: all gone after ${Math.round(tookMs)} ms`);
      t.true(tookMs < 5_000);
    });
  }
});

test("a taken port is said with what to do", async (t) => {
  const taken = createServer();
  t.teardown(() => taken.close());
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const port = String((taken.address() as AddressInfo).port);
  await inFolder(async (folder) => {
    const command = runUp(folder, clusterYaml(1, 1), "--info-port", port);
    t.is((await command.ended)[0], 2);
    t.is(
      command.output(),
      `edis: Cannot start: the info port ${port} is taken. Is another edis up running? End it, or choose a free port with --info-port.\n`,
    );
  });
});

test("a file that cannot be used at the start is refused with line, column and what is wanted", async (t) => {
  await inFolder(async (folder) => {
    const command = runUp(folder, clusterYaml(0, 1));
    t.is((await command.ended)[0], 2);
    t.is(command.output(), `edis: ${folder}/cluster.yaml:6:12: spec.writers is 0; it must be >= 1\n`);
  });
});
