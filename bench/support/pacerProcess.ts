import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { keyText } from "./fill.ts";
import type { Added, FromPacer, PacerOptions, Phase, ToPacer } from "./pacer.ts";

/**
 * The process behind pacer.ts. Each millisecond it sends what has come due: ten requests on each of so many of its connections, in turn,
 * so that the server has small pipelines from 50 clients. Sending each by itself would ask for more system calls than a core can do.
 */
const options = JSON.parse(process.argv[2] ?? "") as PacerOptions;
const connectionCount = 50;
const perWrite = 10;
/** Of one connection; more than come due within a minute at 50,000 a second. */
const underWayMax = 2 ** 17;
const answersMsMax = 10_000;
const value = "x".repeat(100);

const say = (message: FromPacer): void => {
  process.send?.(message);
};
const fail = (why: string): void => {
  say({ kind: "failed", why });
};

type Counted = {
  readonly name: string;
  readonly fromMs: number;
  toMs: number;
  readonly latency: RecordableHistogram;
  readonly own: RecordableHistogram;
  readonly cpu: NodeJS.CpuUsage;
  busy: number;
};
const phases: Counted[] = [];
let keys = options.keys;

/** Latencies in nanoseconds; what is below 1 does not count in a histogram. */
const record = (histogram: RecordableHistogram, ms: number): void => {
  histogram.record(Math.max(1, Math.round(ms * 1e6)));
};

const phaseAt = (dueMs: number): Counted | undefined => phases.findLast(({ fromMs }) => fromMs <= dueMs);

/** Where the reply at `at` ends; -1 where it is not whole. Replies are one line, or a bulk string. */
const replyEnd = (bytes: Buffer, at: number): number => {
  const line = bytes.indexOf(10, at);
  if (line === -1) return -1;
  if (bytes[at] !== 36) return line + 1;
  const length = Number(bytes.toString("latin1", at + 1, line - 1));
  const end = length < 0 ? line + 1 : line + 1 + length + 2;
  return end > bytes.length ? -1 : end;
};

/** Calls back for each reply; an error reply ends everything. */
const onReplies = (socket: Socket, replied: () => void): void => {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    for (let end = replyEnd(bytes, at); at < bytes.length && end !== -1; end = replyEnd(bytes, at)) {
      if (bytes[at] === 45) fail(bytes.toString("latin1", at, end).trim());
      replied();
      at = end;
    }
    rest = bytes.subarray(at);
  });
  socket.on("error", (error) => {
    fail(error.message);
  });
};

const open = async (): Promise<Socket> => {
  const socket = connect({ host: "127.0.0.1", port: options.port, noDelay: true });
  await once(socket, "connect");
  return socket;
};

/** One connection: the instants at which what is under way was due, oldest first, in a ring. */
type Lane = { readonly socket: Socket; readonly due: Float64Array; sent: number; answered: number };
const openLane = async (): Promise<Lane> => {
  const lane: Lane = { socket: await open(), due: new Float64Array(underWayMax), sent: 0, answered: 0 };
  onReplies(lane.socket, () => {
    const due = lane.due[lane.answered++ % underWayMax] ?? 0;
    const phase = phaseAt(due);
    if (phase !== undefined) record(phase.latency, performance.now() - due);
  });
  return lane;
};

const setCommand = (key: string): string => `*3\r\n$3\r\nSET\r\n$16\r\n${key}\r\n$100\r\n${value}\r\n`;
const randomCommand = (): string => {
  const key = keyText(Math.floor(Math.random() * Math.max(1, keys)));
  return Math.random() < options.setShare ? setCommand(key) : `*2\r\n$3\r\nGET\r\n$16\r\n${key}\r\n`;
};

const lanes = await Promise.all(Array.from({ length: connectionCount }, openLane));
const perMs = options.perSecond / 1_000;
let startMs = performance.now();
let sent = 0;
let lane = 0;
const ending = new AbortController();

const sendDue = (): void => {
  const nowMs = performance.now();
  const due = Math.floor((nowMs - startMs) * perMs) - sent;
  const each = Math.max(perWrite, Math.ceil(due / connectionCount));
  const phase = phases.at(-1);
  for (let left = due; left > 0; left -= each) {
    const to = lanes[lane++ % connectionCount];
    if (to === undefined) continue;
    let commands = "";
    for (let i = Math.min(each, left); i > 0; i--) {
      const dueMs = startMs + sent++ / perMs;
      if (to.sent - to.answered === underWayMax) fail("too many requests are under way");
      to.due[to.sent++ % underWayMax] = dueMs;
      if (phase !== undefined) record(phase.own, nowMs - dueMs);
      commands += randomCommand();
    }
    to.socket.write(commands, "latin1");
  }
};

const beginPhase = (name: string): void => {
  endPhase();
  phases.push({
    name,
    ...{ fromMs: performance.now(), toMs: 0, busy: 0, cpu: process.cpuUsage() },
    ...{ latency: createHistogram(), own: createHistogram() },
  });
};
const endPhase = (): void => {
  const phase = phases.at(-1);
  if (phase?.toMs !== 0) return;
  phase.toMs = performance.now();
  const { user, system } = process.cpuUsage(phase.cpu);
  phase.busy = (user + system) / 1_000 / (phase.toMs - phase.fromMs);
};

/** Keys beside the load, on a connection of their own. */
const adding = await open();
let add: { readonly what: Added; readonly fromMs: number; sent: number; answered: number } | null = null;
onReplies(adding, () => {
  if (add === null) return;
  add.answered++;
  if (add.what.expireAtMs === undefined) keys = Math.max(keys, add.what.from + add.answered);
  if (add.answered < add.what.to - add.what.from) return;
  add = null;
  say({ kind: "added" });
});
const sendAdded = (): void => {
  if (add === null) return;
  const { from, to, perSecond, expireAtMs } = add.what;
  const due = Math.min(to - from, Math.floor(((performance.now() - add.fromMs) / 1_000) * perSecond));
  let commands = "";
  for (; add.sent < due; add.sent++) {
    const key = keyText(from + add.sent);
    commands +=
      expireAtMs === undefined
        ? setCommand(key)
        : `*5\r\n$3\r\nSET\r\n$16\r\n${key}\r\n$100\r\n${value}\r\n$4\r\nPXAT\r\n$13\r\n${expireAtMs + (add.sent % 1_000)}\r\n`;
  }
  if (commands !== "") adding.write(commands, "latin1");
};

const figures = ({ name, fromMs, toMs, latency, own, busy }: Counted): Phase => {
  const at = (histogram: RecordableHistogram, percent: number): number =>
    (percent === 100 ? histogram.max : histogram.percentile(percent)) / 1e6;
  return {
    ...{ name, seconds: (toMs - fromMs) / 1_000, requests: latency.count, busy },
    ...{ p50: at(latency, 50), p99: at(latency, 99), p999: at(latency, 99.9), max: at(latency, 100) },
    own: { p999: at(own, 99.9), max: at(own, 100) },
  };
};

const end = async (): Promise<void> => {
  endPhase();
  ending.abort();
  const deadline = performance.now() + answersMsMax;
  while (lanes.some(({ sent, answered }) => sent > answered)) {
    if (performance.now() > deadline) {
      fail(`answers did not come within ${answersMsMax} ms`);
      return;
    }
    await sleep(10);
  }
  say({ kind: "ended", phases: phases.filter(({ name }) => name !== "").map(figures) });
};

process.on("message", (message: ToPacer) => {
  switch (message.kind) {
    case "phase":
      beginPhase(message.name);
      return;
    case "drop":
      phases.pop();
      beginPhase("");
      return;
    case "add":
      add = { what: message, fromMs: performance.now(), sent: 0, answered: 0 };
      return;
    case "end":
      void end();
  }
});
process.on("disconnect", () => process.exit(0));

say({ kind: "ready" });
startMs = performance.now();
while (!ending.signal.aborted) {
  sendDue();
  sendAdded();
  await sleep(1);
}
