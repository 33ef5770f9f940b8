import { readdirSync, readFileSync } from "node:fs";
import test from "ava";
import { readClusterFile } from "../../../operator/local/clusterFile.ts";

for (const file of readdirSync("k8s/samples")) {
  test(`k8s/samples/${file} can be used as it is`, (t) => {
    const read = readClusterFile(readFileSync(`k8s/samples/${file}`, "utf8"));
    t.deepEqual(read.kind === "bad" ? read.problems : [], []);
  });
}
