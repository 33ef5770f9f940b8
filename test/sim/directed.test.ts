import test, { type ExecutionContext } from "ava";
import { aimed, aimNames, fault, inSyncCluster } from "./aims.ts";
import type { Fault } from "./faults.ts";
import { describe, scenarioOf, simulate, type Run, type Scenario } from "./simulate.ts";

/** From outside of any promise. */
const run = (scenario: Scenario): Promise<Run> =>
  new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(simulate(scenario));
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });

type Story = { readonly seed: number; readonly operators?: number; readonly faults: readonly Fault[] };

const tell = ({ seed, operators = 1, faults }: Story): Promise<Run> =>
  run(
    scenarioOf(seed, {
      cluster: inSyncCluster(2),
      operators,
      clients: 2,
      thinkMs: 60,
      chaosMs: 3_000,
      faults,
    }),
  );

const keeps = async (t: ExecutionContext, story: Story): Promise<void> => {
  const told = await tell(story);
  t.is(told.violations.length, 0, describe(told));
};

test("an owner that is killed and back at once is owner in a new epoch or none", async (t) => {
  for (let seed = 1; seed <= 5; seed++)
    await keeps(t, { seed, faults: [fault("killOwner", 300, 60), fault("killOwner", 1_500, 60)] });
});

test("an owner that was stopped for longer than its lease answers nothing that another contradicts", async (t) => {
  for (let seed = 1; seed <= 5; seed++) await keeps(t, { seed, faults: [fault("pauseOwner", 300, 2_500)] });
});

test("an owner that is cut off from all loses nothing that it acknowledged", async (t) => {
  for (let seed = 1; seed <= 5; seed++)
    await keeps(t, { seed, faults: [fault("cutOff", 300, 3_000), fault("cutOneWay", 1_000, 1_000)] });
});

test("the operator may be killed at any step of a failover", async (t) => {
  for (let step = 0; step < 30; step++)
    await keeps(t, {
      ...{ seed: 100 + step, operators: 1 + (step % 2) },
      faults: [fault("killOwner", 300, 3_000), fault("killOperator", 300 + 5 * step, 300)],
    });
});

test("the operator may be killed at any step of a handover", async (t) => {
  for (let step = 0; step < 30; step++)
    await keeps(t, {
      ...{ seed: 200 + step, operators: 1 + (step % 2) },
      faults: [fault("evictOwner", 300, 3_000), fault("killOperator", 300 + 5 * step, 300)],
    });
});

test("source or target may be killed at any step of a handover", async (t) => {
  for (let step = 0; step < 30; step++)
    await keeps(t, {
      seed: 300 + step,
      faults: [
        fault("evictOwner", 300, 3_000),
        fault(step % 2 === 0 ? "kill" : "killOwner", 300 + 5 * step, 300),
      ],
    });
});

test("the operator's writes may be made and their answers lost while an owner is replaced", async (t) => {
  for (let seed = 1; seed <= 10; seed++)
    await keeps(t, { seed, faults: [fault("apiLosesAnswers", 200, 3_000), fault("killOwner", 300, 2_000)] });
});

test("an operator that is cut off from the API grants nothing that its successor contradicts", async (t) => {
  for (let seed = 1; seed <= 10; seed++)
    await keeps(t, {
      ...{ seed, operators: 2 },
      faults: [fault("cutOperatorFromApi", 200, 4_000), fault("cutOff", 1_500, 2_500)],
    });
});

test("all at once: every acknowledged write is back", async (t) => {
  for (let seed = 1; seed <= 5; seed++)
    await keeps(t, { seed, faults: [fault("killAll", 400, 100), fault("powerLossAll", 1_800, 100)] });
});

for (const aim of aimNames)
  test(`story ${aim}: nothing is answered that another owner contradicts, and nothing is lost`, async (t) => {
    const told = await run(aimed(aim, 1));
    t.is(told.violations.length, 0, describe(told));
    t.true(told.ok > 20, describe(told));
  });
