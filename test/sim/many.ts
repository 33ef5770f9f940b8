import { describe, scenarioOf, simulate } from "./simulate.ts";
setImmediate(() => {
  const from = Number(process.argv[2] ?? 1), n = Number(process.argv[3] ?? 20);
  const t0 = performance.now(); let events = 0, bad = 0, ok=0;
  for (let s = from; s < from + n; s++) {
    const run = simulate(scenarioOf(s)); events += run.events; ok += run.ok;
    if (run.violations.length > 0) { bad++; console.log(describe(run).slice(0, 700)); }
  }
  const ms = performance.now() - t0;
  console.log({ n, bad, msPerRun: ms / n, eventsPerRun: events / n, okPerRun: ok/n, heap: process.memoryUsage().rss / 1e6 });
  process.exit(0);
});
