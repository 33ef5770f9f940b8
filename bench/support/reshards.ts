import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { connect, type Client, type Topology } from "../../client/index.ts";
import { systemClock } from "../../core/clock.ts";
import { slotOf } from "../../core/slot.ts";
import { countSlots } from "../../core/topology.ts";
import { slotMapOf } from "../../operator/plan/slots.ts";
import { clusterYaml, startLocalWorld, type LocalWorld } from "../../test/support/localCluster.ts";
import { until } from "../../test/support/net.ts";
import { ask } from "./ask.ts";
import { fillCluster, keyText } from "./fill.ts";
import { cpuMicros, removeAtExit } from "./process.ts";
import { startRedisCluster } from "./redisCluster.ts";
import { startWriter, type Writer, type Written } from "./writer.ts";

/** A quarter of the slots goes from three writers to a fourth, in three ways. */

export type Data = { readonly keys: number; readonly bytes: number };
/** How many keys have moved; from the wish on, and from the first move to the last. */
export type Moved = { readonly keys: number; readonly wholeMs: number; readonly movingMs: number };

export const movedSlots = 4096;
const withinMs = 120_000;
const program = fileURLToPath(new URL("../../dist/shard.cjs", import.meta.url));

export const reshardRedis = async ({ keys, bytes }: Data): Promise<Moved> => {
  const cluster = await startRedisCluster({ program: "redis-server", members: 4, withSlots: 3 });
  try {
    await fillCluster(keys, cluster.portOf, bytes);
    const [first, , , last] = cluster.members;
    const args = [
      ...["--cluster", "reshard", `127.0.0.1:${first?.port ?? 0}`, "--cluster-from", "all"],
      ...["--cluster-to", last?.id ?? "", "--cluster-slots", `${movedSlots}`, "--cluster-yes"],
    ];
    const fromMs = performance.now();
    const child = spawn("redis-cli", args, { stdio: ["ignore", "ignore", "inherit"] });
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0) throw new Error(`redis-cli --cluster reshard ended with ${code ?? "a signal"}`);
    return await movedTo(last?.port ?? 0, performance.now() - fromMs);
  } finally {
    await cluster.stop();
  }
};

const movedTo = async (port: number, tookMs: number): Promise<Moved> => ({
  keys: Number((await ask(port, ["DBSIZE"])).slice(1)),
  wholeMs: tookMs,
  movingMs: tookMs,
});

/** The last slots of each source, all three at once. */
export const reshardValkey = async (valkeyServer: string, { keys, bytes }: Data): Promise<Moved> => {
  const cluster = await startRedisCluster({ program: valkeyServer, members: 4, withSlots: 3 });
  try {
    await fillCluster(keys, cluster.portOf, bytes);
    const sources = cluster.members.slice(0, 3);
    const target = cluster.members[3];
    const fromMs = performance.now();
    await Promise.all(
      sources.map(({ port, last }, i) => {
        const count = Math.floor(movedSlots / 3) + (i === 0 ? 1 : 0);
        const range = [`${last - count + 1}`, `${last}`];
        return ask(port, ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", ...range, "NODE", target?.id ?? ""]);
      }),
    );
    for (const { port } of sources) await until("slots have moved", () => hasMigrated(port), withinMs);
    return await movedTo(target?.port ?? 0, performance.now() - fromMs);
  } finally {
    await cluster.stop();
  }
};

const hasMigrated = async (port: number): Promise<boolean> => {
  const text = await ask(port, ["CLUSTER", "GETSLOTMIGRATIONS"]);
  if (/failed|cancel/.test(text)) throw new Error(`Cannot move slots: ${text.replaceAll("\r\n", " ")}`);
  return text.includes("success");
};

export type EdisOptions = Data & {
  /** Writes a second meanwhile, through the client library; 0: none. */
  readonly rate: number;
  /** The fourth writer runs before, without slots, as the others' fourth member does; else its process is started as well. */
  readonly isThere: boolean;
  /** Hears of each step. */
  readonly told: (text: string) => void;
};

/** As a client sees it that watches the topology. */
export const reshardEdis = async (
  options: EdisOptions,
): Promise<Moved & { readonly written: Written | null }> => {
  const { keys, bytes, rate, isThere, told } = options;
  const world = await startLocalWorld(clusterYaml(3, 0), { program });
  removeAtExit(world.folder);
  try {
    await world.ready(0, withinMs);
    const client = await connect({ info: world.running.infoUrl, timeoutMs: withinMs });
    const before = client.topology();
    const map = slotMapOf(before.shards);
    if (isThere) await startFourth(world, client);
    await fillCluster(keys, (slot) => respPort(before, map[slot] ?? -1), bytes);
    // The sizes of slots are told every two seconds.
    await systemClock.sleep(3_000);
    const url = world.running.infoUrl;
    const writer = rate === 0 ? null : await startWriter({ url, perSecond: rate, keys });
    if (writer !== null) {
      // Connections are opened, and code is compiled.
      await systemClock.sleep(5_000);
      writer.phase("before");
      await systemClock.sleep(3_000);
      writer.phase("meanwhile");
    }
    const cpu = cpuSince(world);
    const took = await wish(world, client, told);
    told(cpu());
    const after = slotMapOf(client.topology().shards);
    if (writer !== null) {
      writer.phase("after");
      await systemClock.sleep(2_000);
      await thereAndBack(world, client, writer);
    }
    const written = (await writer?.end()) ?? null;
    client.close();
    return { ...took, keys: countMoved(keys, (slot) => map[slot] !== after[slot]), written };
  } finally {
    await world.stop();
  }
};

/** Back to three writers, and to four once more: by now all but the fourth have done it before. */
const thereAndBack = async (
  { write }: LocalWorld,
  { topology }: Pick<Client, "topology">,
  { phase }: Pick<Writer, "phase">,
): Promise<void> => {
  for (const [writers, name] of [
    [3, "back to three"],
    [4, "to four again"],
  ] as const) {
    phase("between");
    await systemClock.sleep(3_000);
    phase(name);
    write(clusterYaml(writers, 0));
    await until("slots have moved", () => isOver(topology(), writers), withinMs);
    phase(`after ${name}`);
    await systemClock.sleep(2_000);
  }
};

/** Slots stay where they are as long as `rebalance.paused` says so. */
const startFourth = async ({ write }: LocalWorld, { topology }: Pick<Client, "topology">): Promise<void> => {
  write(`${clusterYaml(4, 0)}  rebalance: { paused: true }\n`);
  const serves = (): boolean => {
    const { shards, members } = topology();
    const owner = shards[3]?.owner?.pod;
    return members.some(({ pod, state }) => pod === owner && state === "serving");
  };
  await until("the fourth writer serves", serves, withinMs);
};

const countMoved = (keys: number, hasMoved: (slot: number) => boolean): number => {
  let moved = 0;
  for (let n = 0; n < keys; n++) if (hasMoved(slotOf(Buffer.from(keyText(n))))) moved++;
  return moved;
};

const respPort = ({ members, shards }: Topology, shard: number): number =>
  members.find(({ pod }) => pod === shards[shard]?.owner?.pod)?.address.resp ?? 0;

/** Wishes for a fourth writer; resolves once the client knows the last slot at its new owner. */
const wish = (
  world: LocalWorld,
  client: Pick<Client, "watch">,
  told: EdisOptions["told"],
): Promise<Omit<Moved, "keys">> => {
  const wishedMs = performance.now();
  let beganMs = 0;
  return new Promise((resolve, reject) => {
    const cancel = systemClock.after(withinMs, () => {
      reject(new Error(`slots have not moved within ${withinMs / 1000} s`));
    });
    const stop = client.watch((topology) => {
      const nowMs = performance.now();
      told(`${(nowMs - wishedMs).toFixed(0).padStart(6)} ms  ${stageText(topology)}`);
      if (beganMs === 0 && topology.moves.length > 0) beganMs = nowMs;
      if (!isOver(topology, 4)) return;
      cancel();
      stop();
      resolve({ wholeMs: nowMs - wishedMs, movingMs: nowMs - beganMs });
    });
    world.write(clusterYaml(4, 0));
  });
};

const isOver = ({ shards, moves }: Topology, writers: 3 | 4): boolean => {
  const owning = shards.map(({ slots }) => countSlots(slots)).filter((slots) => slots > 0);
  return moves.length === 0 && owning.length === writers && owning.every((slots) => slots >= movedSlots - 1);
};

const stageText = ({ shards, members, moves, mapVersion }: Topology): string => {
  const owners = shards.map(({ owner, epoch }) => {
    const state = members.find(({ pod }) => pod === owner?.pod)?.state ?? "none";
    return `${epoch}:${state}`;
  });
  const going = moves.map(({ id, from, to, stage }) => `${id}:${from}>${to} ${stage}`);
  return `map ${mapVersion}; owners ${owners.join(" ")}; ${going.join(", ")}`;
};

/** Processor time of each process until it is asked. */
const cpuSince = (world: LocalWorld): (() => string) => {
  const microsOf = (pid: number | null): number => (pid === null ? 0 : cpuMicros(pid));
  const before = new Map([...world.pods()].map(([pod, { pid }]) => [pod, microsOf(pid)]));
  const own = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(own);
    const pods = [...world.pods()].map(
      ([pod, { pid }]) => `${pod} ${Math.round((microsOf(pid) - (before.get(pod) ?? 0)) / 1000)}`,
    );
    return `processor time, ms: ${pods.join(", ")}, operator and bench ${Math.round((user + system) / 1000)}`;
  };
};
