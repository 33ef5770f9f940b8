import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../test/support/net.ts";
import { ask, firstAnswerMs, isAnswering } from "./ask.ts";
import { ageMs, freePort, removeAtExit, startChild } from "./process.ts";
import type { BenchServer, Durability, Reader, ServerName } from "./servers.ts";

export type RedisOptions = {
  readonly name: ServerName;
  readonly program: string;
  readonly durability: Durability;
  /** More settings of redis.conf, as arguments. */
  readonly settings?: readonly string[];
};

const readyMsMax = 120_000;

/** redis-server or valkey-server, in a folder of its own, as they come but for what is said here. */
export const startRedis = async ({
  name,
  program,
  durability,
  settings = [],
}: RedisOptions): Promise<BenchServer> => {
  const folder = mkdtempSync(join(tmpdir(), `edis-bench-${name}-`));
  removeAtExit(folder);
  const log = durability === "none" ? ["no"] : ["yes", "--appendfsync", durability];
  const start = async (more: readonly string[], subfolder: string): Promise<Started> => {
    const port = await freePort();
    const dir = mkdtempSync(join(folder, subfolder));
    const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir, "--save", ""];
    const run = (): ReturnType<typeof startChild> =>
      startChild(program, [...args, "--appendonly", ...log, ...settings, ...more]);
    const child = await run();
    return { port, child, run };
  };
  const server = await start([], "data-");
  await until(`${name} answers`, () => isAnswering(server.port), readyMsMax);
  const readers: Reader[] = [];
  return {
    name,
    port: () => server.port,
    pid: () => server.child.pid,
    addReader: async () => {
      const reader = await start(["--replicaof", "127.0.0.1", `${server.port}`], "reader-");
      await until(`${name}'s replica holds everything`, () => isLinked(reader.port), readyMsMax);
      const tookMs = ageMs(reader.child.pid);
      const made = { port: reader.port, tookMs, stop: () => reader.child.kill() };
      readers.push(made);
      return made;
    },
    snapshot: async () => {
      await ask(server.port, ["BGSAVE"]);
      await until("the snapshot is written", () => hasSaved(server.port), readyMsMax);
    },
    restart: async (key) => {
      if (durability === "none") await ask(server.port, ["SAVE"]);
      await server.child.kill();
      server.child = await server.run();
      return firstAnswerMs(
        () => server.child.pid,
        () => server.port,
        key,
      );
    },
    stop: async () => {
      await Promise.all(readers.map((reader) => reader.stop()));
      await server.child.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

type Started = {
  readonly port: number;
  readonly run: () => ReturnType<typeof startChild>;
  child: Awaited<ReturnType<typeof startChild>>;
};

const isLinked = async (port: number): Promise<boolean> => {
  if (!(await isAnswering(port))) return false;
  return (await ask(port, ["INFO", "replication"])).includes("master_link_status:up");
};

const hasSaved = async (port: number): Promise<boolean> =>
  (await ask(port, ["INFO", "persistence"])).includes("rdb_bgsave_in_progress:0");
