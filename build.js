// Bundles the programs: one minified file each, nothing to install beside it. `npm run build`.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));

const program = {
  bundle: true,
  minify: true,
  platform: "node",
  target: "node24",
  format: "cjs",
  define: { "process.env.EDIS_VERSION": JSON.stringify(version) },
  // Native add-ons are not bundled; both libraries go on without them.
  external: ["bufferutil", "utf-8-validate", "cbor-extract"],
  legalComments: "none",
  logLevel: "warning",
};

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist", { recursive: true });
await Promise.all([
  build({ ...program, entryPoints: ["operator/main.ts"], outfile: "dist/operator.cjs" }),
  build({ ...program, entryPoints: ["shard/main.ts"], outfile: "dist/shard.cjs" }),
  build({
    ...program,
    entryPoints: ["cli/main.ts"],
    outfile: "dist/edis.cjs",
    banner: { js: "#!/usr/bin/env node" },
  }),
  build({
    ...program,
    entryPoints: ["client/index.ts"],
    outfile: "dist/client.mjs",
    format: "esm",
    packages: "external",
  }),
]);
chmodSync("dist/edis.cjs", 0o755);

// So that `npx edis` in this folder runs what was just built.
if (existsSync("node_modules/.bin")) {
  rmSync("node_modules/.bin/edis", { force: true });
  symlinkSync("../../dist/edis.cjs", "node_modules/.bin/edis");
}

if (process.argv.includes("--types")) {
  execFileSync("node_modules/.bin/tsc", ["-p", "tsconfig.types.json"], { stdio: "inherit" });
}
