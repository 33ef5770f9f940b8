import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ask } from "./support/ask.ts";
import { fill } from "./support/fill.ts";
import { startPacer, type Phase } from "./support/pacer.ts";
import { report } from "./support/report.ts";
import { serverNames, startServer, type BenchServer } from "./support/servers.ts";
import { median, medianText } from "./support/spread.ts";

/**
 * A full copy to a new reader while the server is in use. Usage:
 * node bench/copy.ts [--keys 8620690] [--rounds 5] [--rate 10000] [--servers redis,edis]
 */
const { values } = parseArgs({
  options: {
    // 10^9 bytes of keys and values.
    keys: { type: "string", default: String(Math.ceil(1e9 / 116)) },
    rounds: { type: "string", default: "5" },
    rate: { type: "string", default: "10000" },
    servers: { type: "string" },
  },
});
const [keys, rounds, perSecond] = [values.keys, values.rounds, values.rate].map(Number) as [
  number,
  number,
  number,
];
const calmMs = 2_000;

/** What is compared: a server, and how it copies. */
type Way = { readonly name: string; readonly server: BenchServer; readonly prepare: () => Promise<unknown> };
type Copy = { readonly tookMs: number; readonly calm: Phase; readonly during: Phase };

const copyOnce = async ({ server, prepare }: Way): Promise<Copy> => {
  await prepare();
  const pacer = await startPacer({ port: server.port(), perSecond, keys, setShare: 0.2 });
  pacer.phase("calm");
  await sleep(calmMs);
  pacer.phase("during");
  const reader = await server.addReader();
  const [calm, during] = await pacer.end();
  await reader.stop();
  if (calm === undefined || during === undefined) throw new Error("the load has no figures");
  return { tookMs: reader.tookMs, calm, during };
};

const names = serverNames(values.servers);
const servers: BenchServer[] = [];
for (const name of names) {
  const server = await startServer(name, {
    durability: "none",
    settings: ["--repl-diskless-sync-delay", "0"],
  });
  await fill(server.port(), { from: 0, to: keys });
  servers.push(server);
}
const ways = servers.flatMap((server): Way[] =>
  server.name === "edis"
    ? [{ name: "edis", server, prepare: () => Promise.resolve() }]
    : ["yes", "no"].map((diskless) => ({
        name: `${server.name}, repl-diskless-sync ${diskless}`,
        server,
        prepare: () => ask(server.port(), ["CONFIG", "SET", "repl-diskless-sync", diskless]),
      })),
);
const copies = new Map<string, Copy[]>(ways.map(({ name }) => [name, []]));
for (let round = 0; round < rounds; round++) {
  for (const way of ways) {
    const copy = await copyOnce(way);
    copies.get(way.name)?.push(copy);
    console.log(way.name, copy.tookMs, copy.during.p99, copy.during.max);
  }
}
for (const server of servers) await server.stop();

const yardstick = copies.get("redis, repl-diskless-sync yes") ?? [];
const rows = [...copies].map(([name, samples]) => {
  const worst = (figure: (copy: Copy) => number): string => Math.max(...samples.map(figure)).toFixed(1);
  const middle = (figure: (copy: Copy) => number): string => median(samples.map(figure)).toFixed(1);
  return [
    name,
    medianText(
      samples.map(({ tookMs }) => tookMs / 1_000),
      2,
    ),
    medianText(
      samples.map(({ tookMs }, round) => tookMs / (yardstick[round]?.tookMs ?? NaN)),
      2,
    ),
    ...[middle(({ calm }) => calm.p99), worst(({ calm }) => calm.max)],
    ...[middle(({ during }) => during.p99), worst(({ during }) => during.max)],
    worst(({ during }) => during.own.max),
  ];
});
report(
  {
    name: "copy",
    title: "Full copy to a new reader",
    text: `${keys.toLocaleString("en")} keys (${((keys * 116) / 1e9).toFixed(2)} GB of keys and values) copied to a new reader, from the start of its process to its serving, under a load of ${perSecond.toLocaleString("en")} requests a
second as in [pauses](#pauses); ${rounds} rounds in turn. redis and valkey with \`repl-diskless-sync-delay 0\` (by itself it is 5 s). Latencies of the load in milliseconds:
p99 is the median of the rounds, max the greatest of all.`,
    tables: [
      {
        caption: "",
        head: [
          ...["", "s", "÷ redis, diskless", "calm p99", "calm max"],
          ...["during p99", "during max", "load's own max"],
        ],
        rows,
      },
    ],
  },
  names,
);
process.exit(0);
