import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { specSchema } from "../../operator/schema.ts";
import { startLocalWorld, type LocalWorld } from "../../test/support/localCluster.ts";
import { until } from "../../test/support/net.ts";
import { ask, firstAnswerMs } from "./ask.ts";
import { ageMs, removeAtExit } from "./process.ts";
import type { BenchServer, Durability } from "./servers.ts";

/** The bundle, as users run it. */
const program = fileURLToPath(new URL("../../dist/shard.cjs", import.meta.url));
const readyMsMax = 120_000;

/** Whether a ShardCluster can say how durable it is to be, and whether there is a log that does it. */
const hasDurability = "durability" in Object(specSchema["properties"]);
export const hasLog = hasDurability && existsSync(new URL("../../shard/log/open.ts", import.meta.url));

/** A local cluster of one writer, and as many readers as are added. The operator runs in this process. */
export const startEdis = async (durability: Durability): Promise<BenchServer> => {
  const world = await startLocalWorld(clusterFile(0, durability), { program });
  removeAtExit(world.folder);
  await world.ready(0);
  let readers = 0;
  let port = await portOf(world, "demo-write-0");
  await checkMode(port, durability);
  const pid = (pod: string): number => world.pods().get(pod)?.pid ?? 0;
  return {
    name: "edis",
    port: () => port,
    pid: () => pid("demo-write-0"),
    addReader: async () => {
      const pod = `demo-read-${readers++}`;
      world.write(clusterFile(readers, durability));
      await world.ready(readers, readyMsMax);
      return {
        tookMs: ageMs(pid(pod)),
        port: await portOf(world, pod),
        stop: async () => {
          world.write(clusterFile(--readers, durability));
          await world.ready(readers, readyMsMax);
        },
      };
    },
    snapshot: async () => {
      const isIdle = async (): Promise<boolean> =>
        (await ask(port, ["INFO", "persistence"])).includes("rdb_bgsave_in_progress:0");
      await until("no snapshot is written", isIdle, readyMsMax);
      await ask(port, ["BGSAVE"]);
      await until("the snapshot is written", isIdle, readyMsMax);
    },
    restart: async (key) => {
      const before = pid("demo-write-0");
      process.kill(before, "SIGTERM");
      const now = (): number => pid("demo-write-0");
      await until("the process is started again", () => now() !== before && now() !== 0, 10_000);
      const tookMs = await firstAnswerMs(now, () => portOf(world, "demo-write-0"), key);
      port = await portOf(world, "demo-write-0");
      return tookMs;
    },
    stop: world.stop,
  };
};

const clusterFile = (readers: number, durability: Durability): string =>
  `apiVersion: edis.dev/v1alpha1
kind: ShardCluster
metadata:
  name: demo
spec:
  writers: 1
  readers: ${readers}
${hasDurability ? `  durability: { fsync: ${durability === "none" ? "never" : durability} }\n` : ""}`;

/** So that no figure stands under another mode's name. */
const checkMode = async (port: number, durability: Durability): Promise<void> => {
  const wanted = durability === "none" ? "no" : durability;
  const said = await ask(port, ["CONFIG", "GET", "appendfsync"]);
  if (!said.includes(`\r\n${wanted}\r\n`))
    throw new Error(`Cannot measure ${durability}: the server says ${JSON.stringify(said)}`);
};

type Members = {
  readonly clusters: readonly {
    readonly members: readonly { readonly pod: string; readonly address: { readonly resp: number } }[];
  }[];
};

const portOf = async (world: LocalWorld, pod: string): Promise<number> => {
  const answer = await fetch(`${world.running.httpUrl}/topology`);
  const { clusters } = (await answer.json()) as Members;
  const member = clusters[0]?.members.find((one) => one.pod === pod);
  return member?.address.resp ?? 0;
};
