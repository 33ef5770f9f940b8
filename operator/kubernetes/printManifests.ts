import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { manifestFiles } from "./manifests.ts";

/** `make manifests`: writes each printed file, from the project's folder. */
for (const [path, text] of Object.entries(manifestFiles())) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  process.stdout.write(`${path}\n`);
}
