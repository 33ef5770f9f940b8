import { createWriteStream, type WriteStream } from "node:fs";
import { EdisError, type Client, type Consistency, type Session } from "../../client/index.ts";
import { errorCodes } from "../../core/errors.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../support/random.ts";

/**
 * A steady load whose every outcome is known: each lane writes growing numbers to one key, one at a time, and reads of all
 * three levels look at what is there. A lane whose write may or may not have been carried out goes on with another key.
 */
export type Load = {
  readonly counts: Counts;
  readonly violations: readonly string[];
  /** Stops, waits for what is under way, and reads every key from its owner. */
  readonly finish: () => Promise<Verified>;
};
export type Counts = {
  acknowledged: number;
  unknown: number;
  refused: number;
  readonly reads: Record<Consistency, number>;
  readFailures: number;
  /** Calls that were due while the lane still waited for the one before. */
  late: number;
  /** The longest time between two acknowledged writes, of all lanes together. Milliseconds. */
  longestGapMs: number;
};
export type Verified = { readonly keys: number; readonly lost: readonly string[] };

export type LoadOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly lanes: number;
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  /** Where every operation is written down, a line of JSON each; empty: nowhere. */
  readonly history: string;
};

/** What is known of one key: the last number acknowledged, the last sent, and the greatest that its session has seen. */
type Key = { readonly name: string; acked: number; sent: number; seen: number; last: number };
type Lane = { readonly id: number; readonly session: Session; keys: Key[]; busy: boolean };
type State = LoadOptions & {
  readonly list: readonly Lane[];
  readonly counts: Counts;
  readonly violations: string[];
  readonly file: WriteStream | null;
  underway: number;
  ackedMs: number;
};

const tickMs = 10;
const levels: readonly Consistency[] = ["linearizable", "session", "eventual"];
const violationsKept = 100;

export const startLoad = (options: LoadOptions): Load => {
  const { client, clock, lanes, history, writesPerSecond, readsPerSecond } = options;
  const counts: Counts = {
    ...{ acknowledged: 0, unknown: 0, refused: 0, readFailures: 0, late: 0, longestGapMs: 0 },
    reads: { linearizable: 0, session: 0, eventual: 0 },
  };
  const list = Array.from({ length: lanes }, (_, id): Lane => ({
    ...{ id, session: client.session(), busy: false },
    keys: [newKey(id, 0)],
  }));
  const file = history === "" ? null : createWriteStream(history);
  const state: State = {
    ...options,
    ...{ list, counts, violations: [], file, underway: 0, ackedMs: clock.nowMs() },
  };
  let turn = 0;
  let writes = 0;
  let reads = 0;
  const startMs = clock.nowMs();
  const cancel = clock.every(tickMs, () => {
    const seconds = (clock.nowMs() - startMs) / 1000;
    for (; writes < seconds * writesPerSecond; writes++) {
      const lane = list[turn++ % list.length];
      if (lane === undefined || lane.busy) counts.late++;
      else void write(state, lane);
    }
    for (; reads < seconds * readsPerSecond; reads++) void read(state, options.random.pick(list), reads);
  });
  return {
    counts,
    violations: state.violations,
    finish: async () => {
      cancel();
      while (state.underway > 0) await clock.sleep(tickMs);
      const verified = await verify(state);
      await new Promise<void>((resolve) => {
        if (file === null) resolve();
        else file.end(resolve);
      });
      return verified;
    },
  };
};

const newKey = (lane: number, n: number): Key => ({
  name: `lane:${lane}:${n}`,
  ...{ acked: 0, sent: 0, seen: 0, last: 0 },
});

const write = async (state: State, lane: Lane): Promise<void> => {
  const { clock, counts } = state;
  const key = keyOf(lane);
  const value = ++key.sent;
  lane.busy = true;
  state.underway++;
  const beganMs = clock.nowMs();
  const operation = { op: "set", key: key.name, value: String(value) };
  try {
    await lane.session.set(key.name, String(value));
    key.acked = value;
    key.seen = Math.max(key.seen, value);
    counts.acknowledged++;
    counts.longestGapMs = Math.max(counts.longestGapMs, clock.nowMs() - state.ackedMs);
    state.ackedMs = clock.nowMs();
    note(state, beganMs, { process: lane.id, ...operation, outcome: "ok" });
  } catch (error) {
    const isRefused = error instanceof EdisError && errorCodes[error.code] !== "unknown";
    if (isRefused) counts.refused++;
    else {
      counts.unknown++;
      lane.keys.push(newKey(lane.id, lane.keys.length));
    }
    note(state, beganMs, { process: lane.id, ...operation, outcome: isRefused ? "fail" : "unknown" });
  }
  lane.busy = false;
  state.underway--;
};

const keyOf = ({ keys, id }: Lane): Key => {
  const last = keys.at(-1);
  if (last === undefined) throw new Error(`lane ${id} has no key`);
  return last;
};

const read = async (state: State, lane: Lane, n: number): Promise<void> => {
  const { clock, counts } = state;
  const level = levels[n % levels.length] ?? "eventual";
  const key = keyOf(lane);
  const { acked, seen } = key;
  state.underway++;
  const beganMs = clock.nowMs();
  const operation = { process: lane.id, op: "get", key: key.name, level };
  try {
    const text = await lane.session.get(key.name, { consistency: level });
    const found = Number(text ?? 0);
    counts.reads[level]++;
    judge(state, key, { level, found, acked, seen });
    if (level !== "eventual") key.seen = Math.max(key.seen, found);
    note(state, beganMs, { ...operation, result: text === null ? null : String(found), outcome: "ok" });
  } catch {
    counts.readFailures++;
    note(state, beganMs, { ...operation, outcome: "fail" });
  }
  state.underway--;
};

const judge = (
  { violations }: State,
  key: Key,
  read: {
    readonly level: Consistency;
    readonly found: number;
    readonly acked: number;
    readonly seen: number;
  },
): void => {
  const { level, found, acked, seen } = read;
  const wrong =
    found > key.sent
      ? `nobody wrote more than ${key.sent}`
      : level === "linearizable" && found < acked
        ? `${acked} was acknowledged before`
        : level === "session" && found < Math.max(acked, seen)
          ? `its session had seen ${Math.max(acked, seen)}`
          : null;
  if (wrong !== null && violations.length < violationsKept)
    violations.push(`${level} read of ${key.name} gave ${found}, though ${wrong}`);
};

const note = (
  { file, clock }: State,
  beganMs: number,
  operation: Readonly<Record<string, unknown>>,
): void => {
  if (file === null) return;
  const times = { invokeNs: Math.round(beganMs * 1e6), completeNs: Math.round(clock.nowMs() * 1e6) };
  file.write(`${JSON.stringify({ ...operation, ...times })}\n`);
};

/** Every key holds its last acknowledged number, or a later one whose answer was lost. */
const verify = async (state: State): Promise<Verified> => {
  const { client, list, clock } = state;
  const lost: string[] = [];
  let keys = 0;
  for (const { keys: all, id } of list) {
    for (const { name, acked, sent } of all) {
      const beganMs = clock.nowMs();
      const text = await client.get(name, { consistency: "linearizable" });
      const found = Number(text ?? 0);
      note(state, beganMs, {
        ...{ process: id, op: "get", key: name, level: "linearizable" },
        ...{ result: text === null ? null : String(found), outcome: "ok" },
      });
      keys++;
      if (found < acked || found > sent)
        lost.push(`${name}: acknowledged ${acked}, sent ${sent}, there is ${found}`);
    }
  }
  return { keys, lost };
};
