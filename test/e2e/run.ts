/**
 * The cluster tests, on the cluster that KUBECONFIG names. The image (EDIS_E2E_IMAGE, edis:dev) has to be there already;
 * EDIS_E2E_LOAD is a command that takes its name and makes it so. What else the machine can do is told by commands that find a
 * node's name in $NODE: EDIS_E2E_STOP_NODE and EDIS_E2E_START_NODE cut and restore its power, EDIS_E2E_CUT_NODE and
 * EDIS_E2E_HEAL_NODE its network, EDIS_E2E_ON_NODE runs the command behind it there; EDIS_E2E_RESTART_API restarts the API server.
 * Tests that need one that is not given are left out. They install the chart in edis-system and end with everything taken away.
 * Arguments name parts (scaling, resharding, failover, rolling, faults, persistence, deletion) to be run alone.
 * Prints a line per test and closes with `N passed, N failed`.
 */
import { creation } from "./creation.ts";
import { deletion } from "./deletion.ts";
import { failover } from "./failover.ts";
import { atRest, faultsOf } from "./faults.ts";
import { installation } from "./installation.ts";
import { loadPod } from "./loadPod.ts";
import { persistence } from "./persistence.ts";
import { close, test } from "./report.ts";
import { resharding, rolling } from "./rolling.ts";
import { scaling } from "./scaling.ts";
import { cleanUp, image, namespace, setUp } from "./world.ts";

const wanted = process.argv.slice(2);
const isWanted = (part: string): boolean => wanted.length === 0 || wanted.includes(part);

await setUp();
// For figures that are stated: 300000 keys, and 24 lanes with a pause of 5 ms, which are some 2,000 writes a second.
const environment = {
  LOAD_FILL: process.env["EDIS_E2E_KEYS"] ?? "30000",
  LOAD_LANES: process.env["EDIS_E2E_LANES"] ?? "12",
  LOAD_PAUSE_MS: process.env["EDIS_E2E_PAUSE_MS"] ?? "10",
};
const load = loadPod({ namespace, image, cluster: "demo", environment });
await installation(wanted.length === 0);
await creation(wanted.length === 0);
await test("a steady load of reads and writes runs", async () => {
  await load.start();
  return "";
});
const parts = { scaling, resharding, failover, rolling, faults: faultsOf };
for (const [name, part] of Object.entries(parts)) if (isWanted(name)) await part(load);
await test("no acknowledged write was lost in all this", () => load.verify());
if (isWanted("faults")) await atRest();
if (isWanted("persistence")) await persistence();
if (isWanted("deletion")) await deletion();
if (process.env["EDIS_E2E_KEEP"] === undefined) await cleanUp();
close();
