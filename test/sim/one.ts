/** One run by its seed: `node test/sim/one.ts SEED`; `TRACE=1` prints what happened. */
import { describe, historyOf, scenarioOf, simulate } from "./simulate.ts";

setImmediate(() => {
  const seed = Number(process.argv[2] ?? 1);
  const startMs = performance.now();
  const run = simulate(
    scenarioOf(seed),
    process.env["TRACE"] === "1" ? (line) => { console.log(line); } : null,
  );
  console.log(describe(run));
  if (run.violations.length > 0) console.log(historyOf(run));
  console.log(`${run.ok} ok, ${run.unknown} unknown, hash ${run.hash}, ${(performance.now() - startMs).toFixed(0)} ms of work`);
  process.exit(run.violations.length > 0 ? 1 : 0);
});
