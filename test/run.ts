/**
 * Runs the tests (AVA, TAP) and closes with the line `N passed, N failed`. Arguments go to AVA: files, `--match`, ….
 * What passes is one line; what fails is printed whole, and once more at the end.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { resolve } from "node:path";

const ava = spawn(
  process.execPath,
  ["node_modules/ava/entrypoints/cli.js", "--tap", ...process.argv.slice(2)],
  {
    stdio: ["inherit", "pipe", "inherit"],
    // Hundreds of processes load the same files: what the engine made of them is kept.
    env: { NODE_COMPILE_CACHE: resolve("node_modules/.cache/compiled"), ...process.env },
  },
);

let passed = 0;
let failed = 0;
let skipped = 0;
/** What failed, with the lines that say how. */
const failures: string[] = [];
let isFailure = false;
for await (const line of createInterface({ input: ava.stdout })) {
  const result = /^(not )?ok \d+ - (.*)$/.exec(line);
  if (result === null) {
    if (/^(TAP version|1\.\.|# (tests|pass|fail|skip|todo)|\s*$)/.test(line)) continue;
    console.log(line);
    if (isFailure) failures.push(line);
    continue;
  }
  const [, not, title = ""] = result;
  if (/ # (SKIP|TODO)/.test(title)) skipped++;
  else if (not === undefined) passed++;
  else failed++;
  isFailure = not !== undefined;
  if (isFailure) failures.push(`✘ ${title}`);
  console.log(`${not === undefined ? "✔" : "✘"} ${title}`);
}
const code = await new Promise<number>((resolve) => {
  ava.on("close", (exit) => {
    resolve(exit ?? 1);
  });
});
// A crash of the runner or of a test file is a failure even where no single test says so.
if (code !== 0 && failed === 0) failed = 1;
if (code === 0 && passed === 0) failed = 1;
if (failures.length > 0) console.log(`\nwhat failed:\n${failures.join("\n")}`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed === 0 ? 0 : 1;
