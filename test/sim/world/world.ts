import { readerPod, writerPod, type ShardCluster } from "../../../operator/shardCluster.ts";
import type { Clock } from "../../../core/clock.ts";
import type { Logger, LogFields } from "../../../core/logger.ts";
import { messageOf } from "../../../core/errors.ts";
import type { Workload } from "../../../operator/plan/model.ts";
import { runOperator } from "../../../operator/run.ts";
import type { LogLimits } from "../../../shard/log/logLimits.ts";
import { startShard, type Shard } from "../../../shard/run.ts";
import { createSegmentStore } from "../../../shard/store/segmentStore.ts";
import type { Store } from "../../../shard/store/store.ts";
import { createMemoryDisk } from "../../support/memoryDisk.ts";
import { smallLimits } from "../../support/shardLog.ts";
import { createSimApi, type SimApi } from "./api.ts";
import { diskFor, type Volume } from "./disk.ts";
import { createSimNetwork, type SimNetwork } from "./network.ts";
import { createSimPlatform } from "./platform.ts";
import { seeded, type Seeded } from "./seeded.ts";
import { clockOf, createTimeline, type Process, type Timeline } from "./timeline.ts";

/** A cluster, what runs for it, and everything around it, from one seed. */
export type World = {
  readonly random: Seeded;
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly api: SimApi;
  cluster: ShardCluster;
  /** There was another wish for writers: slots move. */
  isResized: boolean;
  readonly pods: Map<string, SimPod>;
  readonly operators: Map<string, SimOperator>;
  /** Names of their processes. */
  readonly clients: string[];
  /** What may never happen and did, apart from what clients saw. */
  readonly defects: string[];
  /** Instants that the API has are whole seconds. */
  readonly isCoarse: boolean;
  /** Says what happens; does nothing where nobody wants to know. */
  readonly trace: (who: string, what: string) => void;
  readonly processOf: (name: string) => Process | null;
  readonly newProcess: (name: string) => SimProcess;
  /** The wishes of the cluster changed, or one of its pods: who watches hears of it. */
  readonly changed: () => void;
  readonly watchers: Set<() => void>;
  /** Uids of pods that are gone. */
  readonly ended: Set<string>;
  /** Makes pods come and go, so that as many run. */
  readonly scale: (workload: Workload) => void;
  readonly workload: () => Workload | null;
};

export type SimProcess = {
  readonly process: Process;
  readonly clock: Clock;
  readonly random: Seeded;
  readonly logger: Logger;
};

export type SimPod = {
  readonly name: string;
  readonly home: "writer" | "reader";
  uid: string;
  volume: Volume;
  running: RunningShard | null;
  /** What the API says: every process of the pod that started before this has ended. */
  deadBeforeMs: number;
  /** It is to be made anew. */
  isOutdated: boolean;
  deleting: boolean;
  /** It has ended with its machine: nobody has said so yet. Null where that is not so. */
  unsaidMs: number | null;
};
export type RunningShard = SimProcess & {
  shard: Shard | null;
  store: Store | null;
  readonly startedAtMs: number;
  /** As no other process ever calls itself. */
  readonly incarnation: string;
};
export type SimOperator = {
  readonly name: string;
  running: (SimProcess & { readonly ending: AbortController }) | null;
};

export type WorldOptions = {
  readonly seed: number;
  readonly cluster: ShardCluster;
  readonly operators: number;
  readonly trace: ((line: string) => void) | null;
};

export const clusterKey = "default/demo";
const token = Buffer.from("a token of the simulator");
export const infoHost = "info";

export const createWorld = (options: WorldOptions): World => {
  const random = seeded(options.seed);
  const defects: string[] = [];
  const names = new Map<string, Process>();
  let processes = 0;
  let workload: Workload | null = null;
  const defect = (what: string): void => {
    defects.push(what);
  };
  const timeline = createTimeline((error, of) => {
    defect(`${of?.name ?? "the world"} threw ${stackOf(error)}`);
  });
  const trace = (who: string, what: string): void => {
    options.trace?.(`${timeline.nowMs().toFixed(3).padStart(10)} ${who.padEnd(14)} ${what}`);
  };
  const network = createSimNetwork({
    ...{ timeline, random: random.fork("network") },
    resolve: (host) =>
      host === infoHost
        ? [...world.operators.values()].filter(({ running }) => running !== null).map(({ name }) => name)
        : [],
    failed: (error, of) => {
      defect(`${of.name} failed on a message: ${stackOf(error)}`);
    },
  });
  const api = createSimApi({ timeline, random: random.fork("api"), network });

  const newProcess = (name: string): SimProcess => {
    const process: Process = { id: ++processes, name, isAlive: true, isPaused: false, held: [] };
    names.set(name, process);
    const own = random.fork(`${name} ${processes}`);
    const clock = clockOf(timeline, process, {
      startMs: own.between(0, 1e6),
      rate: own.between(0.99, 1.01),
      // One machine, one clock, however often a process starts there.
      wallAheadMs: random.fork(`${name} wall`).between(-50, 50),
    });
    return { process, clock, random: own, logger: loggerOf(name, options.trace === null ? null : trace) };
  };

  const world: World = {
    ...{ random, timeline, network, api, defects, trace, newProcess, cluster: options.cluster },
    isResized: false,
    isCoarse: random.fork("coarse").chance(0.5),
    ...{ clients: [], pods: new Map(), operators: new Map(), watchers: new Set(), ended: new Set() },
    processOf: (name) => names.get(name) ?? null,
    changed: () => {
      for (const watcher of world.watchers) watcher();
    },
    workload: () => workload,
    scale: (wanted) => {
      workload = wanted;
      scale(world, wanted);
    },
  };
  for (let i = 0; i < options.operators; i++) {
    const operator: SimOperator = { name: `operator-${i}`, running: null };
    world.operators.set(operator.name, operator);
    startOperatorOf(world, operator);
  }
  return world;
};

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

const loggerOf = (name: string, trace: ((who: string, what: string) => void) | null): Logger => {
  const silent = (): void => undefined;
  if (trace === null) {
    const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent, child: () => logger };
    return logger;
  }
  const say = (level: string) => (fields: LogFields, message: string) => {
    const texts = Object.entries(fields).map(([field, value]) => `${field}=${textOf(value)}`);
    trace(name, `${level} ${message} ${texts.join(" ")}`);
  };
  const logger: Logger = {
    ...{ debug: say("debug"), info: say("info"), warn: say("WARN"), error: say("ERROR") },
    child: () => logger,
  };
  return logger;
};
const textOf = (value: unknown): string =>
  value instanceof Error ? messageOf(value) : typeof value === "string" ? value : JSON.stringify(value);

const scale = (world: World, { writers, readers }: Workload): void => {
  const wanted = new Map<string, "writer" | "reader">();
  for (let i = 0; i < writers; i++) wanted.set(writerPod("demo", i), "writer");
  for (let i = 0; i < readers; i++) wanted.set(readerPod("demo", i), "reader");
  for (const [name, home] of wanted) if (!world.pods.has(name)) addPod(world, name, home);
  for (const pod of world.pods.values()) if (!wanted.has(pod.name)) removePod(world, pod);
};

export const newVolume = (): Volume => {
  const disk = createMemoryDisk();
  disk.capacity = 1e9;
  return { disk, slowMs: 0, failsSync: false };
};

/** What was not synced is gone; the process has to be ended as well. */
export const losePower = (pod: SimPod, random: Seeded): void => {
  const { capacity } = pod.volume.disk;
  pod.volume = { disk: pod.volume.disk.afterPowerLoss(random.below), slowMs: 0, failsSync: false };
  pod.volume.disk.capacity = capacity;
};

const addPod = (world: World, name: string, home: "writer" | "reader"): void => {
  const uid = `uid-${name}-${world.timeline.events()}`;
  const pod: SimPod = {
    ...{ name, home, uid, volume: newVolume(), running: null, deadBeforeMs: 0 },
    ...{ deleting: false, unsaidMs: null, isOutdated: false },
  };
  world.pods.set(name, pod);
  startLater(world, pod, world.random.between(5, 60));
};

/** What a deleted pod had goes as well: its volume is wiped. */
export const removePod = (world: World, pod: SimPod): void => {
  if (pod.deleting) return;
  pod.deleting = true;
  world.changed();
  const gone = (): void => {
    endPod(world, pod, { isHeard: true });
    world.pods.delete(pod.name);
    world.ended.add(pod.uid);
    world.changed();
  };
  endGently(world, pod, gone);
};

/** The pod is deleted, as an eviction or a rolling change does, and comes back under its name, on its volume. */
export const remakePod = (world: World, pod: SimPod): void => {
  if (pod.deleting) return;
  world.trace(pod.name, "is deleted, to be made anew");
  pod.deleting = true;
  world.changed();
  endGently(world, pod, () => {
    endPod(world, pod, { isHeard: true });
    world.ended.add(pod.uid);
    pod.uid = `uid-${pod.name}-${world.timeline.events()}`;
    Object.assign(pod, { deleting: false, isOutdated: false, deadBeforeMs: 0 });
    world.changed();
    startLater(world, pod, world.random.between(50, 1_000));
  });
};

/** As the kubelet does: SIGTERM, and SIGKILL where that does not end it. */
export const endGently = (world: World, pod: SimPod, gone: () => void): void => {
  const { running } = pod;
  const { timeline } = world;
  const shard = running?.shard ?? null;
  let isOver = false;
  const over = (): void => {
    if (isOver) return;
    isOver = true;
    gone();
  };
  timeline.at(timeline.nowMs() + terminationMs, null, over);
  if (running === null || shard === null) {
    timeline.at(timeline.nowMs() + 10, null, over);
    return;
  }
  timeline.at(timeline.nowMs(), running.process, () => {
    world.trace(pod.name, "SIGTERM");
    shard.end({ handsOver: true }).then(over, over);
  });
};
/** Time for a handover, and for what comes after it. */
const terminationMs = 9_000;

export const startLater = (world: World, pod: SimPod, ms: number): void => {
  const { timeline } = world;
  timeline.at(timeline.nowMs() + ms, null, () => {
    if (world.pods.get(pod.name) === pod && pod.running === null && !pod.deleting) startPod(world, pod);
  });
};

/** Ends a pod's process where it stands: `isHeard` false where its machine went with it. */
export const endPod = (world: World, pod: SimPod, { isHeard }: { readonly isHeard: boolean }): void => {
  const { running } = pod;
  if (running === null) return;
  world.trace(pod.name, isHeard ? "is killed" : "loses power");
  pod.running = null;
  const { process, clock } = running;
  process.isAlive = false;
  process.held = [];
  const endedMs = clock.wallMs();
  // A machine without power says nothing before it is back.
  if (isHeard) sayDead(world, pod, endedMs);
  else pod.unsaidMs = endedMs;
  world.network.ended(process, isHeard);
};

/** The kubelet says that a process has ended, a little later; in whole seconds, where that is what the API has. */
const sayDead = (world: World, pod: SimPod, endedMs: number): void => {
  const { uid } = pod;
  const { timeline, random } = world;
  timeline.at(timeline.nowMs() + random.between(5, 300), null, () => {
    if (pod.uid !== uid) return;
    pod.deadBeforeMs = Math.max(
      pod.deadBeforeMs,
      world.isCoarse ? Math.floor(endedMs / 1000) * 1000 : endedMs,
    );
    world.changed();
  });
};

const smallStore = (random: Seeded): Store =>
  createSegmentStore({
    seed: { low: random.below(2 ** 31), high: random.below(2 ** 31) },
    ...{ unitBits: 9, chunkBits: 3, slackBytes: 0 },
  });

const limitsOf = (random: Seeded): LogLimits => ({
  ...smallLimits,
  segmentBytes: random.pick([600, 2_000, 20_000]),
  frameBytes: random.pick([200, 2_000]),
  syncEveryMs: 1_000,
  heldMs: 1_000,
  retryMs: 200,
  snapshotEveryBytes: random.pick([1_000, 4_000, 1e9]),
  sliceMs: 1,
});

const startPod = (world: World, pod: SimPod): void => {
  const { timeline, network, cluster, random } = world;
  const made = world.newProcess(pod.name);
  const { process, clock, logger } = made;
  const incarnation = `${pod.name}#${process.id}`;
  const running: RunningShard = {
    ...{ ...made, shard: null, store: null, incarnation, startedAtMs: clock.wallMs() },
  };
  pod.running = running;
  if (pod.unsaidMs !== null) sayDead(world, pod, pod.unsaidMs);
  pod.unsaidMs = null;
  const failed = (error: unknown): void => {
    world.trace(pod.name, `ends: ${messageOf(error)}`);
    if (pod.running !== running) return;
    endPod(world, pod, { isHeard: true });
    world.changed();
    startLater(world, pod, random.between(100, 1_000));
  };
  timeline.at(timeline.nowMs(), process, () => {
    startShard(
      {
        ...{ home: pod.home, pod: pod.name, clusterId: cluster.uid, cluster: clusterKey, token },
        ...{ info: [`ws://${infoHost}:7378`], host: pod.name, advertiseHost: pod.name, data: "/data" },
        ports: { client: 7379, replication: 7380, http: 8080, resp: 6379 },
        ...{ node: "", zone: "", logLevel: "info", ownContainer: false, drainMs: 100 },
        ...{ podUid: pod.uid, handoverMs: 5_000 },
      },
      {
        ...{ network: network.of(process), clock, logger, random: made.random.next, incarnation, failed },
        disk: diskFor({ timeline, random: made.random.fork("disk"), process, volume: pod.volume }),
        createStore: () => (running.store = smallStore(made.random)),
        log: limitsOf(made.random),
      },
    ).then((shard) => {
      running.shard = shard;
    }, failed);
  });
  world.changed();
};

export const startOperatorOf = (world: World, operator: SimOperator): void => {
  const { timeline, network, api } = world;
  const made = world.newProcess(operator.name);
  const { process, clock, logger, random } = made;
  const ending = new AbortController();
  const running = { ...made, ending };
  operator.running = running;
  const ended = (why: string): void => {
    world.trace(operator.name, `ends: ${why}`);
    if (operator.running !== running) return;
    endOperator(world, operator);
    restartOperator(world, operator, world.random.between(200, 1_500));
  };
  timeline.at(timeline.nowMs(), process, () => {
    runOperator(
      {
        platform: createSimPlatform(world, { process, random, token }),
        ...{ api: api.of(process), network: network.of(process), clock, logger, random: random.next },
        self: { pod: operator.name, incarnation: `${operator.name}#${process.id}` },
        ...{ host: operator.name, infoPort: 7378, httpPort: 8080 },
        lease: {
          ...{ namespace: "edis", name: "edis-operator" },
          address: { info: `ws://${operator.name}:7378`, http: `http://${operator.name}:8080` },
          times: { durationMs: 3_000, renewMs: 2_000, retryMs: 400 },
        },
      },
      ending.signal,
    ).then(
      () => {
        ended("was told to");
      },
      (error: unknown) => {
        ended(messageOf(error));
      },
    );
  });
};

export const endOperator = (world: World, operator: SimOperator): void => {
  const { running } = operator;
  if (running === null) return;
  operator.running = null;
  running.process.isAlive = false;
  running.process.held = [];
  world.network.ended(running.process, true);
};

export const restartOperator = (world: World, operator: SimOperator, ms: number): void => {
  const { timeline } = world;
  timeline.at(timeline.nowMs() + ms, null, () => {
    if (operator.running === null) startOperatorOf(world, operator);
  });
};

export const pause = (world: World, process: Process): void => {
  process.isPaused = true;
  world.network.probe();
};

export const goOn = (world: World, process: Process): void => {
  if (!process.isPaused) return;
  process.isPaused = false;
  const { held } = process;
  process.held = [];
  for (const event of held)
    if (!event.isCancelled) world.timeline.at(world.timeline.nowMs(), process, runOf(event));
};
const runOf = (event: Process["held"][number]) => (): void => {
  if (!event.isCancelled) event.run();
};
