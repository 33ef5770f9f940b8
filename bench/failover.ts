import { parseArgs } from "node:util";
import { failRedis, startEdisFailovers, type Gap, type Way } from "./support/failovers.ts";
import { report } from "./support/report.ts";
import { median, quantile } from "./support/spread.ts";

/**
 * How long a shard takes no writes when its owner is killed, frozen, or told to end; and a Redis Cluster's when its master is killed.
 * Usage: node bench/failover.ts [--rounds 30] [--only redis,killed,frozen,ended]
 * With `--only` nothing is written to docs/benchmarks.md.
 */
const { values } = parseArgs({
  options: { rounds: { type: "string", default: "30" }, only: { type: "string", default: "" } },
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

const edis = async (): Promise<string[][]> => {
  const world = await startEdisFailovers();
  const rows: string[][] = [];
  const ways = {
    killed: "edis, owner killed (SIGKILL)",
    frozen: "edis, owner frozen (SIGSTOP)",
    ended: "edis, owner told to end (SIGTERM), the longest of any shard",
  };
  try {
    for (const [way, name] of Object.entries(ways) as [Way, string][]) {
      if (!isWanted(way)) continue;
      const gaps: Gap[] = [];
      for (let n = 0; n < rounds; n++) gaps.push(await world.round(way, n));
      rows.push(tell(name, gaps));
    }
  } finally {
    await world.stop();
  }
  return rows;
};

const rows = await edis();
if (isWanted("redis")) rows.unshift(tell("Redis Cluster, master killed (SIGKILL)", await failRedis(rounds)));
if (values.only === "")
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
