import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { deleteNineOfTen, fill } from "./support/fill.ts";
import { peakBytes, residentBytes } from "./support/process.ts";
import { report } from "./support/report.ts";
import { serverNames, startServer, type ServerName } from "./support/servers.ts";

/** Resident memory per key, and after nine of ten keys are deleted. Usage: node bench/memory.ts [--keys 1000000,10000000] [--servers redis,edis] */
const { values } = parseArgs({
  options: { keys: { type: "string", default: "1000000,10000000" }, servers: { type: "string" } },
});
const watchedSeconds = 60;
const backPercent = 30;

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

const rowOf = async (name: ServerName, keys: number): Promise<readonly string[]> => {
  const server = await startServer(name, { durability: "none" });
  try {
    const empty = residentBytes(server.pid());
    await fill(server.port(), { from: 0, to: keys });
    // What a fill leaves behind in queues is not the keys'.
    await sleep(2_000);
    const full = residentBytes(server.pid());
    const peak = peakBytes(server.pid());
    await deleteNineOfTen(server.port(), keys);
    const deleted = performance.now();
    let backMs: number | null = null;
    while (performance.now() - deleted < watchedSeconds * 1_000) {
      if (backMs === null && residentBytes(server.pid()) < (peak * backPercent) / 100)
        backMs = performance.now() - deleted;
      await sleep(100);
    }
    const left = residentBytes(server.pid());
    return [
      `${keys.toLocaleString("en")} keys, ${name}`,
      ...[empty, full, peak].map(mib),
      ((full - empty) / keys).toFixed(1),
      (full / keys).toFixed(1),
      `${mib(left)} (${((left / peak) * 100).toFixed(0)} %)`,
      backMs === null ? "–" : (backMs / 1_000).toFixed(1),
    ];
  } finally {
    await server.stop();
  }
};

const names = serverNames(values.servers);
const rows = [];
for (const keys of values.keys.split(",").map(Number)) {
  for (const name of names) {
    rows.push(await rowOf(name, keys));
    console.log(rows.at(-1)?.join("  "));
  }
}
report(
  {
    name: "memory",
    title: "Memory",
    text: `Resident memory of the server's process (what redis calls \`used_memory_rss\`), read from /proc for all three: empty, full and at its peak; then nine of ten keys are
deleted, and it is watched for ${watchedSeconds} s.`,
    tables: [
      {
        caption: "",
        head: [
          "",
          ...["empty, MiB", "full, MiB", "peak, MiB"],
          ...["bytes a key, without the empty server", "bytes a key, with it"],
          `${watchedSeconds} s after the deletes, MiB (of the peak)`,
          `below ${backPercent} % of the peak after, s`,
        ],
        rows,
      },
    ],
  },
  names,
);
process.exit(0);
