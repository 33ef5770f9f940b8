/**
 * Leaves out one rule after the other and expects violations: `node test/sim/mutants.ts [NAME…]`, or `make sim-mutants`. SEED:
 * the first one. SHORT=1: only those that a story finds within a few runs.
 */
import { spawnSync } from "node:child_process";
import { simulateMany } from "./many.ts";
import { mutants, type Mutant } from "./mutantList.ts";

const { SEED = "", SHORT = "" } = process.env;
const seed = SEED === "" ? 1 : Number(SEED);
const names = process.argv.slice(2);

/** The first seed that fails with the mutant and not without it; how many runs that took. */
const hunt = async ({
  name,
  runs: runsMax,
  aim,
}: Mutant): Promise<{ readonly runs: number; readonly text: string | null }> => {
  for (let runs = 0; runs < runsMax;) {
    const left = { seed: seed + runs, runs: runsMax - runs, stops: true, aim };
    const { failed } = await simulateMany({ ...left, mutant: name });
    const first = failed.toSorted((a, b) => a.seed - b.seed)[0];
    if (first === undefined) break;
    runs = first.seed - seed + 1;
    const without = await simulateMany({ ...left, seed: first.seed, runs: 1, mutant: null });
    if (without.violations === 0) return { runs, text: first.text };
    console.log(`seed ${first.seed} fails without ${name} as well: ${without.failed[0]?.text ?? ""}`);
  }
  return { runs: runsMax, text: null };
};

/** What fails of the mutant's tests with it and not without it; null where nothing does. */
const tested = ({ name, tests = "" }: Mutant): string | null => {
  const run = (env: Readonly<Record<string, string>>): readonly string[] =>
    spawnSync(process.execPath, ["node_modules/ava/entrypoints/cli.js", "--tap", tests], {
      env: { ...process.env, ...env },
      encoding: "utf8",
    })
      .stdout.split("\n")
      .filter((line) => line.startsWith("not ok"));
  const hook = new URL("mutateProcess.ts", import.meta.url).href;
  const [failed] = run({ NODE_OPTIONS: `--import ${hook}`, MUTANT: name });
  return failed === undefined || run({}).length > 0 ? null : `${tests}: ${failed}`;
};

const isWanted = ({ name, runs, aim }: Mutant): boolean =>
  (names.length === 0 || names.includes(name)) &&
  (SHORT === "" || (runs <= shortRunsMax && aim !== undefined));
const shortRunsMax = 40;

type Verdict = { readonly isCaught: boolean; readonly how: string };

const judge = async (mutant: Mutant): Promise<Verdict> => {
  const { runs, tests = "" } = mutant;
  if (tests !== "") {
    const failed = tested(mutant);
    return { isCaught: failed !== null, how: `by ${failed ?? tests}` };
  }
  const found = await hunt(mutant);
  if (found.text === null) return { isCaught: false, how: `in ${found.runs} runs` };
  const first = found.text.split("\n").slice(1, 2).join("").trim().slice(0, 160);
  return {
    isCaught: true,
    how: `by run ${found.runs} of ${runs}, seed ${seed + found.runs - 1}: ${first}`,
  };
};

const beganMs = performance.now();
let caught = 0;
let missed = 0;
for (const mutant of mutants.filter(isWanted)) {
  const { isCaught, how } = await judge(mutant);
  if (isCaught) caught++;
  else missed++;
  console.log(`${isCaught ? "caught" : "MISSED"} ${mutant.name} (rule ${mutant.rule}) ${how}`);
}
console.log(`${caught} caught, ${missed} missed; ${((performance.now() - beganMs) / 1000).toFixed(0)} s`);
process.exit(missed === 0 ? 0 : 1);
