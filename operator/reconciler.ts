import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { ShardId } from "../core/ids.ts";
import type { Logger } from "../core/logger.ts";
import type { Look } from "./forecaster.ts";
import type { Info } from "./info/info.ts";
import { createLedger, type LedgerKeeper } from "./ledger.ts";
import { announcedOf } from "./info/publish.ts";
import type { Observed, Ownership, Plan, PlannedEvent, Refusal, Session } from "./plan/model.ts";
import { plan } from "./plan/plan.ts";
import { ownerFinder } from "./plan/reshard.ts";
import { ConflictError, type Platform, type Seen, type StoredOwnership } from "./platform.ts";
import { keyOf, type ShardCluster, type ShardClusterStatus } from "./shardCluster.ts";
import { differsInKind, statusOf } from "./status.ts";

export type ReconcilerOptions = {
  readonly platform: Platform;
  readonly info: Info;
  readonly clock: Clock;
  readonly logger: Logger;
};

/**
 * The two halves of a reconcile. Deciding who owns what has to be quick: a read, a plan, a write, again and again until nothing
 * changes. What follows from it (pods, status, events) takes requests by the dozen, and nobody waits for it.
 */
export type Reconciler = {
  /** Decides. Resolves to the milliseconds after which to decide again, or null. */
  readonly decide: (key: string) => Promise<number | null>;
  /** Carries out what was decided last. */
  readonly carryOut: (key: string) => Promise<number | null>;
  /** What is known now; null where nothing has been decided yet. */
  readonly look: (key: string) => Look | null;
};

/** Everything is looked at again this often, whether or not a change was heard of. */
const resyncMs = 10_000;
/** Info does not publish before it has heard of the owners: the status is written when it has. */
const lookAgainMs = 500;
/** Keys and lags change all the time; a status that differs in nothing else is written this often. */
const figuresMs = 5_000;
/** Steps that follow from each other at once; more of them would be a plan that does not come to rest. */
const stepsMax = 8;
/** What was planned and is not told yet. */
const untoldMax = 1_000;

type Memory = {
  /** Told in an attempt that then failed: not to be told again by its repetition. */
  readonly told: Set<string>;
  untold: PlannedEvent[];
  decided: { readonly observed: Observed; readonly planned: Plan } | null;
  refusals: string;
  status: ShardClusterStatus | null;
  statusMs: number;
  /** Bytes per second of the moves that were seen last. */
  bytesPerSecond: number | null;
  readonly ledger: LedgerKeeper;
  /** As it was last read or written; null where it is not known how a write ended. */
  copy: Copy | null;
};
type Copy = { readonly clusterUid: string; readonly readMs: number; readonly stored: StoredOwnership | null };
const newMemory = (clock: Clock): Memory => ({
  ...{ told: new Set(), untold: [], decided: null, refusals: "", status: null, statusMs: -Infinity },
  ...{ bytesPerSecond: null, ledger: createLedger(clock), copy: null },
});

export const createReconciler = (options: ReconcilerOptions): Reconciler => {
  const { platform, info } = options;
  const memories = new Map<string, Memory>();

  const decide = async (key: string): Promise<number | null> => {
    const cluster = platform.cluster(key);
    if (cluster === undefined) {
      memories.delete(key);
      info.remove(key);
      await platform.forget(key);
      return null;
    }
    const memory = memories.get(key) ?? newMemory(options.clock);
    memories.set(key, memory);
    info.open({ clusterId: cluster.uid, cluster: key, token: await platform.token(cluster) });
    let againMs = 0;
    for (let step = 0; step < stepsMax; step++) {
      const decided = await decideOnce(options, cluster, memory);
      memory.untold.push(...decided.planned.events.slice(0, untoldMax - memory.untold.length));
      memory.decided = decided;
      againMs = decided.planned.againMs ?? resyncMs;
      if (decided.planned.ownership === decided.observed.ownership) break;
      againMs = 0;
    }
    return Math.min(againMs, info.topology(key) === null ? lookAgainMs : resyncMs);
  };

  const carryOut = async (key: string): Promise<number | null> => {
    const memory = memories.get(key);
    const decided = memory?.decided ?? null;
    if (memory === undefined || decided === null) return null;
    const { observed, planned } = decided;
    const { cluster } = observed;
    const untold = memory.untold.splice(0);
    await tell(options, cluster, { memory, events: [...untold, ...newRefusals(memory, planned.refusals)] });
    await platform.apply(cluster, planned.workload, planned.ownership);
    for (const pod of planned.restarts) await platform.restart(cluster, pod);
    const topology = info.topology(key);
    if (topology !== null) {
      const sessions = info.sessions(key);
      await writeStatus(options, cluster, {
        memory,
        status: statusOf({ ...observed, ...planned, sessions, topology }),
      });
    }
    memory.told.clear();
    return topology === null ? lookAgainMs : resyncMs;
  };

  const look = (key: string): Look | null => {
    const { decided = null, bytesPerSecond = null } = memories.get(key) ?? {};
    if (decided === null) return null;
    const { ownership } = decided.planned;
    const sessions = info.sessions(key);
    return { observed: { ...decided.observed, ownership, sessions }, measured: bytesPerSecond };
  };

  return { decide, carryOut, look };
};

type Decided = { readonly observed: Observed; readonly planned: Plan };

/**
 * Ownership is written before it is published, and what a write is about to end is granted nothing from before it is sent. It is
 * planned on the copy; the compare-and-set holds only where that is the newest there is, else it is read freshly and planned
 * again. Until a write is known to have been made there is no copy, so that whatever became of it is read before anybody is told
 * or granted anything.
 */
const decideOnce = async (
  options: ReconcilerOptions,
  cluster: ShardCluster,
  memory: Memory,
): Promise<Decided> => {
  const { platform, info, clock } = options;
  const key = keyOf(cluster);
  const seen = await platform.observe(cluster);
  const kept = usable(memory, cluster, clock.nowMs());
  const decideOnCopy = (copy: Copy): Promise<Decided> => decideOn(options, cluster, { seen, copy, memory });
  let decided: Decided;
  try {
    decided = await decideOnCopy(kept ?? (await readCopy(options, cluster, memory)));
  } catch (error) {
    if (kept === null || !(error instanceof ConflictError)) throw error;
    decided = await decideOnCopy(await readCopy(options, cluster, memory));
  }
  const { observed, planned } = decided;
  info.publish(key, planned.ownership, announcedOf(cluster.spec));
  info.metrics.decided(key, {
    ...{ before: observed.ownership, after: planned.ownership, nowMs: clock.nowMs() },
    served: servedOf(planned.ownership, observed.sessions),
  });
  return decided;
};

type On = { readonly seen: Seen; readonly copy: Copy; readonly memory: Memory };

/** Plans, and writes what is to be another than it was. Rejects with ConflictError where the copy was not the newest. */
const decideOn = async (options: ReconcilerOptions, cluster: ShardCluster, on: On): Promise<Decided> => {
  const { platform, info } = options;
  const { copy, memory } = on;
  const decided = planOn(options, cluster, on);
  const { observed, planned } = decided;
  if (planned.ownership === observed.ownership) return decided;
  memory.copy = null;
  info.hold(keyOf(cluster), endedBy(observed.ownership, planned.ownership));
  const expected = copy.stored?.resourceVersion ?? null;
  const stored = await platform.writeOwnership(cluster, planned.ownership, expected);
  memory.copy = { ...copy, stored };
  return decided;
};

const servedOf = ({ shards }: Ownership, sessions: readonly Session[]): ReadonlySet<ShardId> => {
  const ownerOf = ownerFinder(sessions);
  return new Set(shards.filter((shard) => ownerOf(shard) !== undefined).map(({ id }) => id));
};

const usable = ({ copy }: Memory, { uid }: ShardCluster, nowMs: number): Copy | null =>
  copy !== null && copy.clusterUid === uid && nowMs - copy.readMs < resyncMs ? copy : null;

const readCopy = async (
  { platform, clock }: ReconcilerOptions,
  cluster: ShardCluster,
  memory: Memory,
): Promise<Copy> => {
  const readMs = clock.nowMs();
  memory.copy = null;
  const stored = await platform.readOwnership(cluster);
  const copy: Copy = { clusterUid: cluster.uid, readMs, stored };
  memory.copy = copy;
  return copy;
};

const planOn = ({ info }: ReconcilerOptions, cluster: ShardCluster, { seen, copy, memory }: On): Decided => {
  const key = keyOf(cluster);
  const ownership = copy.stored?.ownership ?? null;
  const sessions = info.sessions(key);
  const observed: Observed = {
    ...{ cluster, ownership, sessions, ledger: memory.ledger.look(ownership, sessions) },
    ...seen,
    ...{ departed: info.departed(key), memory: info.memory(key) },
    leadingMs: info.leadingMs(),
  };
  return { observed, planned: plan(observed) };
};

/** Shards whose epoch is over with this change, or whose owner is not to be granted anything after it. */
const endedBy = (before: Ownership | null, after: Ownership): readonly ShardId[] =>
  (before?.shards ?? [])
    .filter((shard) => {
      const next = after.shards[shard.id];
      return next?.epoch !== shard.epoch || (next.phase.kind === "fencing" && shard.phase.kind !== "fencing");
    })
    .map(({ id }) => id);

const tell = async (
  { platform, logger }: ReconcilerOptions,
  cluster: ShardCluster,
  { memory, events }: { readonly memory: Memory; readonly events: readonly PlannedEvent[] },
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
  options: ReconcilerOptions,
  cluster: ShardCluster,
  { memory, status }: { readonly memory: Memory; readonly status: ShardClusterStatus },
): Promise<void> => {
  const { platform, info, clock } = options;
  info.show(keyOf(cluster), status);
  const moved = status.rebalance;
  if (moved !== null && moved.bytesDone > 0) memory.bytesPerSecond = moved.bytesPerSecond;
  const before = memory.status;
  const isDue = clock.nowMs() - memory.statusMs >= figuresMs;
  if (before !== null && !differsInKind(before, status) && !isDue) return;
  await platform.writeStatus(cluster, status);
  memory.status = status;
  memory.statusMs = clock.nowMs();
  await tell(options, cluster, { memory, events: turns(before, status) });
};

const newRefusals = (memory: Memory, refusals: readonly Refusal[]): readonly PlannedEvent[] => {
  const text = JSON.stringify(refusals);
  if (memory.refusals === text) return [];
  memory.refusals = text;
  return refusals.map((refusal) => ({ type: "Warning", ...refusal }));
};

/** Reasons for which the plan itself has an event. */
const toldByPlan: ReadonlySet<string> = new Set(["NoRoom", "NotEnoughReaders", "FailingOver"]);

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
