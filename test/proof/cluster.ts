import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../core/clock.ts";
import { createProcesses, type Processes } from "../../operator/local/processes.ts";
import { keyOf } from "../../operator/shardCluster.ts";
import { freePort } from "../support/net.ts";
import type { FromOperator, ToOperator } from "./operatorProcess.ts";

/** A cluster of real processes, whose operator is one of its own: any of them can be killed or stopped. */
export type ProofCluster = {
  readonly info: string;
  readonly folder: string;
  /** Writes the ShardCluster's file anew. */
  readonly wish: (yaml: string) => void;
  /** The process of a pod; null while there is none. */
  readonly pid: (pod: string) => number | null;
  readonly pods: () => readonly string[];
  readonly operatorPid: () => number | null;
  /** Another operator, in the next term, where there is none. */
  readonly startOperator: () => void;
  readonly stop: () => Promise<void>;
};

const program = fileURLToPath(new URL("operatorProcess.ts", import.meta.url));

export type ProofOptions = {
  /** Of the shards. */
  readonly program: string;
  readonly random: () => number;
};

export const startProofCluster = async (
  yaml: string,
  { program: shard, random }: ProofOptions,
): Promise<ProofCluster> => {
  const folder = mkdtempSync(join(tmpdir(), "edis-proof-"));
  const file = join(folder, "cluster.yaml");
  const state = join(folder, "state");
  const port = await freePort();
  const info = `ws://127.0.0.1:${port}`;
  writeFileSync(file, yaml);
  let operator: ChildProcess | null = null;
  let term = 0;
  const keys = new Set<string>();
  const tell = (key: string): void => {
    if (operator?.connected === true)
      operator.send({ kind: "pods", key, pods: processes.pods(key) } satisfies ToOperator);
  };
  const processes: Processes = createProcesses({
    ...{ program: shard, infoUrl: info, logFolder: join(state, "logs"), logLevel: "info" },
    ...{ clock: systemClock, random, changed: tell },
  });
  const startOperator = (): void => {
    if (operator !== null) return;
    term++;
    const child = fork(program, [file, state, String(port), String(term)], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    operator = child;
    child.on("message", ({ cluster, workload, files }: FromOperator) => {
      const key = keyOf(cluster);
      keys.add(key);
      processes.scale(cluster, workload, files);
      tell(key);
    });
    child.on("exit", () => {
      if (operator === child) operator = null;
    });
    // What was told to one that had just been killed: the next hears of everything when it starts.
    child.on("error", () => undefined);
    for (const key of keys) tell(key);
  };
  startOperator();
  return {
    info,
    folder,
    wish: (next) => {
      writeFileSync(file, next);
    },
    pid: (pod) => processes.list().find((one) => one.pod === pod)?.pid ?? null,
    pods: () => processes.list().map(({ pod }) => pod),
    operatorPid: () => operator?.pid ?? null,
    startOperator,
    stop: async () => {
      const child = operator;
      operator = null;
      if (child !== null) {
        child.kill("SIGKILL");
        await once(child, "exit");
      }
      await processes.stop(null, 2_000);
    },
  };
};
