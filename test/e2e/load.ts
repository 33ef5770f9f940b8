import { createWriteStream } from "node:fs";
import { connect, EdisError, type Client } from "../../client/index.ts";
import { errorCodes } from "../../core/errors.ts";
import { lanesOf, type Lane } from "./lanes.ts";

/**
 * A steady load, run in a pod: for each lane (a slot) one worker writes growing numbers to its keys, and one reads them back at
 * all three levels. A line of JSON says twice a second how it goes and how long each lane went without an acknowledged write.
 * LOAD_FILL keys are written first, so that there is something to move. SIGUSR2 stops the writing, reads every key from its
 * owner, and says whether every acknowledged write is there.
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
const failuresKept = 20;

type Failure = {
  readonly atMs: number;
  readonly what: string;
  readonly code: string;
  readonly message: string;
};
type Ledger = { acked: number; sent: number; seen: number };
type Level = "linearizable" | "session" | "eventual";
type Running = {
  readonly lane: Lane;
  readonly ledger: readonly Ledger[];
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
/** Reads that showed what they must not, in words. */
const wrong: string[] = [];
const counts = {
  writes: 0,
  reads: 0,
  writeFailures: 0,
  readFailures: 0,
  wrongReads: 0,
  staleReads: 0,
  backwardReads: 0,
};
let writing = true;

const lanes = lanesOf(laneCount, keysPerLane).map((lane): Running => ({
  lane,
  ledger: lane.keys.map(() => ({ acked: 0, sent: 0, seen: 0 })),
  ...{ writes: 0, ackedMs: nowMs(), gapMs: 0, gapMsMax: 0, downMs: 0 },
}));

type Outcome = "ok" | "fail" | "unknown";
const outcomeOf = (error: unknown): Outcome =>
  error instanceof EdisError && errorCodes[error.code] !== "unknown" ? "fail" : "unknown";

const failed = (what: "write" | "read", error: unknown): void => {
  if (what === "write") counts.writeFailures++;
  else counts.readFailures++;
  const code = error instanceof EdisError ? error.code : "none";
  const message = error instanceof Error ? error.message : String(error);
  failures.push({ atMs: Math.round(nowMs()), what, code, message });
  if (failures.length > failuresKept) failures.shift();
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

const write = async (client: Client, process: number, running: Running): Promise<void> => {
  running.ackedMs = nowMs();
  for (let n = 1; writing; n++) {
    const at = n % keysPerLane;
    const [key, entry] = [running.lane.keys[at], running.ledger[at]];
    if (key === undefined || entry === undefined) continue;
    entry.sent = n;
    const began = nowMs();
    const operation = { op: "set", key, value: String(n) };
    try {
      await client.set(key, String(n));
      entry.acked = n;
      counts.writes++;
      running.writes++;
      const ms = nowMs() - running.ackedMs;
      gap(running, ms);
      if (ms > 100) running.downMs += ms - 100;
      running.ackedMs = nowMs();
      note(process, began, { ...operation, outcome: "ok" });
    } catch (error) {
      failed("write", error);
      note(process, began, { ...operation, outcome: outcomeOf(error) });
    }
    await sleep(pauseMs);
  }
};

const levels: readonly Level[] = ["eventual", "session", "linearizable"];

/** A reader may be behind, but never shows what nobody wrote; a session never goes back; the newest read shows what was acknowledged before it. */
const read = async (client: Client, process: number, running: Running): Promise<void> => {
  for (let n = 1; writing; n++) {
    const at = n % keysPerLane;
    const level = levels[n % levels.length] ?? "eventual";
    const [key, entry] = [running.lane.keys[at], running.ledger[at]];
    if (key === undefined || entry === undefined) continue;
    const { acked, seen } = entry;
    const began = nowMs();
    const operation = { op: "get", key, level };
    try {
      const value = await client.get(key, { consistency: level });
      counts.reads++;
      const found = Number(value ?? 0);
      const isWrong = found > entry.sent;
      const isStale = level === "linearizable" && found < acked;
      const isBack = level === "session" && found < Math.max(acked, seen);
      if (isWrong) counts.wrongReads++;
      if (isStale) counts.staleReads++;
      if (isBack) counts.backwardReads++;
      if ((isWrong || isStale || isBack) && wrong.length < failuresKept)
        wrong.push(
          `${level} read of ${key} from ${Math.round(began)} to ${Math.round(nowMs())} ms: ${found}; before it ${acked} was acknowledged and ${seen} seen, ${entry.sent} sent by now`,
        );
      if (level === "session") entry.seen = Math.max(entry.seen, found);
      note(process, began, { ...operation, result: value === null ? null : String(found), outcome: "ok" });
    } catch (error) {
      failed("read", error);
      note(process, began, { ...operation, outcome: "fail" });
    }
    await sleep(pauseMs);
  }
};

/** Every key holds its last acknowledged number, or a later one whose answer was lost. */
const verify = async (client: Client): Promise<void> => {
  const lost: string[] = [];
  let verified = 0;
  for (const { lane, ledger } of lanes) {
    for (const [i, { acked, sent }] of ledger.entries()) {
      const key = lane.keys[i] ?? "";
      const value = Number((await client.get(key, { consistency: "linearizable" })) ?? 0);
      verified++;
      if (value < acked || value > sent)
        lost.push(`${key}: acknowledged ${acked}, sent ${sent}, there is ${value}`);
    }
  }
  const totalMs = nowMs();
  await new Promise<void>((resolve) => {
    if (history === null) resolve();
    else history.end(resolve);
  });
  say({
    ...{ verified, lost, wrong, counts, totalMs: Math.round(totalMs) },
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
  say({ atMs: Math.round(nowMs()), ...counts, gaps, failures });
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
