/** Some runs, one after the other, for many.ts: `worker.ts SEED COUNT STOPS [MUTANT [AIM]]`. Tells what it found now and then. */
import { mutate } from "./mutate.ts";
import { newSummary, type Summary } from "./summary.ts";

const [first = 1, count = 1] = process.argv.slice(2).map(Number);
const stops = process.argv[4] === "true";
const mutant = process.argv[5] ?? "";
const aim = process.argv[6] ?? "";
// Before anything of the product is loaded.
if (mutant !== "") mutate(mutant);
const { describe, simulate } = await import("./simulate.ts");
const { aimed } = await import("./aims.ts");

// Errors are answers here, thousands of them; nobody reads where they were made.
Error.stackTraceLimit = 3;
// Whoever started this says when it ends.
process.on("SIGINT", () => undefined);

/** Told at once where there is a violation. */
const tellEvery = 20;

let summary: Summary = newSummary();
let cpuMs = 0;
const tell = (then: () => void): void => {
  const { user, system } = process.cpuUsage();
  summary.cpuMs = (user + system) / 1000 - cpuMs;
  cpuMs += summary.cpuMs;
  const told = summary;
  summary = newSummary();
  process.send?.(told, then);
};

const next = (seed: number, isOver: boolean): void => {
  if (isOver) {
    tell(() => process.exit(0));
    return;
  }
  const run = simulate(aimed(aim, seed));
  const { violations, events, ok, unknown, undecided, isResized, healedMs } = run;
  summary.runs++;
  summary.events += events;
  summary.eventsLeast = Math.min(summary.eventsLeast, events);
  if (isResized) summary.moved++;
  summary.ok += ok;
  summary.unknown += unknown;
  summary.undecided += undecided;
  summary.msMax = Math.max(summary.msMax, healedMs);
  const hasFailed = violations.length > 0;
  if (hasFailed) {
    summary.violations++;
    summary.failed.push({ seed, text: describe(run).slice(0, 2_000) });
  }
  const willEnd = seed + 1 === first + count || (stops && hasFailed);
  if (!willEnd && (hasFailed || summary.runs === tellEvery)) tell(() => undefined);
  setImmediate(next, seed + 1, willEnd);
};
setImmediate(next, first, count === 0);
