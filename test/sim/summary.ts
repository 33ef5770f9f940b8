/** What one process has found. */
export type Summary = {
  runs: number;
  events: number;
  ok: number;
  unknown: number;
  undecided: number;
  /** Longest from the end of the faults until all was well: virtual milliseconds. */
  msMax: number;
  cpuMs: number;
  readonly failed: { readonly seed: number; readonly text: string }[];
};

export const isSummary = (message: unknown): message is Summary =>
  typeof message === "object" && message !== null && "runs" in message && "failed" in message;
