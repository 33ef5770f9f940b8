import { spawnSync } from "node:child_process";

/**
 * Runs every bench, or those that are named, one after the other, each in a process of its own. Figures, no verdicts: the first eight
 * are written to docs/benchmarks.md, the others printed. Usage: node bench/run.ts [name …]
 */
const all = [
  "throughput",
  "memory",
  "pauses",
  "start",
  "copy",
  "readers",
  "reshard",
  "failover",
  "lag",
  "cluster",
  "client",
  "store",
];
const failed = [];
for (const bench of process.argv.length > 2 ? process.argv.slice(2) : all) {
  console.log(`\n== ${bench}`);
  if (spawnSync(process.execPath, [`bench/${bench}.ts`], { stdio: "inherit" }).status !== 0)
    failed.push(bench);
}
if (failed.length > 0) {
  console.error(`Not to the end: ${failed.join(", ")}`);
  process.exit(1);
}
