import test from "ava";
import { readFileSync } from "node:fs";
import { readClusterFile } from "../../../operator/local/clusterFile.ts";

const head = "apiVersion: edis.dev/v1alpha1\nkind: ShardCluster\nmetadata:\n  name: demo\n";
const problemsOf = (content: string): readonly string[] => {
  const read = readClusterFile(content);
  return read.kind === "bad"
    ? read.problems.map(({ line, column, message }) => `${line}:${column} ${message}`)
    : [];
};

test("the sample is read and its defaults are filled in", (t) => {
  const read = readClusterFile(readFileSync("k8s/samples/demo.yaml", "utf8"));
  t.is(read.kind, "good");
  if (read.kind !== "good") return;
  t.like(read.objects[0], {
    metadata: { name: "demo", namespace: "default" },
    spec: { writers: 3, readers: 6, reads: { lagMsMax: 2000 }, storage: { ephemeral: false } },
  });
});

test("several documents are several clusters", (t) => {
  const read = readClusterFile(
    `${head}spec: {}\n---\n${head.replace("demo", "other")}spec: { writers: 1 }\n---\n`,
  );
  t.is(read.kind === "good" && read.objects.length, 2);
});

test("what is wrong is said with line, column and what is wanted", (t) => {
  t.deepEqual(problemsOf(`${head}spec:\n  writers: three\n  readers: -1\n`), [
    '6:12 spec.writers is "three"; it must be integer',
    "7:12 spec.readers is -1; it must be >= 0",
  ]);
  t.deepEqual(problemsOf(`${head}spec:\n  reeders: 3\n`), [
    "6:3 spec has no field reeders; it has writers, readers, image, reads, storage, durability, failover, rebalance, memory, template",
  ]);
  t.deepEqual(problemsOf("apiVersion: edis.dev/v1alpha1\nkind: ShardCluster\nmetadata: {}\n"), [
    "3:1 metadata has no name, which is needed",
  ]);
  t.deepEqual(problemsOf(`${head.replace("ShardCluster", "Pod")}spec: {}\n`), [
    '2:7 kind is "Pod"; wanted is ShardCluster',
  ]);
  t.regex(problemsOf(`${head.replace("demo", "Demo_1")}spec: {}\n`)[0] ?? "", /^4:9 metadata.name must have/);
  t.regex(
    problemsOf(`${head}spec:\n  storage: { ephemeral: true, size: 1Gi }\n`)[0] ?? "",
    /^6:3 ephemeral storage/,
  );
  t.regex(problemsOf(`${head}spec:\n  writers: [1\n`)[0] ?? "", /^7:1 this is not YAML: /);
  t.deepEqual(problemsOf(""), ["1:1 there is no ShardCluster in it; wanted is at least one"]);
  t.deepEqual(problemsOf(`${head}spec: {}\n---\n${head}spec: {}\n`), [
    "10:9 default/demo is there twice; wanted is one name once",
  ]);
  t.deepEqual(problemsOf("- 1\n"), ["1:1 the document is [1]; it must be object"]);
});

test("what cannot be changed is compared with what was", (t) => {
  const old = readClusterFile(`${head}spec:\n  storage: { size: 1Gi }\n`);
  const object = old.kind === "good" ? old.objects[0] : undefined;
  const next = readClusterFile(`${head}spec:\n  storage: { size: 2Gi }\n`, () => object);
  t.regex(next.kind === "bad" ? (next.problems[0]?.message ?? "") : "", /storage cannot be changed/);
});
