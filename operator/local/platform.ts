import type { Clock } from "../../core/clock.ts";
import type { PlannedEvent, Workload } from "../plan/model.ts";
import type { Platform } from "../platform.ts";
import { forceFrom } from "../schema.ts";
import { keyOf, type ShardCluster } from "../shardCluster.ts";
import { createProcesses, type Processes } from "./processes.ts";
import { openStateFolder, type StateFolder } from "./stateFolder.ts";
import { watchWishes, type Wishes } from "./wishes.ts";

export type LocalOptions = {
  /** The file with the ShardClusters. */
  readonly file: string;
  readonly stateFolder: string;
  readonly logFolder: string;
  /** The shard program. */
  readonly program: string;
  readonly infoUrl: () => string;
  readonly logLevel: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Who runs the processes; this one, where nothing is said. Hears of a cluster's key, and in words, when one of them changed. */
  readonly processes?: (changed: (key: string, what: string | null) => void) => Processes;
  /** Something for people: an event of a cluster, a process that ended, a file that cannot be used. */
  readonly told: (cluster: string, event: PlannedEvent) => void;
};

/** The operator's hand on one machine: processes for pods, a file for the API. */
export type LocalPlatform = {
  readonly platform: Platform;
  readonly processes: () => ReturnType<Processes["list"]>;
  /** Why the file as it is does not count; null where it does. */
  readonly problem: () => string | null;
  /** Ends every process; what has not ended after `killMs` is killed. */
  readonly stop: (killMs: number) => Promise<void>;
};

/** Reads the file and takes the state folder. Rejects where either cannot be used. */
export const createLocalPlatform = async (options: LocalOptions): Promise<LocalPlatform> => {
  const { clock, told } = options;
  let changed: (key: string) => void = () => undefined;
  const state = openStateFolder(options.stateFolder);
  const wishes = await openWishes(options, state, (key) => {
    changed(key);
  });
  const workloads = new Map<string, Workload>();
  const forces = createForces(state);
  const { running, started } = lazyProcesses(options, (key) => {
    changed(key);
  });

  const platform: Platform = {
    watch: async (heard, signal) => {
      changed = heard;
      for (const key of wishes.keys()) heard(key);
      const stopLooking = clock.every(forcePollMs, () => {
        for (const key of wishes.keys()) if (forces.isNew(key)) heard(key);
      });
      await untilAborted(signal);
      stopLooking();
    },
    cluster: (key) => {
      const cluster = wishes.cluster(key);
      return cluster === undefined ? undefined : forces.on(cluster);
    },
    observe: (cluster) => {
      const key = keyOf(cluster);
      return Promise.resolve({
        ...{ pods: running().pods(key), workload: workloads.get(key) ?? null },
        ...{ ended: new Set<string>(), outdated: null },
      });
    },
    apply: async (cluster, workload) => {
      await state.token(cluster);
      if (cluster.spec.storage.ephemeral && !workloads.has(keyOf(cluster))) await state.removeData(cluster);
      const files = { token: state.tokenFile(cluster), data: state.dataFolder(cluster) };
      running().scale(cluster, workload, files);
      workloads.set(keyOf(cluster), workload);
    },
    // Nothing that a file can say changes what processes are started with.
    restart: () => Promise.resolve(),
    remade: () => new Set(),
    token: state.token,
    readOwnership: state.readOwnership,
    writeOwnership: state.writeOwnership,
    writeStatus: state.writeStatus,
    event: (cluster, event) => {
      told(keyOf(cluster), event);
      return Promise.resolve();
    },
    forget: async (key) => {
      workloads.delete(key);
      await running().stop(key, forgetKillMs);
      await state.remove(key);
    },
  };
  return {
    platform,
    processes: () => started()?.list() ?? [],
    problem: wishes.problem,
    stop: async (killMs) => {
      wishes.stop();
      await started()?.stop(null, killMs);
      state.close();
    },
  };
};

const openWishes = async (
  { file, clock, told }: LocalOptions,
  state: StateFolder,
  changed: (key: string) => void,
): Promise<Wishes> => {
  try {
    const judged = (problem: string | null): void => {
      told("", judgement(problem));
    };
    return await watchWishes({ file, clock, uidOf: state.uid, changed, judged });
  } catch (error) {
    state.close();
    throw error;
  }
};

const forgetKillMs = 5_000;
/** How soon a person's word is seen. */
const forcePollMs = 500;

/** What a person says by `edis failover --force`, laid on the cluster like the annotation of Kubernetes. */
const createForces = ({ force }: Pick<StateFolder, "force">) => {
  const known = new Map<string, string>();
  return {
    isNew: (key: string): boolean => force(key) !== (known.get(key) ?? ""),
    on: (cluster: ShardCluster): ShardCluster => {
      const text = force(keyOf(cluster));
      known.set(keyOf(cluster), text);
      return text === "" ? cluster : { ...cluster, force: forceFrom(text) };
    },
  };
};

const judgement = (problem: string | null): PlannedEvent =>
  problem === null
    ? { type: "Normal", reason: "GoodFile", message: "The file can be used again" }
    : { type: "Warning", reason: "BadFile", message: `${problem}\nEverything goes on as it was.` };

/** They are told where info is found, which is not known before its port is open. */
const lazyProcesses = (options: LocalOptions, changed: (key: string) => void): LazyProcesses => {
  let processes: Processes | null = null;
  const heard = (key: string, what: string | null): void => {
    if (what !== null) options.told(key, { type: "Warning", reason: "ProcessEnded", message: what });
    changed(key);
  };
  return {
    started: () => processes,
    running: () => {
      processes ??=
        options.processes?.(heard) ??
        createProcesses({ ...options, infoUrl: options.infoUrl(), changed: heard });
      return processes;
    },
  };
};
type LazyProcesses = { readonly started: () => Processes | null; readonly running: () => Processes };

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener(
      "abort",
      () => {
        resolve();
      },
      { once: true },
    );
  });
