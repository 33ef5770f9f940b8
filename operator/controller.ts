import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { createLedger, type LedgerKeeper } from "./ledger.ts";
import type { Info } from "./info/info.ts";
import { announcedOf } from "./info/publish.ts";
import type { Observed, PlannedEvent, Refusal } from "./plan/model.ts";
import { plan } from "./plan/plan.ts";
import { ConflictError, type Platform } from "./platform.ts";
import { createQueue } from "./queue.ts";
import { keyOf, type ShardCluster, type ShardClusterStatus } from "./shardCluster.ts";
import { differsInKind, statusOf } from "./status.ts";

export type ControllerOptions = {
  readonly platform: Platform;
  readonly info: Info;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly signal: AbortSignal;
};

/** Everything is looked at again this often, whether or not a change was heard of. */
const resyncMs = 10_000;
/** Info does not publish before it has heard of the owners: the status is written when it has. */
const lookAgainMs = 500;
/** Changes of one cluster that come closer together are reconciled as one. */
const restMs = 50;
/** Keys and lags change all the time; a status that differs in nothing else is written this often. */
const figuresMs = 5_000;
const clustersAtOnceMax = 8;
const backoff = { firstMs: 200, maxMs: 10_000 };

/** Reconciles every cluster, whenever it or one of its processes changes, until the signal is aborted. Then resolves. */
export const startController = async (options: ControllerOptions): Promise<void> => {
  const { platform, info, clock, logger, random, signal } = options;
  const reconciler = createReconciler(options);
  const queue = createQueue({
    work: async (key) => {
      const startMs = clock.nowMs();
      let failed = true;
      try {
        const againMs = await reconciler.reconcile(key);
        failed = false;
        return againMs;
      } finally {
        info.metrics.reconciled(key, (clock.nowMs() - startMs) / 1000, failed);
      }
    },
    failed: (key, error, tried) => {
      // Somebody else was first: the next read shows it. Nothing is wrong.
      if (error instanceof ConflictError) logger.info({ cluster: key }, error.message);
      else logger.warn({ cluster: key, error, tried }, "reconcile failed; it is repeated");
    },
    clock,
    random,
    restMs,
    concurrencyMax: clustersAtOnceMax,
    backoff,
  });
  info.onChange(queue.add);
  try {
    await platform.watch(queue.add, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    info.onChange(() => undefined);
    await queue.stop();
  }
};

type Memory = {
  /** Told in an attempt that then failed: not to be told again by its repetition. */
  readonly told: Set<string>;
  refusals: string;
  status: ShardClusterStatus | null;
  statusMs: number;
  readonly ledger: LedgerKeeper;
};

const createReconciler = ({ platform, info, clock, logger }: ControllerOptions) => {
  const memories = new Map<string, Memory>();

  const tell = async (
    cluster: ShardCluster,
    memory: Memory,
    events: readonly PlannedEvent[],
  ): Promise<void> => {
    for (const event of events) {
      const text = `${event.reason} ${event.message}`;
      if (memory.told.has(text)) continue;
      memory.told.add(text);
      const { reason, message, type } = event;
      logger[type === "Normal" ? "info" : "warn"]({ cluster: keyOf(cluster), reason }, message);
      await platform.event(cluster, event).catch((error: unknown) => {
        logger.warn({ cluster: keyOf(cluster), reason, why: messageOf(error) }, "an event was not written");
      });
    }
  };

  const writeStatus = async (
    cluster: ShardCluster,
    memory: Memory,
    status: ShardClusterStatus,
  ): Promise<void> => {
    info.show(keyOf(cluster), status);
    const before = memory.status;
    const isDue = clock.nowMs() - memory.statusMs >= figuresMs;
    if (before !== null && !differsInKind(before, status) && !isDue) return;
    await platform.writeStatus(cluster, status);
    memory.status = status;
    memory.statusMs = clock.nowMs();
    await tell(cluster, memory, turns(before, status));
  };

  // Ownership is written before it is published, and published before pods are taken away.
  const reconcile = async (key: string): Promise<number | null> => {
    const cluster = platform.cluster(key);
    if (cluster === undefined) {
      memories.delete(key);
      info.remove(key);
      await platform.forget(key);
      return null;
    }
    const memory = memories.get(key) ?? newMemory(clock);
    memories.set(key, memory);
    info.open({ clusterId: cluster.uid, cluster: key, token: await platform.token(cluster) });
    const [stored, seen] = await Promise.all([platform.readOwnership(cluster), platform.observe(cluster)]);
    const ownership = stored?.ownership ?? null;
    const sessions = info.sessions(key);
    const observed: Observed = {
      ...{ cluster, ownership, sessions, ledger: memory.ledger.look(ownership, sessions) },
      ...seen,
      leadingMs: info.leadingMs(),
    };
    const planned = plan(observed);
    if (planned.ownership !== observed.ownership) {
      await platform.writeOwnership(cluster, planned.ownership, stored?.resourceVersion ?? null);
    }
    info.publish(key, planned.ownership, announcedOf(cluster.spec));
    await tell(cluster, memory, [...planned.events, ...newRefusals(memory, planned.refusals)]);
    await platform.apply(cluster, planned.workload, planned.ownership);
    for (const pod of planned.restarts) await platform.restart(cluster, pod);
    const topology = info.topology(key);
    if (topology !== null) {
      await writeStatus(cluster, memory, statusOf({ ...observed, ...planned, topology }));
    }
    memory.told.clear();
    return Math.min(planned.againMs ?? resyncMs, topology === null ? lookAgainMs : resyncMs);
  };

  return { reconcile };
};

const newMemory = (clock: Clock): Memory => ({
  ...{ told: new Set(), refusals: "", status: null, statusMs: -Infinity, ledger: createLedger(clock) },
});

const newRefusals = (memory: Memory, refusals: readonly Refusal[]): readonly PlannedEvent[] => {
  const text = JSON.stringify(refusals);
  if (memory.refusals === text) return [];
  memory.refusals = text;
  return refusals.map((refusal) => ({ type: "Warning", ...refusal }));
};

/** Reasons for which the plan itself has an event. */
const toldByPlan: ReadonlySet<string> = new Set(["NoRoom", "NotEnoughReaders", "Restoring"]);

/** What a person wants to hear of when it begins: the cluster became ready, or something went wrong. */
const turns = (before: ShardClusterStatus | null, after: ShardClusterStatus): readonly PlannedEvent[] =>
  after.conditions.flatMap((condition): readonly PlannedEvent[] => {
    const { type, status, reason, message } = condition;
    const was = before?.conditions.find((other) => other.type === type);
    if (type === "Rebalancing") {
      const isNew = reason === "Paused" && was?.reason !== reason;
      return isNew ? [{ type: "Normal", reason: "RebalancePaused", message }] : [];
    }
    if (status !== "True" || type === "Progressing") return [];
    if (type === "Ready") return was?.status === "True" ? [] : [{ type: "Normal", reason: "Ready", message }];
    const isTold = was?.status === "True" && was.reason === reason;
    return isTold || toldByPlan.has(reason) ? [] : [{ type: "Warning", reason, message }];
  });
