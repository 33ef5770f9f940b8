import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { connect, type Topology } from "../client/index.ts";
import { systemClock } from "../core/clock.ts";
import { slotOf } from "../core/slot.ts";
import { slotMapOf } from "../operator/plan/slots.ts";
import { clusterYaml, startLocalWorld } from "../test/support/localCluster.ts";
import { until } from "../test/support/net.ts";
import { ask } from "./support/ask.ts";
import { fillCluster, keyText } from "./support/fill.ts";
import { cpuMicros, removeAtExit } from "./support/process.ts";
import { startRedisCluster } from "./support/redisCluster.ts";
import { report } from "./support/report.ts";
import { serverNames } from "./support/servers.ts";
import { medianText } from "./support/spread.ts";
import { findValkey } from "./support/valkey.ts";
import { startWriter, type Written } from "./support/writer.ts";

/**
 * How fast a quarter of all keys gets from three writers to a fourth, and what writes feel meanwhile. Redis moves them by
 * `redis-cli --cluster reshard`, Valkey by CLUSTER MIGRATESLOTS, Edis because another number of writers is wished for.
 * Usage: node bench/reshard.ts [--keys 1000000] [--bytes 100] [--rounds 3] [--rate 10000] [--only redis,valkey,edis,load] [--timeline]
 */
const { values } = parseArgs({
  options: {
    keys: { type: "string", default: "1000000" },
    bytes: { type: "string", default: "100" },
    rounds: { type: "string", default: "3" },
    rate: { type: "string", default: "10000" },
    only: { type: "string", default: "redis,valkey,edis,load" },
    timeline: { type: "boolean", default: false },
  },
});
const keys = Number(values.keys);
const bytes = Number(values.bytes);
const only = values.only.split(",");
const program = fileURLToPath(new URL("../dist/shard.cjs", import.meta.url));
const movedSlots = 4096;
const withinMs = 120_000;

/** `wholeMs`: from the wish on; `movingMs`: from the first move to the last. */
type Moved = { readonly keys: number; readonly wholeMs: number; readonly movingMs: number };

const slotsOfKeys = (): readonly number[] =>
  Array.from({ length: keys }, (_, n) => slotOf(Buffer.from(keyText(n))));

const redis = async (): Promise<Moved> => {
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
    const tookMs = performance.now() - fromMs;
    if (code !== 0) throw new Error(`redis-cli --cluster reshard ended with ${code}`);
    return { keys: await sizeOf(last?.port ?? 0), wholeMs: tookMs, movingMs: tookMs };
  } finally {
    await cluster.stop();
  }
};

/** All three sources at once, the last slots of each. */
const valkey = async (valkeyServer: string): Promise<Moved> => {
  const cluster = await startRedisCluster({ program: valkeyServer, members: 4, withSlots: 3 });
  try {
    await fillCluster(keys, cluster.portOf, bytes);
    const sources = cluster.members.slice(0, 3);
    const target = cluster.members[3];
    const ends = [5460, 10921, 16383];
    const fromMs = performance.now();
    await Promise.all(
      sources.map(({ port }, i) => {
        const end = ends[i] ?? 0;
        const count = Math.floor(movedSlots / 3) + (i === 0 ? 1 : 0);
        const range = [`${end - count + 1}`, `${end}`];
        return ask(port, ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", ...range, "NODE", target?.id ?? ""]);
      }),
    );
    for (const { port } of sources) await until("slots have moved", () => hasMigrated(port), withinMs);
    const tookMs = performance.now() - fromMs;
    return { keys: await sizeOf(target?.port ?? 0), wholeMs: tookMs, movingMs: tookMs };
  } finally {
    await cluster.stop();
  }
};

const hasMigrated = async (port: number): Promise<boolean> => {
  const text = await ask(port, ["CLUSTER", "GETSLOTMIGRATIONS"]);
  if (/failed|cancel/.test(text)) throw new Error(`Cannot move slots: ${text.replaceAll("\r\n", " ")}`);
  return text.includes("success");
};

const sizeOf = async (port: number): Promise<number> => Number((await ask(port, ["DBSIZE"])).slice(1));

const isThere = ({ shards, moves }: Topology): boolean =>
  shards.length === 4 &&
  moves.length === 0 &&
  shards.every(({ slots }) => slots.reduce((sum, [from, to]) => sum + to - from + 1, 0) >= movedSlots - 1);

/** As a client sees it, that watches the topology. */
const edis = async (rate: number): Promise<Moved & { readonly written: Written | null }> => {
  const world = await startLocalWorld(clusterYaml(3, 0), { program });
  removeAtExit(world.folder);
  try {
    await world.ready(0, withinMs);
    const client = await connect({ info: world.running.infoUrl, timeoutMs: withinMs });
    const before = client.topology();
    const map = slotMapOf(before.shards);
    await fillCluster(keys, (slot) => respPort(before, map[slot] ?? -1), bytes);
    // The sizes of slots are told every two seconds.
    await systemClock.sleep(3_000);
    const writer = rate === 0 ? null : await startWriter({ url: world.running.infoUrl, perSecond: rate, keys });
    if (writer !== null) {
      await systemClock.sleep(1_000);
      writer.phase("before");
      await systemClock.sleep(3_000);
      writer.phase("resharding");
    }
    const cpu0 = new Map([...world.pods().values()].map((pod) => [pod.pod, cpuMicros(pod.pid ?? 0)]));
    const own0 = process.cpuUsage();
    const moved = await reshardEdis(client, () => {
      world.write(clusterYaml(4, 0));
    });
    writer?.phase("after");
    if (writer !== null) await systemClock.sleep(1_000);
    const written = (await writer?.end()) ?? null;
    const after = slotMapOf(client.topology().shards);
    const count = slotsOfKeys().filter((slot) => map[slot] !== after[slot]).length;
    client.close();
    const own1 = process.cpuUsage(own0);
    if (values.timeline) console.log("cpu ms", [...world.pods().values()].map((pod) => `${pod.pod} ${(cpuMicros(pod.pid ?? 0) - (cpu0.get(pod.pod) ?? 0)) / 1000}`).join(", "), "operator and bench", (own1.user + own1.system) / 1000);
    if (values.timeline) { const {execSync}=await import("node:child_process"); console.log(execSync(`cat ${world.folder}/state/logs/*.log | grep -E "DEBUG|slots|started" | tail -60`).toString()); console.log("wished at", new Date(performance.timeOrigin+moved.wishedMs).toISOString()); }
    return { ...moved, keys: count, written };
  } finally {
    await world.stop();
  }
};

const respPort = ({ members, shards }: Topology, shard: number): number =>
  members.find(({ pod }) => pod === shards[shard]?.owner?.pod)?.address.resp ?? 0;

const reshardEdis = (
  client: { readonly watch: (changed: (topology: Topology) => void) => () => void },
  wish: () => void,
): Promise<Omit<Moved, "keys"> & {wishedMs: number}> => {
  const wishedMs = performance.now();
  let beganMs = 0;
  return new Promise((resolve, reject) => {
    const cancel = systemClock.after(withinMs, () => {
      reject(new Error(`slots have not moved within ${withinMs / 1000} s`));
    });
    const stop = client.watch((topology) => {
      const nowMs = performance.now();
      if (values.timeline) console.log(`  ${(nowMs - wishedMs).toFixed(0).padStart(6)} ms  ${stageText(topology)}`);
      if (beganMs === 0 && topology.moves.length > 0) beganMs = nowMs;
      if (!isThere(topology)) return;
      cancel();
      stop();
      resolve({ wishedMs, wholeMs: nowMs - wishedMs, movingMs: nowMs - beganMs });
    });
    wish();
  });
};

const stageText = ({ shards, members, moves, mapVersion }: Topology): string => {
  const owners = shards.map(({ owner, epoch }) => {
    const state = members.find(({ pod }) => pod === owner?.pod)?.state ?? "none";
    return `${epoch}:${state}`;
  });
  const going = moves.map(({ id, from, to, stage }) => `${id}:${from}>${to} ${stage}`);
  return `map ${mapVersion}; owners ${owners.join(" ")}; ${going.join(", ")}`;
};

const rateOf = ({ keys: moved }: Moved, ms: number): number => moved / ms;
const rounds = Number(values.rounds);
const names = serverNames();
const valkeyServer = findValkey();
const found = { redis: [] as Moved[], valkey: [] as Moved[], edis: [] as Moved[], load: [] as Moved[] };
const writes: Written[] = [];

const tell = (name: string, moved: Moved): void => {
  const whole = Math.round((moved.keys / moved.wholeMs) * 1000);
  const moving = Math.round((moved.keys / moved.movingMs) * 1000);
  console.log(
    `${name}: ${moved.keys} keys in ${(moved.wholeMs / 1000).toFixed(2)} s: ${whole} keys/s; from the first move to the last ${(moved.movingMs / 1000).toFixed(2)} s: ${moving} keys/s`,
  );
};

for (let round = 0; round < rounds; round++) {
  if (only.includes("edis")) found.edis.push(await edis(0));
  if (only.includes("edis")) tell("edis", found.edis.at(-1) ?? { keys: 0, wholeMs: 1, movingMs: 1 });
  if (only.includes("load")) {
    const { written, ...moved } = await edis(Number(values.rate));
    found.load.push(moved);
    tell(`edis under ${values.rate} writes/s`, moved);
    if (written !== null) {
      writes.push(written);
      console.log(written);
    }
  }
  if (only.includes("valkey") && valkeyServer !== null) {
    found.valkey.push(await valkey(valkeyServer));
    tell("valkey", found.valkey.at(-1) ?? { keys: 0, wholeMs: 1, movingMs: 1 });
  }
  if (only.includes("redis")) {
    found.redis.push(await redis());
    tell("redis", found.redis.at(-1) ?? { keys: 0, wholeMs: 1, movingMs: 1 });
  }
}
void [names, medianText, report, rateOf];
