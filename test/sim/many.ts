import { fork, type ChildProcess } from "node:child_process";
import { availableParallelism } from "node:os";
import { add, isSummary, newSummary, type Summary } from "./summary.ts";

/** Runs of one process before another takes its place. The first of them cost three times as much, until all is compiled. */
const runsPerProcessMax = 2_500;

export type Many = {
  /** The first one. */
  readonly seed: number;
  readonly runs: number;
  /** Ends soon after the first violation. */
  readonly stops: boolean;
  readonly mutant: string | null;
  /** See aims.ts; all kinds of scenarios where it is not given. */
  readonly aim?: string | undefined;
  /** What was found since, and all that was; called as it comes. */
  readonly told?: (part: Summary, total: Summary) => void;
  /** Ends at once. */
  readonly signal?: AbortSignal;
};

/** Runs of consecutive seeds, on all cores (or as many processes as JOBS says). What is kept of them does not grow with their number. */
export const simulateMany = async (many: Many): Promise<Summary> => {
  const { seed, runs, stops, mutant, aim = "", told, signal } = many;
  const total = newSummary();
  const { JOBS = "" } = process.env;
  const lanes = Math.min(runs, JOBS === "" ? availableParallelism() : Number(JOBS));
  const children = new Set<ChildProcess>();
  const end = (): void => {
    for (const child of children) child.kill("SIGKILL");
  };
  signal?.addEventListener("abort", end, { once: true });
  let next = seed;
  const isOver = (): boolean =>
    next >= seed + runs || signal?.aborted === true || (stops && total.violations > 0);
  const heard = (part: Summary): void => {
    add(total, part);
    told?.(part, total);
    // Others may be at seeds that come first.
    if (stops && total.violations > 0) end();
  };
  const lane = async (): Promise<void> => {
    while (!isOver()) {
      const from = next;
      const count = Math.min(seed + runs - from, runsPerProcessMax, Math.ceil(runs / lanes));
      next += count;
      await share([String(from), String(count), String(stops), mutant ?? "", aim], { children, heard });
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  signal?.removeEventListener("abort", end);
  return total;
};

type Around = { readonly children: Set<ChildProcess>; readonly heard: (part: Summary) => void };

const share = (parameters: readonly string[], { children, heard }: Around): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = fork(new URL("worker.ts", import.meta.url), parameters);
    children.add(child);
    child.on("message", (message) => {
      if (isSummary(message)) heard(message);
    });
    child.on("exit", (code, by) => {
      children.delete(child);
      if (code === 0 || by === "SIGKILL") resolve();
      else reject(new Error(`seeds from ${parameters[0] ?? ""} on: the process ended with ${String(code)}`));
    });
  });
