import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { splitSlots } from "../../operator/plan/slots.ts";
import { until } from "../../test/support/net.ts";
import { ask, isAnswering } from "./ask.ts";
import { freePort, removeAtExit, startChild, type Child } from "./process.ts";

/** Members of a Redis Cluster, or a Valkey one. The first `withSlots` of them share the slots out evenly; the others have none, or are their replicas. */
export type RedisCluster = {
  readonly members: readonly ClusterMember[];
  /** Port of the member that a slot was given to at the start. */
  readonly portOf: (slot: number) => number;
  readonly stop: () => Promise<void>;
};
export type ClusterMember = {
  readonly port: number;
  readonly id: string;
  /** Of the slots that it was given at the start. */
  readonly last: number;
  readonly kill: () => Promise<void>;
};

export type RedisClusterOptions = {
  readonly program: string;
  readonly members: number;
  readonly withSlots: number;
  /** Each member without slots copies one of the others, in turn. */
  readonly replicas?: boolean;
};

const readyMsMax = 30_000;

/** Nothing is written to disk: what favours them. */
export const startRedisCluster = async ({
  program,
  members: count,
  withSlots,
  replicas = false,
}: RedisClusterOptions): Promise<RedisCluster> => {
  const folder = mkdtempSync(join(tmpdir(), "edis-bench-cluster-"));
  removeAtExit(folder);
  const ranges = splitSlots(withSlots).flat();
  const started: { readonly port: number; readonly child: Child }[] = [];
  for (let i = 0; i < count; i++) {
    const port = await freePort();
    const dir = mkdtempSync(join(folder, "data-"));
    const child = await startChild(program, [
      ...["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"],
      ...["--cluster-enabled", "yes", "--cluster-port", `${await freePort()}`],
    ]);
    await until("a member answers", () => isAnswering(port), readyMsMax);
    started.push({ port, child });
  }
  const members: ClusterMember[] = [];
  for (const [i, { port, child }] of started.entries()) {
    await ask(port, ["CLUSTER", "SET-CONFIG-EPOCH", `${i + 1}`]);
    const range = ranges[i];
    if (range !== undefined) await ask(port, ["CLUSTER", "ADDSLOTSRANGE", `${range[0]}`, `${range[1]}`]);
    const id = bulkOf(await ask(port, ["CLUSTER", "MYID"]));
    members.push({ port, id, last: range?.[1] ?? -1, kill: () => child.kill() });
  }
  const [first, ...others] = started;
  for (const { port } of others) {
    const bus = await ask(port, ["CONFIG", "GET", "cluster-port"]);
    const busPort = /\r\n(\d+)\r\n$/.exec(bus)?.[1] ?? "";
    await ask(first?.port ?? 0, ["CLUSTER", "MEET", "127.0.0.1", `${port}`, busPort]);
  }
  for (const { port } of started)
    await until("the members know each other", () => isWhole(port, count), readyMsMax);
  if (replicas) await follow(members, withSlots);
  return {
    members,
    portOf: (slot) => members[ranges.findIndex(([from, to]) => from <= slot && slot <= to)]?.port ?? 0,
    stop: async () => {
      await Promise.all(started.map(({ child }) => child.kill()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

const follow = async (members: readonly ClusterMember[], withSlots: number): Promise<void> => {
  for (const [i, { port }] of members.entries()) {
    if (i < withSlots) continue;
    await ask(port, ["CLUSTER", "REPLICATE", members[i % withSlots]?.id ?? ""]);
    const isCopied = async (): Promise<boolean> =>
      (await ask(port, ["INFO", "replication"])).includes("master_link_status:up");
    await until("a replica is copied to", isCopied, readyMsMax);
  }
};

const bulkOf = (reply: string): string => reply.split("\r\n")[1] ?? "";

const isWhole = async (port: number, members: number): Promise<boolean> => {
  const info = await ask(port, ["CLUSTER", "INFO"]);
  const nodes = await ask(port, ["CLUSTER", "NODES"]);
  return (
    info.includes("cluster_state:ok") &&
    info.includes(`cluster_known_nodes:${members}`) &&
    nodes.split("\n").filter((line) => line.includes(" connected")).length === members
  );
};
