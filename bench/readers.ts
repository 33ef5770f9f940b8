import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { respClient } from "../test/support/respClient.ts";
import { fill } from "./support/fill.ts";
import { startPacer } from "./support/pacer.ts";
import { redisBenchmark } from "./support/redisBenchmark.ts";
import { report } from "./support/report.ts";
import { serverNames, startServer, type ServerName } from "./support/servers.ts";
import { quantile } from "./support/spread.ts";

/**
 * How far a reader is behind: while its writer takes SETs as fast as redis-benchmark sends them, and at half of that rate. Usage:
 * node bench/readers.ts [--seconds 15] [--pipeline 64]
 */
const { values } = parseArgs({
  options: { seconds: { type: "string", default: "15" }, pipeline: { type: "string", default: "64" } },
});
const seconds = Number(values.seconds);
const pipeline = Number(values.pipeline);
const keys = 1_000_000;
const betweenProbesMs = 10;
/** A reader that is further behind has not kept up. */
const lagMsMax = 60_000;

/** Milliseconds from a write's acknowledgement to its being read at the reader, probe after probe until the work is over. */
const lagsDuring = async (
  { writer, reader }: { readonly writer: number; readonly reader: number },
  work: Promise<unknown>,
): Promise<number[]> => {
  const [writing, reading] = await Promise.all([respClient(writer), respClient(reader)]);
  // redis and valkey have no cluster here and say so; a replica is read all the same.
  await reading.send(["READONLY"]);
  const over = new AbortController();
  const ended = work.finally(() => {
    over.abort();
  });
  const lags: number[] = [];
  for (let i = 1; !over.signal.aborted; i++) {
    const wanted = `${i} ${process.hrtime.bigint()}`;
    await writing.send(["SET", "probe", wanted]);
    const acknowledged = performance.now();
    for (;;) {
      const [reply] = await reading.send(["GET", "probe"]);
      const lag = performance.now() - acknowledged;
      if (reply?.includes(wanted) === true || lag > lagMsMax) {
        lags.push(lag);
        break;
      }
      await sleep(1);
    }
    await sleep(betweenProbesMs);
  }
  await ended;
  writing.close();
  reading.close();
  return lags;
};

const rowsOf = async (name: ServerName): Promise<readonly (readonly string[])[]> => {
  const server = await startServer(name, { durability: "none" });
  try {
    await fill(server.port(), { from: 0, to: keys });
    const reader = await server.addReader();
    const ports = { writer: server.port(), reader: reader.port };
    const closed = { port: server.port(), command: "set", pipeline, keys } as const;
    const first = await redisBenchmark({ ...closed, requests: 500_000 });
    let full = 0;
    const fullWork = redisBenchmark({ ...closed, requests: Math.ceil(first * seconds) });
    const fullLags = await lagsDuring(
      ports,
      fullWork.then((perSecond) => {
        full = perSecond;
      }),
    );
    const pacer = await startPacer({
      port: server.port(),
      perSecond: Math.round(full / 2),
      keys,
      setShare: 1,
    });
    pacer.phase("half");
    const halfLags = await lagsDuring(ports, sleep(seconds * 1_000));
    const [half] = await pacer.end();
    return [
      rowOf(`${name}, as fast as it goes`, full, fullLags),
      rowOf(`${name}, at half of it`, (half?.requests ?? NaN) / (half?.seconds ?? NaN), halfLags),
    ];
  } finally {
    await server.stop();
  }
};

const rowOf = (what: string, perSecond: number, lags: readonly number[]): readonly string[] => {
  const lastQuarter = lags.slice(Math.floor(lags.length * 0.75));
  const text = (ms: number): string => ms.toFixed(1);
  return [
    what,
    (perSecond / 1_000).toFixed(0),
    `${lags.length}`,
    ...[0.5, 0.99, 1].map((q) => text(quantile(lags, q))),
    text(quantile(lastQuarter, 0.5)),
  ];
};

const names = serverNames();
const rows: (readonly string[])[] = [];
for (const name of names) {
  rows.push(...(await rowsOf(name)));
  console.log(
    rows
      .slice(-2)
      .map((row) => row.join("  "))
      .join("\n"),
  );
}
report(
  {
    name: "readers",
    title: "Readers that keep up",
    text: `One writer, one reader. SETs from redis-benchmark (50 connections, pipeline ${pipeline}) for ${seconds} s, then half of the rate it reached, steady, for as long. Beside it, one
write after another on a connection of its own: milliseconds from its acknowledgement until it is read at the reader, looked for each millisecond. Where the last quarter is no
further behind than the whole, the reader keeps up.`,
    tables: [
      {
        caption: "",
        head: ["", "SETs, k/s", "probes", "p50", "p99", "max", "p50 of the last quarter"],
        rows,
      },
    ],
  },
  names,
);
process.exit(0);
