/**
 * The operator as a process of its own, which can be killed and stopped while the shards go on: they are kept by the process
 * that started it. Arguments: file, state folder, info port, term.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "../../core/clock.ts";
import { term } from "../../core/ids.ts";
import { createLogger } from "../../core/logger.ts";
import { systemNetwork } from "../../net/network.ts";
import { createLocalPlatform } from "../../operator/local/platform.ts";
import type { Files, Processes } from "../../operator/local/processes.ts";
import { startOperator } from "../../operator/operator.ts";
import type { Pod, Workload } from "../../operator/plan/model.ts";
import type { ShardCluster } from "../../operator/shardCluster.ts";

/** To the process that keeps the shards: what is to run. */
export type FromOperator = {
  readonly kind: "scale";
  readonly cluster: ShardCluster;
  readonly workload: Workload;
  readonly files: Files;
};
/** From it: what runs now. */
export type ToOperator = { readonly kind: "pods"; readonly key: string; readonly pods: readonly Pod[] };

const [, , file = "", stateFolder = "", infoPort = "", termText = "1"] = process.argv;
const clock = systemClock;
const random = (): number => randomBytes(4).readUInt32BE() / 2 ** 32;
const logFolder = join(stateFolder, "logs");

const remote = (changed: (key: string, what: string | null) => void): Processes => {
  const known = new Map<string, readonly Pod[]>();
  process.on("message", ({ key, pods }: ToOperator) => {
    known.set(key, pods);
    changed(key, null);
  });
  return {
    scale: (cluster, workload, files) => {
      process.send?.({ kind: "scale", cluster, workload, files } satisfies FromOperator);
    },
    pods: (key) => known.get(key) ?? [],
    list: () => [],
    stop: () => Promise.resolve(),
  };
};

const local = await createLocalPlatform({
  ...{ file, stateFolder, logFolder, program: "", logLevel: "info", clock, random },
  processes: remote,
  infoUrl: () => `ws://127.0.0.1:${infoPort}`,
  told: (cluster, { reason, message }) => {
    process.stdout.write(`${cluster} ${reason}: ${message}\n`);
  },
});
const pod = `operator-${termText}`;
const operator = await startOperator({
  ...{ platform: local.platform, host: "127.0.0.1", infoPort: Number(infoPort), httpPort: 0 },
  self: { pod, incarnation: randomBytes(8).toString("hex") },
  ...{ network: systemNetwork, clock, random },
  logger: createLogger("info", { pod }, join(logFolder, `${pod}.log`)),
});
process.on("disconnect", () => process.exit(0));
// The one before has ended: nobody else writes to the state folder, which is taken.
const leadership = { term: term(Number(termText)), isHeld: () => true };
await operator.lead(leadership, new AbortController().signal);
