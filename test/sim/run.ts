/**
 * The simulator: `node test/sim/run.ts`, or `make sim`. In the environment: SEED (the first, at random where none is given),
 * RUNS (one where a seed is given, else 200), TRACE=1 (prints what happens, of one run), JOBS (processes, as many as cores),
 * RULE (of the mutants: what is left out), STOP=1 (ends at the first violation).
 */
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { describe, historyOf, scenarioOf, simulate, type Run } from "./simulate.ts";
import { isSummary, type Summary } from "./summary.ts";

const { SEED, RUNS, TRACE, JOBS, STOP } = process.env;
const firstSeed = SEED === undefined || SEED === "" ? Math.floor(Math.random() * 2 ** 31) : Number(SEED);
const runs = RUNS === undefined || RUNS === "" ? (SEED === undefined || SEED === "" ? 200 : 1) : Number(RUNS);

/** Runs of one process before another takes its place, so that what the engine keeps of them does not add up. */
const runsPerProcess = 500;

const replay = (seed: number): Run => {
  const run = simulate(scenarioOf(seed), TRACE === "1" ? (line) => { console.log(line); } : null);
  console.log(describe(run));
  if (run.violations.length > 0) console.log(historyOf(run));
  return run;
};

const many = async (): Promise<Summary> => {
  const total: Summary = { runs: 0, events: 0, ok: 0, unknown: 0, undecided: 0, failed: [], msMax: 0, cpuMs: 0 };
  let next = firstSeed;
  const lane = async (): Promise<void> => {
    while (next < firstSeed + runs && !(STOP === "1" && total.failed.length > 0)) {
      const from = next;
      next = Math.min(firstSeed + runs, next + Math.min(runsPerProcess, Math.ceil(runs / lanes / 4)));
      const part = await share(from, next - from);
      total.runs += part.runs;
      total.events += part.events;
      total.ok += part.ok;
      total.unknown += part.unknown;
      total.undecided += part.undecided;
      total.cpuMs += part.cpuMs;
      total.msMax = Math.max(total.msMax, part.msMax);
      total.failed.push(...part.failed);
      for (const { text } of part.failed) console.log(text);
    }
  };
  const lanes = JOBS === undefined || JOBS === "" ? availableParallelism() : Number(JOBS);
  await Promise.all(Array.from({ length: lanes }, lane));
  return total;
};

const share = (from: number, count: number): Promise<Summary> =>
  new Promise((resolve, reject) => {
    const child = fork(new URL("worker.ts", import.meta.url), [String(from), String(count)]);
    let summary: Summary | null = null;
    child.on("message", (message) => {
      if (isSummary(message)) summary = message;
    });
    child.on("exit", (code) => {
      if (summary !== null) resolve(summary);
      else reject(new Error(`seeds ${from} to ${from + count - 1}: the process ended with ${String(code)}`));
    });
  });

const main = async (): Promise<number> => {
  if (runs === 1) {
    // From outside of any promise.
    return new Promise((resolve) => {
      setImmediate(() => {
        resolve(replay(firstSeed).violations.length === 0 ? 0 : 1);
      });
    });
  }
  const beganMs = performance.now();
  console.log(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
  const { failed, ...figures } = await many();
  const seconds = (performance.now() - beganMs) / 1000;
  console.log(
    `${figures.runs} runs, ${failed.length} with violations; ${figures.events} events (${Math.round(figures.events / figures.runs)} a run), ` +
      `${figures.ok} operations went well, ${figures.unknown} unknown, ${figures.undecided} keys undecided; ` +
      `longest to heal ${figures.msMax.toFixed(0)} virtual ms; ${seconds.toFixed(1)} s, ${(figures.cpuMs / figures.runs).toFixed(1)} ms of processor a run`,
  );
  if (failed.length > 0) console.log(`replay one: make sim SEED=${failed[0]?.seed ?? 0} TRACE=1`);
  return failed.length === 0 ? 0 : 1;
};

process.exitCode = await main();
process.exit();
