/**
 * The simulator: `node test/sim/run.ts`, or `make sim`. In the environment: SEED (the first one; at random where none is given),
 * RUNS (one where a seed is given, else 200), TRACE=1 (prints what happens in one run), JOBS (processes; as many as cores),
 * FAILED (a file that violations are written to as they come). SIGINT and SIGTERM end it with what was found until then.
 */
import { appendFileSync } from "node:fs";
import { simulateMany } from "./many.ts";
import { describe, historyOf, scenarioOf, simulate, type Run } from "./simulate.ts";
import type { Summary } from "./summary.ts";

const { SEED = "", RUNS = "", TRACE, FAILED = "" } = process.env;
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

const progressEveryMs = process.stdout.isTTY ? 2_000 : 60_000;

const soak = async (): Promise<boolean> => {
  const beganMs = performance.now();
  const seconds = (): number => (performance.now() - beganMs) / 1000;
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      ending.abort();
    });
  print(`seeds ${seed} to ${seed + runs - 1}`);
  let saidMs = performance.now();
  const progress = ({ runs: done, violations }: Summary): void => {
    if (performance.now() - saidMs < progressEveryMs) return;
    saidMs = performance.now();
    const perSecond = done / seconds();
    const eta = timeText((runs - done) / perSecond);
    const line = `${done} of ${runs} runs, ${violations} with violations, ${perSecond.toFixed(1)} runs/s, ${eta} to go`;
    if (process.stdout.isTTY) process.stdout.write(`\r${line} `);
    else print(line);
  };
  const total = await simulateMany({
    ...{ seed, runs, stops: false, mutant: null, signal: ending.signal },
    told: (part, all) => {
      for (const { text } of part.failed) {
        print(text);
        if (FAILED !== "") appendFileSync(FAILED, `${text}\n`);
      }
      progress(all);
    },
  });
  if (process.stdout.isTTY) print("");
  print(totalsOf(total, seconds()));
  const [first] = total.failed;
  if (first !== undefined) {
    print(`seeds: ${total.failed.map((one) => one.seed).join(" ")}`);
    print(`to see one: make sim SEED=${first.seed} TRACE=1`);
  }
  return first === undefined;
};

const totalsOf = (all: Summary, seconds: number): string =>
  [
    `${all.runs} runs, ${all.violations} with violations`,
    `${all.events} events (${Math.round(all.events / all.runs)} a run, ${all.eventsLeast} at least)`,
    `slots moved in ${all.moved}`,
    `${all.ok} operations went well, ${all.unknown} with unknown outcome, ${all.undecided} keys undecided`,
    `longest until all was well ${all.msMax.toFixed(0)} virtual ms`,
    `${seconds.toFixed(1)} s, ${(all.cpuMs / all.runs).toFixed(1)} ms of processor a run`,
  ].join("; ");

const timeText = (seconds: number): string => {
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

const main = async (): Promise<boolean> => {
  if (runs !== 1) return soak();
  // From outside of any promise.
  return new Promise((resolve) => {
    setImmediate(() => {
      resolve(replay().violations.length === 0);
    });
  });
};

process.exit((await main()) ? 0 : 1);
