import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { testCluster } from "./shardInfo.ts";

/** A real shard process on loopback. */
export type ShardProcess = {
  readonly pod: string;
  readonly child: ChildProcess;
  /** Its volume; of each shard a folder. */
  readonly data: string;
  readonly log: () => string;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** Exit code, null after a signal that it did not handle. */
  readonly ended: Promise<number | null>;
  readonly kill: () => Promise<void>;
};

const main = fileURLToPath(new URL("../../shard/main.ts", import.meta.url));

export const startShardProcess = (options: {
  readonly role: "writer" | "reader";
  readonly pod: string;
  readonly info: string;
  readonly token?: Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArguments?: readonly string[];
}): ShardProcess => {
  const { role, pod, info, token = testCluster.token, env = {}, nodeArguments = [] } = options;
  const folder = mkdtempSync(join(tmpdir(), "edis-shard-"));
  const data = join(folder, "data");
  const tokenFile = join(folder, "token");
  writeFileSync(tokenFile, token);
  const child = spawn(process.execPath, [...nodeArguments, main], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      EDIS_ROLE: role,
      EDIS_POD: pod,
      EDIS_CLUSTER_ID: testCluster.clusterId,
      EDIS_CLUSTER: testCluster.cluster,
      EDIS_INFO: info,
      EDIS_TOKEN_FILE: tokenFile,
      EDIS_HOST: "127.0.0.1",
      EDIS_CLIENT_PORT: "0",
      EDIS_REPLICATION_PORT: "0",
      EDIS_HTTP_PORT: "0",
      EDIS_RESP_PORT: "0",
      EDIS_DATA: data,
      EDIS_DRAIN_MS: "100",
      // Nobody hands over unless the test does.
      EDIS_HANDOVER_MS: "0",
      ...env,
    },
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const ended = once(child, "exit").then(([code]) => {
    rmSync(folder, { recursive: true, force: true });
    return code as number | null;
  });
  return {
    pod,
    child,
    data,
    log: () => log,
    signal: (signal) => {
      child.kill(signal);
    },
    ended,
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
};

/** Resident memory of a process. */
export const residentBytes = ({ child }: ShardProcess): number => {
  const pages = readFileSync(`/proc/${child.pid ?? "self"}/statm`, "utf8").split(" ")[1];
  return Number(pages) * 4096;
};
