import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { messageOf } from "../core/errors.ts";
import { until } from "../test/support/net.ts";
import { ask } from "./support/ask.ts";
import { startPacer, type Pacer, type Phase } from "./support/pacer.ts";
import { report } from "./support/report.ts";
import { serverNames, startServer, type BenchServer, type ServerName } from "./support/servers.ts";

/**
 * The slowest answers under a steady load while something else goes on. Usage:
 * node bench/pauses.ts [--rate 50000] [--keys 5000000] [--calm 10] [--servers redis,edis]
 */
const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "50000" },
    keys: { type: "string", default: "5000000" },
    calm: { type: "string", default: "10" },
    servers: { type: "string" },
  },
});
const rate = Number(values.rate);
const keys = Number(values.keys);
const calmMs = Number(values.calm) * 1_000;
const growthSeconds = 25;
const expiring = keys / 5;
const expiringPerSecond = 100_000;

type Step = {
  readonly name: string;
  /** What has to be there before, not shown. */
  readonly prepare?: (pacer: Pacer) => Promise<void>;
  readonly run: (server: BenchServer, pacer: Pacer) => Promise<void>;
};
let expireAtMs = 0;
const steps: readonly Step[] = [
  {
    name: `growth from 0 to ${keys.toLocaleString("en")} keys`,
    run: (_server, pacer) => pacer.add({ perSecond: keys / growthSeconds, from: 0, to: keys }),
  },
  { name: "calm", run: () => sleep(calmMs) },
  { name: "a snapshot", run: (server) => server.snapshot() },
  {
    name: "a full copy to a reader",
    run: async (server) => {
      const reader = await server.addReader();
      await reader.stop();
    },
  },
  {
    name: `${expiring.toLocaleString("en")} keys expire within a second`,
    prepare: async (pacer) => {
      expireAtMs = Date.now() + (expiring / expiringPerSecond) * 1_500 + 5_000;
      await pacer.add({ perSecond: expiringPerSecond, from: keys, to: keys + expiring, expireAtMs });
      if (Date.now() > expireAtMs) throw new Error("the keys were not written before they expire");
      await sleep(expireAtMs - Date.now() - 100);
    },
    run: async ({ port }) => {
      const isGone = async (): Promise<boolean> => Number((await ask(port(), ["DBSIZE"])).slice(1)) <= keys;
      await until("all have expired", isGone, 60_000);
    },
  },
];

const notes: string[] = [];
const phasesOf = async (name: ServerName): Promise<readonly Phase[]> => {
  const server = await startServer(name, {
    durability: "none",
    settings: ["--repl-diskless-sync-delay", "0"],
  });
  try {
    const pacer = await startPacer({ port: server.port(), perSecond: rate, keys: 0, setShare: 0.2 });
    for (const step of steps) {
      pacer.phase("");
      try {
        await step.prepare?.(pacer);
        pacer.phase(step.name);
        await step.run(server, pacer);
      } catch (error) {
        pacer.drop();
        notes.push(`${name}, ${step.name}: left out, ${messageOf(error)}`);
      }
    }
    return await pacer.end();
  } finally {
    await server.stop();
  }
};

const names = serverNames(values.servers);
const figures = new Map<ServerName, readonly Phase[]>();
for (const name of names) {
  figures.set(name, await phasesOf(name));
  console.log(name, figures.get(name));
}

const text = (ms: number): string => ms.toFixed(ms < 10 ? 1 : 0);
const rows = steps.flatMap(({ name }) =>
  names.flatMap((server) =>
    (figures.get(server) ?? [])
      .filter((phase) => phase.name === name)
      .map(({ seconds, requests, p50, p99, p999, max, own, busy }) => [
        `${name}: ${server}`,
        seconds.toFixed(1),
        requests.toLocaleString("en"),
        ...[p50, p99, p999, max, own.p999, own.max].map(text),
        `${(busy * 100).toFixed(0)} %`,
      ]),
  ),
);
const head = [
  "",
  "s",
  "requests",
  "p50",
  "p99",
  "p99.9",
  "max",
  "load's own p99.9",
  "load's own max",
  "load's core",
];

report(
  {
    name: "pauses",
    title: "Pauses",
    text: `${rate.toLocaleString("en")} requests a second, steady (four GETs to one SET, 50 connections, ten requests in one write), while something else goes on; milliseconds from the
instant at which a request was due to its answer, so that those count that had to wait for a server that stood still. The load is a process of its own, at a higher priority
where the user may have that (root), that looks at the clock each millisecond; *load's own* is its part: from when a request was due to when it was sent. Growth writes ${((keys / growthSeconds) * 1e-3).toFixed(0)},000 more keys a second beside the load.
A snapshot is BGSAVE; a copy goes from the start of a new process to its serving (a replica with \`repl-diskless-sync-delay 0\`).`,
    tables: [{ caption: "", head, rows }],
    notes,
  },
  names,
);
process.exit(0);
