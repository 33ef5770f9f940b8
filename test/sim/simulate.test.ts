import { readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { mutants } from "./mutantList.ts";
import { describe, scenarioOf, simulate, type Run } from "./simulate.ts";

/** Runs are to be called from outside of any promise. */
const outside = <T>(run: () => T): Promise<T> =>
  new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(run());
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });

const holds = (t: ExecutionContext, run: Run): void => {
  t.is(run.violations.length, 0, describe(run));
};

test("the same seed gives the same run", async (t) => {
  const runs = [await outside(() => simulate(scenarioOf(7))), await outside(() => simulate(scenarioOf(7)))];
  const [first, second] = runs.map(({ hash, events, history }) => ({ hash, events, history }));
  t.deepEqual(first, second);
});

test("another seed gives another run", async (t) => {
  t.not(
    (await outside(() => simulate(scenarioOf(7)))).hash,
    (await outside(() => simulate(scenarioOf(8)))).hash,
  );
});

test("what mutants leave out is there, once", (t) => {
  for (const { name, patches } of mutants)
    for (const { file, from } of patches)
      t.is(readFileSync(file, "utf8").split(from).length, 2, `${name}: ${file}`);
});

// Chosen once, at random; `make sim` has all others.
for (let seed = 1; seed <= 40; seed++)
  test(`run ${seed} keeps all promises`, async (t) => {
    holds(t, await outside(() => simulate(scenarioOf(seed))));
  });
