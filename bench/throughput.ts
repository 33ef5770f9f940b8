import { parseArgs } from "node:util";
import { fill } from "./support/fill.ts";
import { cpuMicros } from "./support/process.ts";
import { redisBenchmark } from "./support/redisBenchmark.ts";
import { report, type Table } from "./support/report.ts";
import {
  missingMode,
  serverNames,
  startServer,
  type BenchServer,
  type Durability,
  type ServerName,
} from "./support/servers.ts";
import { median, medianText } from "./support/spread.ts";

/**
 * Requests a second and processor time per request of each server, rounds in turn. Usage:
 * node bench/throughput.ts [--rounds 5] [--seconds 3] [--modes none,everysec,always] [--servers redis,edis]
 */
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    servers: { type: "string" },
    modes: { type: "string", default: "none,everysec,always" },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const keys = 1_000_000;

type Work = { readonly command: "set" | "get"; readonly pipeline: number };
const work: Readonly<Record<Durability, readonly Work[]>> = {
  none: [64, 16, 1].flatMap((pipeline): Work[] => [
    { command: "set", pipeline },
    { command: "get", pipeline },
  ]),
  everysec: [{ command: "set", pipeline: 16 }],
  always: [16, 1].map((pipeline) => ({ command: "set", pipeline })),
};

/** One round of one server. */
type Sample = {
  readonly perSecond: number;
  /** Of one request, of the server. */
  readonly micros: number;
  /** Of a core, that the server used. */
  readonly busy: number;
};

const measure = async (server: BenchServer, what: Work, requests: number): Promise<Sample> => {
  const [cpu, from] = [cpuMicros(server.pid()), performance.now()];
  const perSecond = await redisBenchmark({ port: server.port(), ...what, requests, keys });
  const used = cpuMicros(server.pid()) - cpu;
  return { perSecond, micros: used / requests, busy: used / ((performance.now() - from) * 1_000) };
};

/** As many rounds of each server, the servers in turn; a short one before, that warms up and says how long a round has to be. */
const alternate = async (servers: readonly BenchServer[], what: Work): Promise<Map<ServerName, Sample[]>> => {
  const samples = new Map<ServerName, Sample[]>(servers.map(({ name }) => [name, []]));
  const requests = new Map<ServerName, number>();
  for (const server of servers) {
    const { perSecond } = await measure(server, what, 5_000 * what.pipeline);
    requests.set(server.name, Math.ceil(perSecond * seconds));
  }
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < servers.length; i++) {
      // Who comes first changes, so that nobody is always behind the same one.
      const server = servers[(i + round) % servers.length];
      if (server === undefined) continue;
      const sample = await measure(server, what, requests.get(server.name) ?? 0);
      samples.get(server.name)?.push(sample);
    }
  }
  return samples;
};

type Samples = ReadonlyMap<ServerName, readonly Sample[]>;
const order = ["redis", "valkey", "edis"] as const;

/** A figure of each server, and its ratio to redis's of the same round. */
const cells = (samples: Samples, figure: (sample: Sample) => number, digits: number): readonly string[] => {
  const redis = (samples.get("redis") ?? []).map(figure);
  const of = (name: ServerName): readonly number[] => (samples.get(name) ?? []).map(figure);
  const ratio = (name: ServerName): string =>
    medianText(
      of(name).map((own, round) => own / (redis[round] ?? NaN)),
      2,
    );
  return [...order.map((name) => medianText(of(name), digits)), ratio("valkey"), ratio("edis")];
};
const busyText = (samples: Samples, name: ServerName): string => {
  const busy = median((samples.get(name) ?? []).map((sample) => sample.busy));
  return Number.isNaN(busy) ? "–" : `${(busy * 100).toFixed(0)} %`;
};

const captions: Readonly<Record<Durability, string>> = {
  none: 'Without a sync: redis and valkey `save ""`, `appendonly no`; Edis `fsync: never`.',
  everysec: "A sync each second: `appendfsync everysec`; `fsync: everysec`.",
  always: "A sync before each answer: `appendfsync always`; `fsync: always`.",
};
const head = (unit: string): readonly string[] => [
  "",
  ...order.map((name) => `${name}, ${unit}`),
  ...["valkey ÷ redis", "edis ÷ redis"],
];

const tablesOf = async (durability: Durability, names: readonly ServerName[]): Promise<readonly Table[]> => {
  const servers = [];
  for (const name of names) servers.push(await startServer(name, { durability }));
  const rates = [];
  const costs = [];
  try {
    for (const server of servers) await fill(server.port(), { from: 0, to: keys });
    for (const what of work[durability]) {
      const samples = await alternate(servers, what);
      const name = `${what.command.toUpperCase()}, pipeline ${what.pipeline}`;
      rates.push([name, ...cells(samples, ({ perSecond }) => perSecond / 1_000, 0)]);
      const busy = order.map((server) => busyText(samples, server));
      costs.push([name, ...cells(samples, ({ micros }) => micros, 2), ...busy]);
      console.log([...(rates.at(-1) ?? []), ...(costs.at(-1) ?? [])].join("  "));
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  return [
    { caption: captions[durability], head: head("k/s"), rows: rates },
    {
      caption: "Processor time of the server for a request, and how much of a core it used:",
      head: [...head("µs"), ...order.map((name) => `${name}, of a core`)],
      rows: costs,
    },
  ];
};

const names = serverNames(values.servers);
const tables: Table[] = [];
const notes: string[] = [];
for (const durability of values.modes.split(",") as Durability[]) {
  const missing = missingMode(durability);
  if (missing === null) tables.push(...(await tablesOf(durability, names)));
  else notes.push(missing);
}
report(
  {
    name: "throughput",
    title: "Throughput",
    text: `redis-benchmark with 50 connections against ${keys.toLocaleString("en")} keys, drawn at random; ${rounds} rounds of about ${seconds} s of each server, in turn. redis-benchmark
has one thread and a core at most: where a server uses much less than one core, the load is what ended first, and the CPU per request says more than the rate.`,
    tables,
    notes,
  },
  names,
);
process.exit(0);
