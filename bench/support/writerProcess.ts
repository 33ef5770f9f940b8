import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../client/index.ts";
import { messageOf } from "../../core/errors.ts";
import { keyText } from "./fill.ts";
import type { FromWriter, ToWriter, WritePhase, WriterOptions } from "./writer.ts";

/** The process behind writer.ts. Each millisecond it hands the writes that have come due to the client. */
const options = JSON.parse(process.argv[2] ?? "") as WriterOptions;
const value = Buffer.alloc(100, "v");
const errorsMax = 10;

type Counted = {
  readonly name: string;
  readonly fromMs: number;
  toMs: number;
  readonly latency: RecordableHistogram;
  readonly own: RecordableHistogram;
  writes: number;
  failed: number;
};
const phases: Counted[] = [];
const errors: string[] = [];
/** No set of promises: one that is always added to and taken from keeps what was in it alive for longer, and the load collects. */
let under = 0;
let ended: () => void = () => undefined;
const ending = new AbortController();

const say = (message: FromWriter): void => {
  process.send?.(message);
};
const record = (histogram: RecordableHistogram, ms: number): void => {
  histogram.record(Math.max(1, Math.round(ms * 1e6)));
};

const client = await connect({ info: options.url });

const write = async (dueMs: number, phase: Counted): Promise<void> => {
  record(phase.own, performance.now() - dueMs);
  phase.writes++;
  try {
    await client.set(keyText(Math.floor(Math.random() * options.keys)), value);
    record(phase.latency, performance.now() - dueMs);
  } catch (error) {
    phase.failed++;
    if (errors.length < errorsMax) errors.push(messageOf(error));
  }
};

const begin = (name: string): void => {
  const nowMs = performance.now();
  const last = phases.at(-1);
  if (last !== undefined) last.toMs = nowMs;
  phases.push({
    ...{ name, fromMs: nowMs, toMs: nowMs, writes: 0, failed: 0 },
    ...{ latency: createHistogram(), own: createHistogram() },
  });
};

const figures = ({ name, fromMs, toMs, latency, own, writes, failed }: Counted): WritePhase => ({
  ...{ name, seconds: (toMs - fromMs) / 1000, writes, failed },
  ...{ p50: latency.percentile(50) / 1e6, p99: latency.percentile(99) / 1e6 },
  ...{ p999: latency.percentile(99.9) / 1e6, max: writes === 0 ? 0 : latency.max / 1e6 },
  ...{ ownP99: own.percentile(99) / 1e6, ownMax: writes === 0 ? 0 : own.max / 1e6 },
});

process.on("message", (message: ToWriter) => {
  if (message.kind === "phase") begin(message.name);
  else ending.abort();
});
begin("start");
say({ kind: "ready" });

const perMs = options.perSecond / 1000;
const startMs = performance.now();
for (let sent = 0; !ending.signal.aborted;) {
  const due = Math.floor((performance.now() - startMs) * perMs);
  const phase = phases.at(-1);
  for (; sent < due && phase !== undefined; sent++) {
    under++;
    void write(startMs + sent / perMs, phase).finally(() => {
      if (--under === 0) ended();
    });
  }
  await sleep(1);
}
begin("end");
if (under > 0)
  await new Promise<void>((resolve) => {
    ended = resolve;
  });
say({ kind: "ended", phases: phases.slice(0, -1).map(figures), errors });
