import { readFile } from "node:fs/promises";
import test from "ava";
import { manifestFiles } from "../../../operator/kubernetes/manifests.ts";

for (const [path, text] of Object.entries(manifestFiles())) {
  test(`${path} is up to date (make manifests)`, async (t) => {
    t.is(await readFile(path, "utf8"), text);
  });
}
