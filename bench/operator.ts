import { performance } from "node:perf_hooks";
import { revision, shardId, term } from "../core/ids.ts";
import { encodeMessage } from "../core/message.ts";
import { difference } from "../core/topology.ts";
import { announcedOf, topologyOf } from "../operator/info/publish.ts";
import { plan } from "../operator/plan/plan.ts";
import { storedOwnership } from "../operator/storedOwnership.ts";
import { largeWorld, ownerGone } from "../test/support/largeWorld.ts";

/** How long the operator's pure work takes at 1,000 shards and 10,000 readers, and how large what it writes and tells is: node bench/operator.ts */
const [shards, readers, name, runs] = [1_000, 10_000, "demo", 15];
const world = largeWorld(shards, readers, name);
const gone = ownerGone(world, shardId(700));
const { ownership } = world;
if (ownership === null) throw new Error("no ownership");
const view = {
  clusterId: "uid-1",
  cluster: `default/${name}`,
  ...announcedOf(world.cluster.spec),
  ownership,
};
const before = topologyOf(view, world.sessions, { before: null, term: term(1), revision: revision(1) });
const fenced = plan(gone).ownership;
const after = topologyOf({ ...view, ownership: fenced }, gone.sessions, {
  ...{ before, term: term(1), revision: revision(2) },
});

const timed = (what: string, work: () => unknown): void => {
  const took = Array.from({ length: runs }, () => {
    const startMs = performance.now();
    work();
    return performance.now() - startMs;
  }).sort((a, b) => a - b);
  const [median = 0, most = 0] = [took[Math.floor(runs / 2)], took.at(-1)];
  process.stdout.write(`${what}: ${median.toFixed(1)} ms (most ${most.toFixed(1)} ms)\n`);
};

process.stdout.write(`${shards} shards, ${readers} readers; median of ${runs}\n`);
timed("plan at rest", () => plan(world));
timed("plan where an owner ended", () => plan(gone));
timed("topology made", () =>
  topologyOf({ ...view, ownership: fenced }, gone.sessions, { before, term: term(1), revision: revision(2) }),
);
timed("difference made and encoded", () =>
  encodeMessage({ kind: "change", change: difference(before, after) }),
);
timed("snapshot encoded", () => encodeMessage({ kind: "topology", topology: after }));
timed("stored form made", () => JSON.stringify(storedOwnership(fenced, name)));
const sizes = [
  ["difference", encodeMessage({ kind: "change", change: difference(before, after) }).length],
  ["snapshot", encodeMessage({ kind: "topology", topology: after }).length],
  ["stored", JSON.stringify(storedOwnership(fenced, name)).length],
] as const;
for (const [what, bytes] of sizes) process.stdout.write(`${what}: ${bytes} bytes\n`);
