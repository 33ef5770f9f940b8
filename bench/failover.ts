import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { failRedis, startEdisFailovers, type Gap, type Way } from "./support/failovers.ts";
import { report } from "./support/report.ts";
import { median, quantile } from "./support/spread.ts";

/**
 * How long a shard takes no writes when its owner is killed, frozen, or told to end; and a Redis Cluster's when its master is killed.
 * Usage: node bench/failover.ts [--rounds 30] [--only redis,killed,frozen,ended] [--steps] [--add FILE]
 * `--add` keeps what was found in a file and goes on from what it holds; docs/benchmarks.md is written once there are all four.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "30" },
    only: { type: "string", default: "" },
    add: { type: "string", default: "" },
    steps: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const isWanted = (name: string): boolean => values.only === "" || values.only.split(",").includes(name);

const row = (name: string, gaps: readonly Gap[]): string[] => {
  const ms = gaps.map((gap) => gap.ms);
  const failed = gaps.reduce((sum, one) => sum + one.failed, 0);
  const cells = [median(ms), quantile(ms, 0.9), Math.max(...ms)].map((n) => n.toFixed(0));
  return [name, `${gaps.length}`, ...cells, `${failed}`];
};
const tell = (name: string, gaps: readonly Gap[]): string[] => {
  const cells = row(name, gaps);
  console.log(cells.join("  "));
  const failures = new Set(gaps.flatMap((gap) => gap.failures));
  for (const text of [...failures].slice(0, 5)) console.log(`  ${text}`);
  return cells;
};

const names = {
  redis: "Redis Cluster, master killed (SIGKILL)",
  killed: "edis, owner killed (SIGKILL)",
  frozen: "edis, owner frozen (SIGSTOP)",
  ended: "edis, owner told to end (SIGTERM), the longest of any shard",
} as const;
const found: Record<string, string[]> =
  values.add !== "" && existsSync(values.add)
    ? (JSON.parse(readFileSync(values.add, "utf8")) as Record<string, string[]>)
    : {};

const edis = async (ways: readonly Way[]): Promise<void> => {
  if (ways.length === 0) return;
  const world = await startEdisFailovers(values.steps ? console.log : () => undefined);
  try {
    for (const way of ways) {
      const gaps: Gap[] = [];
      for (let n = 0; n < rounds; n++) gaps.push(await world.round(way, n));
      found[way] = tell(names[way], gaps);
    }
  } finally {
    await world.stop();
  }
};

await edis((["killed", "frozen", "ended"] as const).filter(isWanted));
if (isWanted("redis")) found["redis"] = tell(names.redis, await failRedis(rounds));
if (values.add !== "") writeFileSync(values.add, JSON.stringify(found));
const rows = Object.keys(names).flatMap((name) => (found[name] === undefined ? [] : [found[name]]));
if (rows.length === Object.keys(names).length)
  report(
    {
      name: "failover",
      title: "Failover",
      text: `The longest time between two acknowledged writes to a key of the shard, as a client feels it that writes one number after the other, 2 ms apart. Edis: \`acks: inSync\`, three writers and three
readers as local processes, \`failover.leaseSeconds\` 2 as it comes, through the client library; another shard's owner each time, whoever that is by then. Frozen: until it has been replaced. Told to end: until its process has ended, another one
has started and every shard has a copy in sync again, the longest gap of all shards. Redis Cluster: redis-server with its defaults (\`cluster-node-timeout\` 15000), three masters and three replicas, nothing on disk; the client knows the replica and
asks it as soon as its master is gone. Masters of several such clusters are killed at the same time. *Failed* are writes of Edis that ended with an error, which is \`outcome-unknown\` for the one under way; for Redis, attempts that were refused.`,
      tables: [
        {
          caption: "",
          head: ["", "times", "median, ms", "p90, ms", "max, ms", "failed"],
          rows,
        },
      ],
    },
    ["redis", "edis"],
  );
process.exit(0);
