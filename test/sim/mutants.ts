/** Leaves out one rule after the other and expects violations: `node test/sim/mutants.ts [NAME…]`, or `make sim-mutants`. SEED: the first one. */
import { simulateMany } from "./many.ts";
import { mutants } from "./mutantList.ts";

const { SEED = "" } = process.env;
const seed = SEED === "" ? 1 : Number(SEED);
const names = process.argv.slice(2);

let missed = 0;
for (const { name, rule, runs } of mutants.filter((one) => names.length === 0 || names.includes(one.name))) {
  const { failed, ...all } = await simulateMany({ seed, runs, stops: true, mutant: name, told: () => undefined });
  const [first] = failed;
  if (first === undefined) missed++;
  const kind = first?.text.split("\n")[1]?.trim().slice(0, 160) ?? "";
  console.log(`${first === undefined ? "MISSED" : "caught"} ${name} (rule ${rule}) ${first === undefined ? `in ${all.runs} runs` : `within ${all.runs} runs, seed ${first.seed}: ${kind}`}`);
}
console.log(`${missed} missed`);
process.exit(missed === 0 ? 0 : 1);
