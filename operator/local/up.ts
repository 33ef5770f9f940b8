import { randomBytes } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { realpathSync } from "node:fs";
import type { Clock } from "../../core/clock.ts";
import { EdisError } from "../../core/errors.ts";
import { term } from "../../core/ids.ts";
import { createLogger } from "../../core/logger.ts";
import { systemNetwork } from "../../net/network.ts";
import { startOperator, type Operator } from "../operator.ts";
import type { PlannedEvent } from "../plan/model.ts";
import { createLocalPlatform, type LocalPlatform } from "./platform.ts";
import { localCluster, type LocalCluster } from "./view.ts";

export type { LocalCluster, LocalPod, LocalShard } from "./view.ts";

export type UpOptions = {
  /** The file with the ShardClusters. */
  readonly file: string;
  /** Folder for logs and what has to be kept while it runs. */
  readonly state: string;
  /** 0 takes any free port. */
  readonly infoPort: number;
  readonly httpPort: number;
  /** The shard program; see `shardProgram`. */
  readonly program: string;
  readonly logLevel: string;
  readonly clock: Clock;
  /** Hears of what a person would want to know; `cluster` is empty where it concerns all. */
  readonly told: (event: LocalEvent) => void;
};
export type LocalEvent = PlannedEvent & { readonly cluster: string; readonly atMs: number };

/** Clusters of local processes that run. */
export type Up = {
  readonly infoUrl: string;
  readonly httpUrl: string;
  readonly clusters: () => readonly LocalCluster[];
  /** Why the file as it is now does not count; null where it does. */
  readonly problem: () => string | null;
  /** Resolves when the operator ended by itself: never, but for a defect. */
  readonly failed: Promise<Error>;
  /** Ends every process, then this operator. */
  readonly stop: () => Promise<void>;
};

const host = "127.0.0.1";
const stopKillMs = 2_500;

/** Starts everything that the file asks for. Rejects with a message that says what to do where it cannot. */
export const up = async (options: UpOptions): Promise<Up> => {
  const { clock, file, told, program, logLevel } = options;
  const stateFolder = resolve(options.state);
  const logFolder = join(stateFolder, "logs");
  const random = (): number => randomBytes(4).readUInt32BE() / 2 ** 32;
  let infoPort = options.infoPort;
  const local = await createLocalPlatform({
    ...{ file, stateFolder, logFolder, program, logLevel, clock, random },
    infoUrl: () => `ws://${host}:${infoPort}`,
    told: (cluster, event) => {
      told({ ...event, cluster, atMs: clock.wallMs() });
    },
  });
  const operator = await openOperator(options, { local, logFolder, random });
  infoPort = operator.info.infoPort;

  const stopping = new AbortController();
  const leading = operator.lead({ term: term(1), isHeld: () => true }, stopping.signal);
  const failed = leading.then(
    () => new Error("The local operator ended"),
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  return {
    infoUrl: `ws://${host}:${infoPort}`,
    httpUrl: `http://${host}:${operator.info.httpPort}`,
    clusters: () => {
      const processes = local.processes();
      return operator.info.views().map((view) => localCluster(view, processes));
    },
    problem: local.problem,
    failed,
    stop: async () => {
      stopping.abort();
      // Nothing is started any more once the controller has ended.
      await failed;
      await local.stop(stopKillMs);
      await operator.close();
    },
  };
};

type Parts = {
  readonly local: LocalPlatform;
  readonly logFolder: string;
  readonly random: () => number;
};

const openOperator = async (options: UpOptions, { local, logFolder, random }: Parts): Promise<Operator> => {
  const { infoPort, httpPort, clock } = options;
  const self = { pod: "local", incarnation: randomBytes(8).toString("hex") };
  const logger = createLogger(options.logLevel, { pod: self.pod }, join(logFolder, "operator.log"));
  try {
    return await startOperator({
      ...{ platform: local.platform, self, host, infoPort, httpPort, network: systemNetwork },
      ...{ clock, logger, random },
    });
  } catch (error) {
    await local.stop(stopKillMs);
    const taken = error instanceof EdisError && error.message.includes("EADDRINUSE");
    if (!taken) throw error;
    const isInfo = error.message.includes("info port");
    const [what, port, option] = isInfo
      ? ["info", infoPort, "--info-port"]
      : ["http", httpPort, "--http-port"];
    throw new EdisError(
      "bad-argument",
      `Cannot start: the ${what} port ${port} is taken. Is another edis up running? End it, or choose a free port with ${option}.`,
      { cause: error },
    );
  }
};

/** The shard program beside the script that runs: the bundle beside a bundle, else the source. */
export const shardProgram = (script: string): string => {
  const real = realpathSync(script);
  return real.endsWith(".cjs")
    ? join(dirname(real), "shard.cjs")
    : join(dirname(real), "..", "shard", "main.ts");
};
