import { spawnSync } from "node:child_process";

/** Runs every bench, one after the other, each in a process of its own. Figures, no verdicts. */
for (const bench of ["lag", "cluster", "copy", "client"]) {
  console.log(`\n== ${bench}`);
  spawnSync(process.execPath, [`bench/${bench}.ts`], { stdio: "inherit" });
}
