/**
 * How long a shard takes no write when its owner dies or is moved: many times each, on a real Kubernetes. What it needs is told as
 * to the cluster tests (run.ts). Prints each time, then a table; ends badly where a figure is missed or an acknowledged write is lost.
 * `--kinds killed,frozen,deleted,drained,rolled,cut,stopped`, `--rounds 30`. `--figures FILE` keeps the figures, and counts those
 * that are there: they need not be had at one go. `--durability '{acks: owner}'` of the cluster; inSync by default.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import * as v from "valibot";
import { kinds, type Around, type Sample } from "./failoverKinds.ts";
import { apply, expect, field, until } from "./kube.ts";
import { linesOf } from "./lines.ts";
import { loadLine, loadPod } from "./loadPod.ts";
import { seconds } from "./report.ts";
import { watchShards } from "./shardWatch.ts";
import * as world from "./world.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "30" },
    kinds: { type: "string", default: Object.keys(kinds).join() },
    figures: { type: "string", default: "" },
    durability: { type: "string", default: "{acks: inSync}" },
  },
});

/** Milliseconds: median and p99 of each kind, and whether operations may fail. */
const limits: Readonly<
  Record<string, { readonly median: number; readonly p99: number; readonly mayFail: boolean }>
> = {
  killed: { median: 1_500, p99: 3_000, mayFail: true },
  // The lease, and 1.5 s.
  ...Object.fromEntries(
    ["frozen", "cut", "stopped"].map((kind) => [kind, { median: 3_500, p99: 3_500, mayFail: true }]),
  ),
  ...Object.fromEntries(
    ["deleted", "drained", "rolled"].map((kind) => [kind, { median: 200, p99: 200, mayFail: false }]),
  ),
};

const sample = v.object({ kind: v.string(), what: v.string(), gapMs: v.number(), errors: v.number() });
const samples: Sample[] = [];
if (existsSync(values.figures))
  for (const line of readFileSync(values.figures, "utf8").split("\n"))
    if (line !== "") samples.push(v.parse(sample, JSON.parse(line)));
const ofKind = (kind: string): readonly Sample[] => samples.filter((one) => one.kind === kind);

const startMs = performance.now();
const say = (text: string): void => {
  console.log(`${seconds(performance.now() - startMs).padStart(8)}  ${text}`);
};

const { in_, namespace, image } = world;
await world.setUp();
// With the 50m that a pod asks for by itself it waits, on a node that has more to do, for all that ask for more: what is measured
// would be that.
const cpu = "300m";
const template = `{resources: {requests: {cpu: ${cpu}, memory: 128Mi}}}`;
await world.install("--set", `resources.requests.cpu=${cpu}`);
await apply(
  world.cluster("demo", `{writers: 3, readers: 6, durability: ${values.durability}, template: ${template}}`),
);
await until("Ready", 60_000, async () => ((await world.ready("demo")) === "True" ? undefined : "not Ready"));
// Beside the operator that leads: a node that is taken away has neither.
const node = await field("{.spec.nodeName}", ...world.inOperators, "pod", await world.leader());
const load = loadPod({ namespace, image, cluster: "demo", node, environment: { LOAD_PAUSE_MS: "20" } });
await load.start();
const nodes = (await field("{.items[*].metadata.name}", "nodes")).split(" ");
const around: Around = {
  shards: watchShards(),
  load: linesOf("kubectl", [...in_, "logs", "-f", "--tail=1", "load"], loadLine),
  victims: nodes.filter((one) => one !== node),
};

for (const kind of values.kinds.split(",")) {
  const once = kinds[kind];
  expect(once !== undefined, `no such kind: ${kind}`);
  while (once !== undefined && ofKind(kind).length < Number(values.rounds)) {
    for (const one of await once(around)) {
      samples.push(one);
      if (values.figures !== "") appendFileSync(values.figures, `${JSON.stringify(one)}\n`);
      say(
        `${kind}: ${one.what}: ${one.gapMs} ms${one.errors > 0 ? `, ${one.errors} operations failed` : ""}`,
      );
    }
  }
}
const { verified, lost, last } = await load.end();
around.shards.stop();
around.load.stop();

const complaints = lost.map((text) => `LOST ${text}`);
for (const kind of new Set(samples.map((one) => one.kind))) {
  const gaps = ofKind(kind)
    .map(({ gapMs }) => gapMs)
    .sort((a, b) => a - b);
  const at = (share: number): number => gaps[Math.ceil(gaps.length * share) - 1] ?? 0;
  const errors = ofKind(kind).reduce((sum, one) => sum + one.errors, 0);
  const text = `${kind}: ${gaps.length} times; without a write for ${at(0.5)} ms (median), ${at(0.99)} ms (p99), ${gaps.at(-1) ?? 0} ms (longest); ${errors} operations failed`;
  console.log(text);
  const limit = limits[kind];
  if (limit === undefined) continue;
  if (at(0.5) > limit.median || at(0.99) > limit.p99 || (errors > 0 && !limit.mayFail)) complaints.push(text);
}
console.log(`${verified} keys read at the end, ${lost.length} acknowledged writes lost`);
for (const failure of last.failures) console.log(JSON.stringify(failure));
if (process.env["EDIS_E2E_KEEP"] === undefined) await world.cleanUp();
expect(verified > 0 && complaints.length === 0, complaints.join("\n"));
