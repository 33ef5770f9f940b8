/** What some runs have shown. */
export type Summary = {
  runs: number;
  events: number;
  /** Of the run that had fewest. */
  eventsLeast: number;
  /** Runs in which slots moved. */
  moved: number;
  ok: number;
  unknown: number;
  undecided: number;
  /** Longest from the end of the faults until all was well: virtual milliseconds. */
  msMax: number;
  cpuMs: number;
  violations: number;
  /** Of those runs, as many as are kept. */
  readonly failed: { readonly seed: number; readonly text: string }[];
};

/** A soak of broken code finds the same again and again. */
const failedMax = 1_000;

export const newSummary = (): Summary => ({
  ...{ runs: 0, events: 0, eventsLeast: Infinity, moved: 0, ok: 0, unknown: 0, undecided: 0 },
  ...{ msMax: 0, cpuMs: 0, violations: 0, failed: [] },
});

export const add = (total: Summary, part: Summary): void => {
  for (const field of [
    "runs",
    "events",
    "moved",
    "ok",
    "unknown",
    "undecided",
    "cpuMs",
    "violations",
  ] as const)
    total[field] += part[field];
  total.eventsLeast = Math.min(total.eventsLeast, part.eventsLeast);
  total.msMax = Math.max(total.msMax, part.msMax);
  total.failed.push(...part.failed.slice(0, failedMax - total.failed.length));
};

export const isSummary = (message: unknown): message is Summary =>
  typeof message === "object" && message !== null && "runs" in message && "failed" in message;
