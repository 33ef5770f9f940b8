import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { Home } from "../../core/topology.ts";
import type { Pod, Workload } from "../plan/model.ts";
import { keyOf, readerPod, writerPod, type ShardCluster } from "../shardCluster.ts";
import { keepRunning, type Kept } from "./process.ts";

/** One process for each pod that is wanted. */
export type Processes = {
  /** Starts what is missing; asks what is surplus to end, without waiting for it. */
  readonly scale: (cluster: ShardCluster, workload: Workload, files: Files) => void;
  readonly pods: (key: string) => readonly Pod[];
  readonly list: () => readonly ProcessView[];
  /** Ends all of a cluster, or everything; resolves when they are gone. */
  readonly stop: (key: string | null, killMs: number) => Promise<void>;
};
/** The cluster's secret, and the folder in which each pod has a folder of its own. */
export type Files = { readonly token: string; readonly data: string };
export type ProcessView = {
  readonly key: string;
  readonly pod: string;
  readonly pid: number | null;
  readonly restarts: number;
};

export type ProcessesOptions = {
  /** The shard program. */
  readonly program: string;
  readonly infoUrl: string;
  readonly logFolder: string;
  readonly logLevel: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Something about a cluster's processes changed; `what` is for people, where there is something to say. */
  readonly changed: (key: string, what: string | null) => void;
};

/** Requests under way are answered and clients sent on within this. */
const drainMs = 300;
/** What does not end by itself within this is ended. */
const killMs = 5_000;
/** All local processes share one machine. */
const node = "local";

type Running = {
  readonly key: string;
  readonly name: string;
  readonly home: Home;
  readonly ordinal: number;
  readonly kept: Kept;
  ending: Promise<void> | null;
};

export const createProcesses = (options: ProcessesOptions): Processes => {
  const { changed } = options;
  const running = new Map<string, Running>();
  const of = (key: string | null): readonly Running[] =>
    [...running.values()].filter((one) => key === null || one.key === key);

  const end = (one: Running, afterMs: number): Promise<void> => {
    one.ending ??= one.kept.stop(afterMs).then(() => {
      running.delete(`${one.key} ${one.name}`);
      changed(one.key, null);
    });
    return one.ending;
  };

  return {
    scale: (cluster, workload, files) => {
      const key = keyOf(cluster);
      const wanted = { writer: workload.writers, reader: workload.readers };
      for (const one of of(key)) if (one.ordinal >= wanted[one.home]) void end(one, killMs);
      for (const home of ["writer", "reader"] as const) {
        for (let ordinal = 0; ordinal < wanted[home]; ordinal++) {
          const name = (home === "writer" ? writerPod : readerPod)(cluster.name, ordinal);
          // One that is still ending keeps its name until it is gone; then this is called again.
          if (running.has(`${key} ${name}`)) continue;
          const kept = startPod(options, { cluster, name, home, files });
          running.set(`${key} ${name}`, { key, name, home, ordinal, kept, ending: null });
        }
      }
    },
    pods: (key) =>
      of(key).map(({ name, home, ordinal, ending, kept }) => ({
        ...{ name, home, ordinal, node, zone: "" },
        // Processes of one name follow each other: whoever starts them waits for the end of the one before.
        ...{ uid: name, deadBeforeMs: kept.deadBeforeMs() },
        deleting: ending !== null,
        problem: kept.problem(),
      })),
    list: () =>
      of(null).map(({ key, name, kept }) => ({ key, pod: name, pid: kept.pid(), restarts: kept.restarts() })),
    stop: async (key, afterMs) => {
      await Promise.all(of(key).map((one) => end(one, afterMs)));
    },
  };
};

type Start = {
  readonly cluster: ShardCluster;
  readonly name: string;
  readonly home: Home;
  readonly files: Files;
};

const startPod = (options: ProcessesOptions, { cluster, name, home, files }: Start): Kept => {
  const { program, infoUrl, logFolder, logLevel, clock, random, changed } = options;
  const key = keyOf(cluster);
  const folder = cluster.namespace === "default" ? logFolder : join(logFolder, cluster.namespace);
  const host = "127.0.0.1";
  return keepRunning({
    ...{ pod: name, program, clock, random },
    logPath: join(folder, `${name}.log`),
    env: {
      EDIS_ROLE: home,
      EDIS_POD: name,
      EDIS_POD_UID: name,
      EDIS_CLUSTER_ID: cluster.uid,
      EDIS_CLUSTER: key,
      EDIS_INFO: infoUrl,
      EDIS_TOKEN_FILE: files.token,
      EDIS_HOST: host,
      EDIS_ADVERTISE_HOST: host,
      EDIS_CLIENT_PORT: "0",
      EDIS_REPLICATION_PORT: "0",
      EDIS_HTTP_PORT: "0",
      EDIS_RESP_PORT: "0",
      EDIS_DATA: join(files.data, name),
      EDIS_NODE: node,
      EDIS_LOG_LEVEL: logLevel,
      EDIS_DRAIN_MS: String(drainMs),
    },
    died: (how) => {
      changed(key, `${name} ${how}; it is started again`);
    },
  });
};
