import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { isSummary, type Summary } from "./summary.ts";

/** Runs of one process before another takes its place, so that what the engine keeps of them does not add up. */
const runsPerProcessMax = 500;

export type Many = {
  /** The first one. */
  readonly seed: number;
  readonly runs: number;
  /** Ends soon after the first violation. */
  readonly stops: boolean;
  readonly mutant: string | null;
  readonly told: (text: string) => void;
};

/** Runs of consecutive seeds, on all cores (or as many processes as JOBS says). */
export const simulateMany = async ({ seed, runs, stops, mutant, told }: Many): Promise<Summary> => {
  const total: Summary = { runs: 0, events: 0, ok: 0, unknown: 0, undecided: 0, failed: [], msMax: 0, cpuMs: 0 };
  const { JOBS = "" } = process.env;
  const lanes = JOBS === "" ? availableParallelism() : Number(JOBS);
  let next = seed;
  const lane = async (): Promise<void> => {
    while (next < seed + runs && !(stops && total.failed.length > 0)) {
      const from = next;
      next = Math.min(seed + runs, next + Math.min(runsPerProcessMax, Math.max(20, Math.ceil(runs / lanes / 4))));
      const part = await share([String(from), String(next - from), String(stops), ...(mutant === null ? [] : [mutant])]);
      for (const field of ["runs", "events", "ok", "unknown", "undecided", "cpuMs"] as const) total[field] += part[field];
      total.msMax = Math.max(total.msMax, part.msMax);
      total.failed.push(...part.failed);
      for (const { text } of part.failed) told(text);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return total;
};

const share = (parameters: readonly string[]): Promise<Summary> =>
  new Promise((resolve, reject) => {
    const child = fork(new URL("worker.ts", import.meta.url), parameters);
    let summary: Summary | null = null;
    child.on("message", (message) => {
      if (isSummary(message)) summary = message;
    });
    child.on("exit", (code) => {
      if (summary !== null) resolve(summary);
      else reject(new Error(`seeds from ${parameters[0] ?? ""} on: the process ended with ${String(code)}`));
    });
  });
