import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import { createForecaster, type Look } from "./forecaster.ts";
import type { Info } from "./info/info.ts";
import { ConflictError, type Platform } from "./platform.ts";
import { createQueue, type Queue } from "./queue.ts";
import { createReconciler } from "./reconciler.ts";

export type ControllerOptions = {
  readonly platform: Platform;
  readonly info: Info;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly signal: AbortSignal;
};

/** Changes of one cluster that come closer together are decided on as one. */
const decideRestMs = 2;
/** … and carried out as one. */
const carryOutRestMs = 50;
const clustersAtOnceMax = 8;
/** … and, where a shard is being handed over, this much later: requests wait for that, and what else is to be done would be in its way. */
const afterHandoverMs = 250;

/** Reconciles every cluster, whenever it or one of its processes changes, until the signal is aborted. Then resolves. */
export const startController = async (options: ControllerOptions): Promise<void> => {
  const { platform, info, clock, signal } = options;
  const { decide, carryOut, look } = createReconciler(options);
  const following = queueOf(options, {
    work: carryOut,
    ...{
      restMs: carryOutRestMs,
      firstMs: 200,
      what: "what was decided could not be carried out; it is repeated",
    },
  });
  const later = new Set<string>();
  const followUp = (key: string): void => {
    if (later.has(key)) return;
    if (!handsOver(look(key))) {
      following.add(key);
      return;
    }
    later.add(key);
    clock.after(afterHandoverMs, () => {
      later.delete(key);
      following.add(key);
    });
  };
  const deciding = queueOf(options, {
    work: async (key) => {
      const againMs = await decide(key);
      followUp(key);
      return againMs;
    },
    // Without an owner a shard takes no writes: a failed try is repeated soon.
    ...{ restMs: decideRestMs, firstMs: 20, what: "nothing could be decided; it is tried again" },
  });
  info.onChange(deciding.add);
  info.onPlan(createForecaster({ platform, clock, look }));
  try {
    await platform.watch(deciding.add, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    info.onChange(() => undefined);
    info.onPlan(null);
    await Promise.all([deciding.stop(), following.stop()]);
  }
};

const handsOver = (look: Look | null): boolean =>
  look?.observed.ownership?.shards.some(({ phase }) => phase.kind === "handover") === true;

type Work = {
  readonly work: (key: string) => Promise<number | null>;
  readonly restMs: number;
  /** Wait after the first failure. */
  readonly firstMs: number;
  /** What a failure means. */
  readonly what: string;
};

const queueOf = (
  { info, clock, random, logger }: ControllerOptions,
  { work, restMs, firstMs, what }: Work,
): Queue =>
  createQueue({
    work: async (key) => {
      const startMs = clock.nowMs();
      let failed = true;
      try {
        const againMs = await work(key);
        failed = false;
        return againMs;
      } finally {
        info.metrics.reconciled(key, (clock.nowMs() - startMs) / 1000, failed);
      }
    },
    failed: (key, error, tried) => {
      // Somebody else was first: the next read shows it. Nothing is wrong.
      if (error instanceof ConflictError) logger.info({ cluster: key }, error.message);
      else logger.warn({ cluster: key, error, tried }, what);
    },
    ...{ clock, random, restMs, concurrencyMax: clustersAtOnceMax, backoff: { firstMs, maxMs: 10_000 } },
  });
