import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

export type Closed = {
  readonly port: number;
  readonly command: "set" | "get";
  /** Requests of one connection that are under way together. */
  readonly pipeline: number;
  readonly requests: number;
  readonly keys: number;
};

/** Requests a second of redis-benchmark: 50 connections, each sends when it has its answers. 16-byte keys, 100-byte values. */
export const redisBenchmark = async ({
  port,
  command,
  pipeline,
  requests,
  keys,
}: Closed): Promise<number> => {
  const what = ["-t", command, "-P", `${pipeline}`, "-n", `${requests}`, "-r", `${keys}`];
  const { stdout } = await run("redis-benchmark", [
    "-p",
    `${port}`,
    "-c",
    "50",
    "-d",
    "100",
    "--csv",
    ...what,
  ]);
  const row = /^"[^"]*","([\d.]+)"/m.exec(stdout.split("\n").slice(1).join("\n"));
  if (row === null) throw new Error(`redis-benchmark said ${stdout.slice(0, 200)}`);
  return Number(row[1]);
};
