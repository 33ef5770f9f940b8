/** Some runs, one after the other, for many.ts: `worker.ts SEED COUNT STOPS [MUTANT]`. */
import { mutate } from "./mutate.ts";
import type { Summary } from "./summary.ts";

const [first = 1, count = 1] = process.argv.slice(2).map(Number);
const stops = process.argv[4] === "true";
const mutant = process.argv[5];
// Before anything of the product is loaded.
if (mutant !== undefined) mutate(mutant);
const { describe, scenarioOf, simulate } = await import("./simulate.ts");

// Errors are answers here, thousands of them; nobody reads where they were made.
Error.stackTraceLimit = 3;

const summary: Summary = { runs: 0, events: 0, ok: 0, unknown: 0, undecided: 0, msMax: 0, cpuMs: 0, failed: [] };

const next = (seed: number): void => {
  if (seed === first + count || (stops && summary.failed.length > 0)) {
    const { user, system } = process.cpuUsage();
    summary.cpuMs = (user + system) / 1000;
    process.send?.(summary, () => process.exit(0));
    return;
  }
  const run = simulate(scenarioOf(seed));
  summary.runs++;
  summary.events += run.events;
  summary.ok += run.ok;
  summary.unknown += run.unknown;
  summary.undecided += run.undecided;
  summary.msMax = Math.max(summary.msMax, run.healedMs);
  if (run.violations.length > 0) summary.failed.push({ seed, text: describe(run).slice(0, 2_000) });
  setImmediate(next, seed + 1);
};
setImmediate(next, first);
