import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

/**
 * How long commands take inside this process: from the read that brought them to the moment at which their answers may go, so
 * a wait for the disk is in it. Measured once for all commands that a connection sent together, as what each of them took
 * at most, and booked under the family of the first; that costs one look at the clock.
 */
export type CommandLatency = {
  readonly record: (family: Family, ms: number) => void;
  /** Of each family since the process started, milliseconds. */
  readonly figures: () => readonly LatencyFigures[];
};

export type Family = (typeof families)[number];
const families = ["get", "set", "mget", "mset", "other"] as const;

export const familyOf = (command: string): Family => {
  switch (command) {
    case "get":
    case "set":
    case "mget":
    case "mset":
      return command;
    default:
      return "other";
  }
};

export type LatencyFigures = {
  readonly family: Family;
  /** Batches that were measured. */
  readonly count: number;
  /** Over all batches. */
  readonly sumMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
};

/** Microseconds; an hour. */
const recordedMax = 3_600_000_000;

export const createCommandLatency = (): CommandLatency => {
  // Each takes 26 kB, and most processes serve one family or none.
  const histograms = new Map<Family, RecordableHistogram>();
  return {
    record: (family, ms) => {
      let of = histograms.get(family);
      if (of === undefined) histograms.set(family, (of = histogram()));
      of.record(Math.min(recordedMax, Math.max(1, Math.round(ms * 1000))));
    },
    figures: () => families.map((family) => figuresOf(family, histograms.get(family))),
  };
};

/** Two figures are exact. */
const histogram = (): RecordableHistogram => createHistogram({ lowest: 1, highest: recordedMax, figures: 2 });

const figuresOf = (family: Family, of: RecordableHistogram | undefined): LatencyFigures => {
  if (of === undefined) return { family, count: 0, sumMs: 0, p50Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 };
  const at = (percent: number): number => of.percentile(percent) / 1000;
  return {
    ...{ family, count: of.count, sumMs: (of.mean * of.count) / 1000 },
    ...{ p50Ms: at(50), p99Ms: at(99), p999Ms: at(99.9), maxMs: of.max / 1000 },
  };
};
