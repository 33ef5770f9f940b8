import test from "ava";
import { disruptionBudgets, isBudgetName, shardsOfPods } from "../../../operator/kubernetes/budgets.ts";
import { labelsFor } from "../../../operator/kubernetes/resources.ts";
import type { Ownership } from "../../../operator/plan/model.ts";
import { plan } from "../../../operator/plan/plan.ts";
import { carriedOut, clusterOf, observedOf } from "../../support/planWorld.ts";

const cluster = clusterOf(2, 3);
const owned = (): Ownership => {
  const first = observedOf(cluster);
  return plan(carriedOut(first, plan(first), () => ["", ""])).ownership;
};

test("each shard has a budget that lets one of its pods go", (t) => {
  const budgets = disruptionBudgets(cluster, owned());
  t.deepEqual(
    budgets.map(({ kind, metadata, spec }) => [
      kind,
      metadata.name,
      (spec as { minAvailable: number }).minAvailable,
    ]),
    [
      ["PodDisruptionBudget", "demo-shard-0", 2],
      ["PodDisruptionBudget", "demo-shard-1", 1],
    ],
  );
});

test("a budget selects its shard's pods by the label that the operator puts on them", (t) => {
  const { spec } = disruptionBudgets(cluster, owned())[1] ?? { spec: {} };
  t.like(spec, { selector: { matchLabels: { ...labelsFor("demo"), "edis.dev/shard": "1" } } });
  t.deepEqual(Object.fromEntries(shardsOfPods("demo", owned())), {
    "demo-write-0": 0,
    "demo-write-1": 1,
    "demo-read-0": 0,
    "demo-read-1": 1,
    "demo-read-2": 0,
  } as never);
});

test("a pod that is not ready is not evicted beyond the budget where its data would go with it", (t) => {
  const policyOf = (storage: typeof cluster.spec.storage): unknown =>
    (
      disruptionBudgets({ ...cluster, spec: { ...cluster.spec, storage } }, owned())[0]?.["spec"] as Record<
        string,
        unknown
      >
    )["unhealthyPodEvictionPolicy"];
  t.is(policyOf({ ephemeral: true }), "IfHealthyBudget");
  t.is(
    policyOf({ ephemeral: false, size: "1Gi", storageClassName: "", whenDeleted: "Retain" }),
    "AlwaysAllow",
  );
});

test("a budget is known by its name", (t) => {
  t.true(isBudgetName("demo", "demo-shard-12"));
  t.false(isBudgetName("demo", "demo-shard-x"));
  t.false(isBudgetName("demo", "demo-shard-"));
  t.false(isBudgetName("demo", "demo2-shard-1"));
});
