/** Leaves out one rule after the other and expects violations: `node test/sim/mutants.ts [NAME…]`, or `make sim-mutants`. SEED: the first one. */
import { simulateMany } from "./many.ts";
import { mutants, type Mutant } from "./mutantList.ts";

const { SEED = "" } = process.env;
const seed = SEED === "" ? 1 : Number(SEED);
const names = process.argv.slice(2);

/** The first seed that fails with the mutant and not without it; how many runs that took. */
const hunt = async ({
  name,
  runs: runsMax,
  aim,
}: Mutant): Promise<{ readonly runs: number; readonly text: string | null }> => {
  for (let runs = 0; runs < runsMax;) {
    const left = { seed: seed + runs, runs: runsMax - runs, stops: true, aim, told: () => undefined };
    const { failed } = await simulateMany({ ...left, mutant: name });
    const first = failed.toSorted((a, b) => a.seed - b.seed)[0];
    if (first === undefined) break;
    runs = first.seed - seed + 1;
    const without = await simulateMany({ ...left, seed: first.seed, runs: 1, mutant: null });
    if (without.failed.length === 0) return { runs, text: first.text };
  }
  return { runs: runsMax, text: null };
};

let missed = 0;
for (const mutant of mutants.filter((one) => names.length === 0 || names.includes(one.name))) {
  const { name, rule } = mutant;
  const found = await hunt(mutant);
  if (found.text === null) missed++;
  const how = found.text?.split("\n").slice(1, 2).join("").trim().slice(0, 160) ?? "";
  console.log(
    found.text === null
      ? `MISSED ${name} (rule ${rule}) in ${found.runs} runs`
      : `caught ${name} (rule ${rule}) by run ${found.runs}, seed ${seed + found.runs - 1}: ${how}`,
  );
}
console.log(`${missed} missed`);
process.exit(missed === 0 ? 0 : 1);
