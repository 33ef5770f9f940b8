import { parseArgs } from "node:util";
import { fill, keyText } from "./support/fill.ts";
import { report } from "./support/report.ts";
import { missingMode, serverNames, startServer, type ServerName } from "./support/servers.ts";
import { medianText } from "./support/spread.ts";

/** From the start of a process to its first answer, its data on disk. Usage: node bench/start.ts [--keys 5000000] [--rounds 5] */
const { values } = parseArgs({
  options: { keys: { type: "string", default: "5000000" }, rounds: { type: "string", default: "5" } },
});
const keys = Number(values.keys);
const rounds = Number(values.rounds);

const names = serverNames();
const notes: string[] = [];
const took = new Map<ServerName, number[]>();
const missing = missingMode("everysec");
if (missing !== null) notes.push(`edis: ${missing}`);

const servers = [];
for (const name of names.filter((name) => name !== "edis" || missing === null)) {
  const server = await startServer(name, { durability: "none" });
  await fill(server.port(), { from: 0, to: keys });
  servers.push(server);
  took.set(name, []);
}
for (let round = 0; round < rounds; round++) {
  for (const server of servers) {
    const ms = await server.restart(keyText(Math.floor(keys / 2)));
    took.get(server.name)?.push(ms);
    console.log(server.name, ms);
  }
}
for (const server of servers) await server.stop();

const redis = took.get("redis") ?? [];
report(
  {
    name: "start",
    title: "Start",
    text: `From the start of the server's process to its first answered GET, with ${keys.toLocaleString("en")} keys on disk: redis and valkey from the RDB of a SAVE, Edis from what is there
(\`fsync: never\`) after a SIGTERM. ${rounds} rounds in turn; what is read is in the page cache.`,
    tables: [
      {
        caption: "",
        head: ["", "s", "÷ redis"],
        rows: [...took].map(([name, samples]) => [
          name,
          medianText(
            samples.map((ms) => ms / 1_000),
            2,
          ),
          medianText(
            samples.map((ms, round) => ms / (redis[round] ?? NaN)),
            2,
          ),
        ]),
      },
    ],
    notes,
  },
  names,
);
process.exit(0);
