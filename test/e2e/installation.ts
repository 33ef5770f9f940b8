import { readFile } from "node:fs/promises";
import { parseAllDocuments } from "yaml";
import { expect, field, helm, kubectl, run } from "./kube.ts";
import { test } from "./report.ts";
import { cluster, inOperators, install, operators } from "./world.ts";

const refusals: readonly (readonly [what: string, spec: string, wanted: RegExp, name?: string])[] = [
  ["no writer", "{writers: 0}", /spec\.writers.*greater than or equal to 1/],
  ["too many readers", "{readers: 20000}", /spec\.readers.*less than or equal to 10000/],
  ["a misspelt field", "{writer: 3}", /unknown field "spec\.writer"/],
  ["text for a number", "{writers: many}", /spec\.writers.*integer/],
  [
    "fewer readers than have to be in sync",
    "{readers: 2, durability: {acks: inSync, minInSync: 1}}",
    /readers must be at least writers times durability.minInSync/,
  ],
  ["an impatient lag", "{reads: {lagMsMax: 1}}", /lagMsMax.*greater than or equal to 100/],
  [
    "ephemeral storage with a size",
    "{storage: {ephemeral: true, size: 1Gi}}",
    /ephemeral storage has no size/,
  ],
  ["a size that is none", "{storage: {size: large}}", /size must be a quantity above zero, such as 10Gi/],
  ["a maximum that is none", "{memory: {max: lots}}", /max must be a quantity of at least 16Mi/],
  ["a maximum without use", "{memory: {max: 1Mi}}", /max must be a quantity of at least 16Mi/],
  ["an unknown eviction", "{memory: {eviction: lru}}", /eviction.*supported values/i],
  ["labels of the operator", "{template: {labels: {app.kubernetes.io/name: x}}}", /set by the operator/],
  ["a long name", "{}", /at most 40 characters/, "a".repeat(41)],
  ["a name of a Service of another", "{}", /must not end with -read/, "demo-read"],
];

/** Installs the chart; `all`: with what only looks at it. */
export const installation = async (all: boolean): Promise<void> => {
  await test("the chart installs with two operators, in a restricted namespace", async () => {
    await install();
    return field("{.status.readyReplicas} ready", ...inOperators, "deployment", "edis-operator");
  });
  if (!all) return;
  await test("the one-file manifest is what the chart makes", async () => {
    const chart = await helm("template", "edis", "charts/edis", "-n", operators, "--kube-version", "1.34.0");
    const file = await readFile("k8s/edis.yaml", "utf8");
    const [fromChart, fromFile] = [plainObjects(chart), plainObjects(file)];
    fromFile.delete(`Namespace ${operators}`);
    for (const [id, text] of fromFile)
      expect(fromChart.get(id) === text, `${id} is\n${fromChart.get(id) ?? "missing"}\nand not\n${text}`);
    expect(fromChart.size === fromFile.size, `the chart has ${[...fromChart.keys()].join(", ")}`);
    return `${fromFile.size} objects`;
  });
  await test("the API server takes every sample", async () => {
    await kubectl("apply", "--dry-run=server", "-n", "default", "-f", "k8s/samples");
    return "";
  });
  for (const [what, spec, wanted, name = "bad"] of refusals) {
    await test(`refused, saying what is wanted: ${what}`, async () => {
      const { code, err } = await run("kubectl", ["apply", "-f", "-"], cluster(name, spec));
      expect(code !== 0 && wanted.test(err), `exit code ${code}: ${err}`);
      return "";
    });
  }
};

/** Every object by kind and name, without what only Helm writes and without order. */
const plainObjects = (manifests: string): Map<string, string> => {
  const helmOnly = [
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "helm.sh/resource-policy",
  ];
  const plain = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value)
      .filter(([key]) => !helmOnly.includes(key))
      .map(([key, inner]): [string, unknown] => [key, plain(inner)])
      .filter(([key, inner]) => key !== "annotations" || Object.keys(inner as object).length > 0);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return new Map(
    parseAllDocuments(manifests)
      .map((document) => document.toJS() as { kind: string; metadata: { name: string } } | null)
      .flatMap((object) =>
        object === null
          ? []
          : [[`${object.kind} ${object.metadata.name}`, JSON.stringify(plain(object))] as const],
      ),
  );
};
