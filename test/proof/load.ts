import { createWriteStream, type WriteStream } from "node:fs";
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { EdisError, type Client, type Session } from "../../client/index.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../support/random.ts";
import { lineOf, type Operation } from "../sim/checker/history.ts";
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
  type Level,
} from "./ledger.ts";
import { asked, carryOut, isRefusal } from "./operations.ts";

/**
 * A steady load whose every outcome is known. Each lane has some keys of one slot, writes growing numbers to them, one write at
 * a time, and reads them in between; beside it another session reads the same keys. A key whose write may or may not have been
 * carried out is left as it is, and so is one after a number of writes; at the end they all are read from their owners.
 */
export type Load = {
  readonly counts: Counts;
  readonly latency: RecordableHistogram;
  readonly violations: readonly string[];
  /** How long it has run by now, without the time that this process stood still. */
  readonly ranMs: () => number;
  /** Stops, waits for what is under way, and reads every key from its owner. */
  readonly finish: () => Promise<Verified>;
};
export type Counts = {
  acknowledged: number;
  /** Whether they were carried out is not known. */
  unknown: number;
  /** They certainly were not, by the code of the error. */
  readonly refused: Record<string, number>;
  readonly reads: Record<Level, number>;
  readonly failedReads: Record<string, number>;
  /** The longest time without any acknowledged write, and the longest that one write waited. Milliseconds. */
  gapMsMax: number;
  waitMsMax: number;
  /** How long this process itself stood still: a machine that is busy with something else, or whoever stopped it. Milliseconds. */
  stoodMs: number;
};
export type Verified = { readonly keys: number; readonly lost: readonly string[] };

export type LoadOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly lanes: number;
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  readonly lagMsMax: number;
  /** Where every operation is written down, a line of JSON each; empty: nowhere. */
  readonly history: string;
};

/** One at a time. */
type Caller = {
  readonly session: Session;
  /** By which the history names it: another one after an outcome that is not known. */
  process: number;
  /** The greatest number of each of the lane's keys that its session has written or read. */
  readonly seen: number[];
};
type Lane = {
  readonly id: number;
  readonly writer: Caller;
  readonly watcher: Caller;
  readonly keys: Key[];
  turn: number;
};
type State = LoadOptions & {
  readonly counts: Counts;
  readonly latency: RecordableHistogram;
  readonly violations: string[];
  /** Those whose writer or watcher has nothing under way, the one that has waited longest first. */
  readonly writers: Lane[];
  readonly watchers: Lane[];
  /** Keys that nobody writes any more. */
  readonly left: Key[];
  readonly file: WriteStream | null;
  underway: number;
  processes: number;
  keys: number;
  ackedMs: number;
};

const tickMs = 5;
const keysPerLane = 12;
/** Then a key is left as it is: so that there are more and more that should stay. */
const writesPerKey = 100;
const violationsKept = 100;
/** What was not written while nobody took it is made up for, at this many times the rate. */
const catchUp = 2;
const verifiedAtOnce = 500;
/** Of a read at the end, each for as long as the client tries. */
const triesMax = 5;
/** Between two ticks. Nothing was asked meanwhile, and nothing is made up for. */
const stoodMsMin = 500;

export const startLoad = (options: LoadOptions): Load => {
  const { clock, lanes, history, writesPerSecond, readsPerSecond } = options;
  const counts: Counts = {
    ...{ acknowledged: 0, unknown: 0, refused: {}, failedReads: {}, gapMsMax: 0, waitMsMax: 0, stoodMs: 0 },
    reads: { linearizable: 0, session: 0, eventual: 0 },
  };
  const file = history === "" ? null : createWriteStream(history);
  const state: State = {
    ...{
      ...options,
      counts,
      latency: createHistogram(),
      violations: [],
      writers: [],
      watchers: [],
      left: [],
    },
    ...{ file, underway: 0, processes: 0, keys: 0, ackedMs: clock.nowMs() },
  };
  for (let id = 0; id < lanes; id++) {
    const lane = newLane(state, id);
    state.writers.push(lane);
    state.watchers.push(lane);
  }
  const startMs = clock.nowMs();
  let lookedMs = startMs;
  const ranMs = (): number => {
    const nowMs = clock.nowMs();
    if (nowMs - lookedMs > stoodMsMin) counts.stoodMs += nowMs - lookedMs;
    lookedMs = nowMs;
    return nowMs - startMs - counts.stoodMs;
  };
  const isWriteDue = pacer(ranMs, writesPerSecond);
  const isReadDue = pacer(ranMs, readsPerSecond);
  let reads = 0;
  const cancel = clock.every(tickMs, () => {
    isWriteDue(() => start(state, state.writers, (lane) => write(state, lane)));
    isReadDue(() => {
      const level = levels[reads++ % levels.length] ?? "eventual";
      return reads % 2 === 0
        ? start(state, state.writers, (lane) => read(state, lane, { caller: lane.writer, level }))
        : start(state, state.watchers, (lane) => read(state, lane, { caller: lane.watcher, level }));
    });
  });
  return {
    ...{ counts, latency: state.latency, violations: state.violations, ranMs },
    finish: async () => {
      cancel();
      while (state.underway > 0) await clock.sleep(tickMs);
      const verified = await verify(state, [
        ...state.left,
        ...[...state.writers].flatMap(({ keys }) => keys),
      ]);
      await new Promise<void>((resolve) => {
        if (file === null) resolve();
        else file.end(resolve);
      });
      return verified;
    },
  };
};

/** Calls what is due by now, as long as it can be done; what could not is done later. */
const pacer = (ranMs: () => number, perSecond: number): ((act: () => boolean) => void) => {
  let done = 0;
  let beforeMs = ranMs();
  return (act) => {
    const nowMs = ranMs();
    const due = Math.floor((nowMs / 1000) * perSecond);
    const most = Math.ceil(((nowMs - beforeMs) / 1000) * perSecond * catchUp);
    beforeMs = nowMs;
    for (let n = 0; n < most && done < due && act(); n++) done++;
  };
};

const newCaller = (state: State): Caller => ({
  ...{ session: state.client.session(), process: state.processes++ },
  seen: new Array<number>(keysPerLane).fill(0),
});

const newLane = (state: State, id: number): Lane => ({
  ...{ id, writer: newCaller(state), watcher: newCaller(state), turn: 0 },
  keys: Array.from({ length: keysPerLane }, (_, i) => laneKey(state, id, i)),
});

const laneKey = (state: State, lane: number, at: number): Key =>
  newKey(`{lane:${lane}}:${state.keys++}`, kinds[at % kinds.length] ?? "plain");

/** Has the lane that has waited longest do something; false where all are at it. */
const start = (state: State, idle: Lane[], work: (lane: Lane) => Promise<void>): boolean => {
  const lane = idle.shift();
  if (lane === undefined) return false;
  state.underway++;
  void work(lane).finally(() => {
    state.underway--;
    idle.push(lane);
  });
  return true;
};

const write = async (state: State, lane: Lane): Promise<void> => {
  const { clock, counts } = state;
  const at = lane.turn++ % keysPerLane;
  const key = lane.keys[at];
  if (key === undefined) throw new Error(`lane ${lane.id} has no key ${at}`);
  const { session, process, seen } = lane.writer;
  const before = key.acked;
  key.sent = before + 1;
  const beganMs = clock.nowMs();
  const noted = { process, ...asked(key, before) };
  try {
    const written = await carryOut(session, key, before);
    const nowMs = clock.nowMs();
    counts.acknowledged++;
    counts.gapMsMax = Math.max(counts.gapMsMax, nowMs - state.ackedMs);
    state.ackedMs = nowMs;
    blame(state, acknowledged(key, written, nowMs));
    seen[at] = Math.max(seen[at] ?? 0, key.acked);
    note(state, beganMs, {
      ...noted,
      ...(key.kind === "plain" ? {} : { result: String(written) }),
      outcome: "ok",
    });
  } catch (error) {
    const isRefused = isRefusal(error);
    if (isRefused) {
      refused(key);
      tally(counts.refused, error);
    } else {
      counts.unknown++;
      key.isClosed = true;
      lane.writer.process = state.processes++;
    }
    note(state, beganMs, { ...noted, outcome: isRefused ? "fail" : "unknown" });
  }
  const tookMs = clock.nowMs() - beganMs;
  state.latency.record(Math.max(1, Math.round(tookMs * 1e6)));
  counts.waitMsMax = Math.max(counts.waitMsMax, tookMs);
  if (!key.isClosed && key.acked < writesPerKey) return;
  state.left.push(key);
  lane.keys[at] = laneKey(state, lane.id, at);
  lane.writer.seen[at] = lane.watcher.seen[at] = 0;
};

type Asked = { readonly caller: Caller; readonly level: Level };

const read = async (state: State, lane: Lane, { caller, level }: Asked): Promise<void> => {
  const { clock, counts, lagMsMax } = state;
  const at = state.random.below(keysPerLane);
  const key = lane.keys[at];
  if (key === undefined) throw new Error(`lane ${lane.id} has no key ${at}`);
  const beganMs = clock.nowMs();
  const least = leastOf(key, { level, seen: caller.seen[at] ?? 0, nowMs: beganMs, lagMsMax });
  const noted = { process: caller.process, op: "get", key: key.name, level } as const;
  try {
    const text = await caller.session.getText(key.name, { consistency: level });
    const found = Number(text ?? 0);
    counts.reads[level]++;
    blame(state, judge(key, { level, found, least }));
    if (lane.keys[at] === key) caller.seen[at] = Math.max(caller.seen[at] ?? 0, found);
    note(state, beganMs, { ...noted, result: text, outcome: "ok" });
  } catch (error) {
    tally(counts.failedReads, error);
    note(state, beganMs, { ...noted, outcome: "fail" });
  }
};

const tally = (by: Record<string, number>, error: unknown): void => {
  const code = error instanceof EdisError ? error.code : String(error);
  by[code] = (by[code] ?? 0) + 1;
};

const blame = ({ violations }: State, wrong: string | null): void => {
  if (wrong !== null && violations.length < violationsKept) violations.push(wrong);
};

const note = (
  { file, clock }: State,
  beganMs: number,
  operation: Omit<Operation, "invokeNs" | "completeNs">,
): void => {
  if (file === null) return;
  const times = { invokeNs: Math.round(beganMs * 1e6), completeNs: Math.round(clock.nowMs() * 1e6) };
  file.write(lineOf({ ...operation, ...times }));
};

/** Reads once more what could not be read: this process may have stood still. */
const again = async <T>(read: () => Promise<T>): Promise<T> => {
  for (let tried = 1; ; tried++) {
    try {
      return await read();
    } catch (error) {
      if (tried === triesMax) throw error;
    }
  }
};

const verify = async (state: State, keys: readonly Key[]): Promise<Verified> => {
  const { client, clock } = state;
  const lost: string[] = [];
  const process = state.processes++;
  const one = async (key: Key): Promise<void> => {
    const beganMs = clock.nowMs();
    const text = await again(() => client.getText(key.name, { consistency: "linearizable" }));
    const noted = { process, op: "get", key: key.name, level: "linearizable" } as const;
    note(state, beganMs, { ...noted, result: text, outcome: "ok" });
    const wrong = lostOf(key, Number(text ?? 0));
    if (wrong !== null) lost.push(wrong);
  };
  for (let from = 0; from < keys.length; from += verifiedAtOnce)
    await Promise.all(keys.slice(from, from + verifiedAtOnce).map(one));
  return { keys: keys.length, lost };
};
