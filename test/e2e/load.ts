import { createWriteStream } from "node:fs";
import { connect, EdisError, type Client } from "../../client/index.ts";
import {
  acknowledged,
  judge,
  kinds,
  leastOf,
  levels,
  lostOf,
  newKey,
  refused,
  type Key,
} from "../proof/ledger.ts";
import { asked, carryOut, isRefusal } from "../proof/operations.ts";
import { lanesOf, type Lane } from "./lanes.ts";

/**
 * A steady load, run in a pod: for each lane (a slot) one worker writes growing numbers to its keys, and one reads them back at
 * all three levels; both are one session. What they are told is judged by the ledger of test/proof. A key whose write may or may
 * not have been carried out is left as it is: it may take effect at any later time. A line of JSON says twice a second how it goes
 * and how long each lane went without an acknowledged write. LOAD_FILL keys are written first, so that there is something to move.
 * SIGUSR2 stops the writing, reads every key from its owner, and says whether every acknowledged write is there.
 */
const info = process.env["LOAD_INFO"] ?? "";
const cluster = process.env["LOAD_CLUSTER"] ?? "";
const laneCount = Number(process.env["LOAD_LANES"] ?? "12");
const pauseMs = Number(process.env["LOAD_PAUSE_MS"] ?? "10");
/** Where each operation is written down as a line of JSON; empty: nowhere. */
const historyPath = process.env["LOAD_HISTORY"] ?? "";
/** So many keys of 100 bytes are there before it begins. */
const fillKeys = Number(process.env["LOAD_FILL"] ?? "0");
const fillAtOnce = 256;
const keysPerLane = 32;
/** Then a key is left as it is, and another one written: so that there are more and more that should stay. */
const writesPerKey = 100;
const verifiedAtOnce = 100;
const failuresKept = 20;

type Failure = {
  readonly atMs: number;
  readonly what: string;
  readonly code: string;
  readonly message: string;
};
type Running = {
  readonly lane: Lane;
  readonly keys: Key[];
  /** The greatest number of each that was written or read. */
  readonly seen: Map<Key, number>;
  /** How many keys there have been. */
  named: number;
  writes: number;
  ackedMs: number;
  /** The longest time without an acknowledged write since the last line, and of all. */
  gapMs: number;
  gapMsMax: number;
  /** Time without an acknowledged write beyond 100 ms, in all. */
  downMs: number;
};

const startMs = performance.now();
const nowMs = (): number => performance.now() - startMs;
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const history = historyPath === "" ? null : createWriteStream(historyPath);

const failures: Failure[] = [];
/** What was wrong, in words. */
const wrong: string[] = [];
const counts = { writes: 0, reads: 0, writeFailures: 0, readFailures: 0 };
/** Answers that show what they must not: to writes, and to reads of each level. */
const violations = { write: 0, linearizable: 0, session: 0, eventual: 0 };
let writing = true;

const nextKey = (running: Running, at: number): Key =>
  newKey(running.lane.nameOf(running.named++), kinds[at % kinds.length] ?? "plain");
const newRunning = (lane: Lane): Running => {
  const running: Running = {
    ...{ lane, keys: [], seen: new Map(), named: 0, writes: 0 },
    ...{ ackedMs: nowMs(), gapMs: 0, gapMsMax: 0, downMs: 0 },
  };
  for (let at = 0; at < keysPerLane; at++) running.keys.push(nextKey(running, at));
  return running;
};
const lanes = lanesOf(laneCount).map(newRunning);
/** Keys that nobody writes any more. */
const left: Key[] = [];
/** By whom the history says it was: another one after an outcome that is not known. */
let processes = 2 * laneCount;

const failed = (what: "write" | "read", error: unknown): void => {
  if (what === "write") counts.writeFailures++;
  else counts.readFailures++;
  const code = error instanceof EdisError ? error.code : "none";
  const message = error instanceof Error ? error.message : String(error);
  failures.push({ atMs: Math.round(nowMs()), what, code, message });
  if (failures.length > failuresKept) failures.shift();
};

const blame = (what: keyof typeof violations, began: number, complaint: string | null): void => {
  if (complaint === null) return;
  violations[what]++;
  const between = `from ${Math.round(began)} to ${Math.round(nowMs())} ms: `;
  if (wrong.length < failuresKept) wrong.push(between + complaint);
};

const note = (process: number, began: number, operation: Readonly<Record<string, unknown>>): void => {
  if (history === null) return;
  const times = { invokeNs: Math.round(began * 1e6), completeNs: Math.round(nowMs() * 1e6) };
  history.write(`${JSON.stringify({ process, ...operation, ...times })}\n`);
};

/** `nowMs` is the time of an acknowledged write, or of a look in between. */
const gap = (running: Running, ms: number): void => {
  running.gapMs = Math.max(running.gapMs, ms);
  running.gapMsMax = Math.max(running.gapMsMax, ms);
};

const see = ({ seen }: Running, key: Key, n: number): void => {
  seen.set(key, Math.max(seen.get(key) ?? 0, n));
};

const heardOfWrite = (running: Running): void => {
  counts.writes++;
  running.writes++;
  const ms = nowMs() - running.ackedMs;
  gap(running, ms);
  if (ms > 100) running.downMs += ms - 100;
  running.ackedMs = nowMs();
};

const write = async (client: Client, first: number, running: Running): Promise<void> => {
  let process = first;
  running.ackedMs = nowMs();
  for (let n = 0; writing; n++) {
    const at = n % keysPerLane;
    const key = running.keys[at];
    if (key === undefined) throw new Error(`there is no key ${at}`);
    const before = key.acked;
    key.sent = before + 1;
    const began = nowMs();
    const operation = asked(key, before);
    try {
      const written = await carryOut(client, key, before);
      heardOfWrite(running);
      blame("write", began, acknowledged(key, written, nowMs()));
      see(running, key, key.acked);
      const result = key.kind === "plain" ? {} : { result: String(written) };
      note(process, began, { ...operation, ...result, outcome: "ok" });
    } catch (error) {
      failed("write", error);
      const isRefused = isRefusal(error);
      note(process, began, { ...operation, outcome: isRefused ? "fail" : "unknown" });
      if (isRefused) refused(key);
      else {
        key.isClosed = true;
        process = processes++;
      }
    }
    if (key.isClosed || key.acked >= writesPerKey) {
      left.push(key);
      running.seen.delete(key);
      running.keys[at] = nextKey(running, at);
    }
    await sleep(pauseMs);
  }
};

const read = async (client: Client, process: number, running: Running): Promise<void> => {
  const { lagMsMax } = client.topology();
  for (let n = 1; writing; n++) {
    const level = levels[n % levels.length] ?? "eventual";
    const key = running.keys[n % keysPerLane];
    if (key === undefined) throw new Error(`there is no key ${n % keysPerLane}`);
    const began = nowMs();
    const least = leastOf(key, { level, seen: running.seen.get(key) ?? 0, nowMs: began, lagMsMax });
    const operation = { op: "get", key: key.name, level };
    try {
      const text = await client.getText(key.name, { consistency: level });
      counts.reads++;
      const found = Number(text ?? 0);
      blame(level, began, judge(key, { level, found, least }));
      if (running.keys.includes(key)) see(running, key, found);
      note(process, began, { ...operation, result: text, outcome: "ok" });
    } catch (error) {
      failed("read", error);
      note(process, began, { ...operation, outcome: "fail" });
    }
    await sleep(pauseMs);
  }
};

const verify = async (client: Client): Promise<void> => {
  const lost: string[] = [];
  const keys = [...left, ...lanes.flatMap((running) => running.keys)];
  const process = processes++;
  const one = async (key: Key): Promise<void> => {
    const began = nowMs();
    const text = await client.getText(key.name, { consistency: "linearizable" });
    note(process, began, { op: "get", key: key.name, level: "linearizable", result: text, outcome: "ok" });
    const complaint = lostOf(key, Number(text ?? 0));
    if (complaint !== null) lost.push(complaint);
  };
  const totalMs = nowMs();
  for (let from = 0; from < keys.length; from += verifiedAtOnce)
    await Promise.all(keys.slice(from, from + verifiedAtOnce).map(one));
  await new Promise<void>((resolve) => {
    if (history === null) resolve();
    else history.end(resolve);
  });
  say({
    ...{ verified: keys.length, lost, wrong, violations, counts, totalMs: Math.round(totalMs) },
    lanes: lanes.map(({ lane: { slot }, writes, gapMsMax, downMs }) => ({
      ...{ slot, writes, gapMsMax: Math.round(gapMsMax) },
      availability: Number((1 - downMs / totalMs).toFixed(5)),
    })),
  });
};

const fill = async (client: Client): Promise<void> => {
  const value = "x".repeat(100);
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < fillKeys) await client.set(`fill:${next++}`, value);
  };
  await Promise.all(Array.from({ length: fillAtOnce }, one));
};

const client = await connect({ info, cluster, connectMs: 30_000 });
await fill(client);
say({ started: true });
const running = Promise.all(
  lanes.flatMap((lane, i) => [write(client, 2 * i, lane), read(client, 2 * i + 1, lane)]),
);
setInterval(() => {
  for (const lane of lanes) gap(lane, writing ? nowMs() - lane.ackedMs : 0);
  const gaps = lanes.map(({ lane: { slot }, gapMs }) => [slot, Math.round(gapMs)]);
  say({ atMs: Math.round(nowMs()), ...counts, violations, gaps, failures });
  for (const lane of lanes) lane.gapMs = 0;
}, 500);
process.on("SIGUSR2", () => {
  writing = false;
  running
    .then(() => verify(client))
    .catch((error: unknown) => {
      say({ verified: 0, lost: [String(error)] });
    });
});
process.on("SIGTERM", () => process.exit(0));
