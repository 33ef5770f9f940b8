/**
 * The simulator: `node test/sim/run.ts`, or `make sim`. In the environment: SEED (the first one; at random where none is given),
 * RUNS (one where a seed is given, else 200), TRACE=1 (prints what happens in one run), JOBS (processes; as many as cores).
 */
import { simulateMany } from "./many.ts";
import { describe, historyOf, scenarioOf, simulate, type Run } from "./simulate.ts";

const { SEED = "", RUNS = "", TRACE } = process.env;
const seed = SEED === "" ? Math.floor(Math.random() * 2 ** 31) : Number(SEED);
const runs = RUNS !== "" ? Number(RUNS) : SEED === "" ? 200 : 1;

const print = (line: string): void => {
  console.log(line);
};

const replay = (): Run => {
  const run = simulate(scenarioOf(seed), TRACE === "1" ? print : null);
  print(describe(run));
  if (run.violations.length > 0) print(historyOf(run));
  return run;
};

const main = async (): Promise<boolean> => {
  if (runs === 1)
    // From outside of any promise.
    return new Promise((resolve) => {
      setImmediate(() => {
        resolve(replay().violations.length === 0);
      });
    });
  const beganMs = performance.now();
  print(`seeds ${seed} to ${seed + runs - 1}`);
  const { failed, ...all } = await simulateMany({ seed, runs, stops: false, mutant: null, told: print });
  const seconds = (performance.now() - beganMs) / 1000;
  print(
    [
      `${all.runs} runs, ${failed.length} with violations`,
      `${all.events} events (${Math.round(all.events / all.runs)} a run)`,
      `${all.ok} operations went well, ${all.unknown} with unknown outcome, ${all.undecided} keys undecided`,
      `longest until all was well ${all.msMax.toFixed(0)} virtual ms`,
      `${seconds.toFixed(1)} s, ${(all.cpuMs / all.runs).toFixed(1)} ms of processor a run`,
    ].join("; "),
  );
  const [first] = failed;
  if (first !== undefined) print(`to see one: make sim SEED=${first.seed} TRACE=1`);
  return first === undefined;
};

process.exit((await main()) ? 0 : 1);
