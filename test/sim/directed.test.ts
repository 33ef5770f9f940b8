import test, { type ExecutionContext } from "ava";
import { aimed, aimNames, fault, inSyncCluster } from "./aims.ts";
import type { ShardCluster } from "../../operator/shardCluster.ts";
import type { Fault } from "./faults.ts";
import { describe, scenarioOf, simulate, type Run, type Scenario } from "./simulate.ts";
import type { EndsOperator } from "./steps.ts";

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

/** After a step; null: what it would write does not get to the API. */
const instants = [null, 0, 3, 12, 50, 200] as const;

type Change = {
  readonly what: string;
  readonly cluster: ShardCluster;
  readonly faults: readonly Fault[];
  readonly steps: readonly EndsOperator["at"][];
};

const failoverSteps = ["fencing", "promised", "promoted", "activated"] as const;
const moveSteps = ["copying", "following", "freezing", "slotsFrozen", "moved", "levelled"] as const;
const changes: readonly Change[] = [
  {
    what: "a failover, its owner having ended",
    cluster: inSyncCluster(2),
    faults: [fault("killOwner", 100, 3_000)],
    steps: failoverSteps,
  },
  {
    what: "a failover, its owner being out of reach",
    cluster: inSyncCluster(2),
    faults: [fault("islandForGood", 100, 3_500)],
    steps: failoverSteps,
  },
  {
    what: "a handover",
    cluster: inSyncCluster(2),
    faults: [fault("evictOwner", 100, 3_000)],
    steps: ["handover", "frozen", "handedOver", "activated"],
  },
  {
    what: "moves to a new shard",
    cluster: inSyncCluster(2),
    faults: [fault("scaleUp", 100, 3_000)],
    steps: moveSteps,
  },
  {
    what: "moves from a shard that goes",
    cluster: inSyncCluster(2, { writers: 2 }),
    faults: [fault("scaleDown", 100, 3_000)],
    steps: [...moveSteps, "shardGone"],
  },
];

for (const { what, cluster, faults, steps } of changes)
  for (const at of steps)
    test(`the operator may end before, at and after each step of ${what}: ${at}`, async (t) => {
      for (const [i, afterMs] of instants.entries()) {
        const told = await run(
          scenarioOf(100 + i, {
            ...{ cluster, faults, operators: 1 + (i % 2), clients: 3, thinkMs: 30, chaosMs: 3_500 },
            ...{ keepsAll: true, endsOperator: { at, afterMs } },
          }),
        );
        t.is(told.violations.length, 0, describe(told));
        t.true(told.operatorEnded, `seed ${told.seed}: ${at} did not come about`);
      }
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

test("one that joins while too few are in sync is recorded only when it holds what was answered before", async (t) => {
  for (const seed of [18, 21, 23, 24, 25, 35, 47, 48, 57]) {
    const told = await run(aimed("slowHeir", seed));
    t.is(told.violations.length, 0, describe(told));
  }
});
