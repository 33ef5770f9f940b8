import { version, type Epoch, type Version } from "../core/ids.ts";
import { expiredPerTurnMax, replyValueBytesMax } from "../core/limits.ts";
import type { Operation, Record } from "../core/record.ts";
import type { Condition, Expiry, Request, Result } from "../core/request.ts";
import type { Holding } from "./holding.ts";
import { historyUpTo, historyWith } from "./replication/history.ts";
import { refusal, type Refusal } from "./route.ts";
import { apply } from "./store/store.ts";

/**
 * Orders the writes of one shard in one epoch: decides each request against the newest state, makes an absolute record of
 * it, and lets no answer go before everything it rests on is durable. `To` is whoever waits for the answer.
 *
 * `step` changes the writer in place; nothing else may.
 */
export type Writer<To> = {
  readonly holding: Holding;
  readonly epoch: Epoch;
  /** Everything up to here will survive as the mode promises. */
  durable: Version;
  /** Answers that rest on what is not durable yet, in the order of `through`. */
  waiting: Waiting<To>[];
};
type Waiting<To> = { readonly to: To; readonly through: Version; readonly results: readonly Result[] };

export type WriterEvent<To> =
  /** One frame. `refused` holds a refusal at the index of each request that is not to be carried out. */
  | {
      readonly kind: "requests";
      readonly to: To;
      readonly requests: readonly Request[];
      readonly refused: readonly (Refusal | null)[];
      readonly wallMs: number;
    }
  /** Time went on: keys may have expired. */
  | { readonly kind: "expire"; readonly wallMs: number }
  | { readonly kind: "durable"; readonly through: Version }
  /** A newer epoch has another owner. */
  | { readonly kind: "stepDown" };

export type WriterEffect<To> =
  /** In order; the store has them already. Answer with `durable` once they are. */
  | { readonly kind: "append"; readonly records: readonly Record[] }
  | { readonly kind: "reply"; readonly to: To; readonly results: readonly Result[] };

/** Activates an epoch on what this process holds: all of it, or nothing at all where it never got a complete copy. */
export const activate = <To>(holding: Holding, epoch: Epoch): Writer<To> => {
  if (!holding.complete) {
    holding.store.clear();
    holding.version = version(0);
    holding.bytes = 0;
    holding.history = [];
  }
  holding.history = historyWith(historyUpTo(holding.history, holding.epoch), epoch, holding.version);
  holding.epoch = epoch;
  holding.complete = true;
  return { holding, epoch, durable: holding.version, waiting: [] };
};

export const step = <To>(writer: Writer<To>, event: WriterEvent<To>): readonly WriterEffect<To>[] => {
  switch (event.kind) {
    case "requests":
      return takeRequests(writer, event);
    case "expire":
      return expire(writer, event.wallMs);
    case "durable":
      return acknowledge(writer, event.through);
    case "stepDown": {
      const cut = writer.waiting;
      writer.waiting = [];
      return cut.map(({ to, results }) => ({ kind: "reply", to, results: results.map(unknownOutcome) }));
    }
  }
};

const takeRequests = <To>(
  writer: Writer<To>,
  { to, requests, refused, wallMs }: Extract<WriterEvent<To>, { kind: "requests" }>,
): readonly WriterEffect<To>[] => {
  const turn: Turn = {
    holding: writer.holding,
    epoch: writer.epoch,
    wallMs,
    records: [],
    valueBytesLeft: replyValueBytesMax,
  };
  const results = requests.map((request, i) => refused[i] ?? answer(turn, request));
  const through = writer.holding.version;
  const reply: Waiting<To> = { to, through, results };
  // Reads wait as well: what they saw must not be lost after they were answered.
  if (through <= writer.durable) return [{ kind: "reply", to, results }];
  writer.waiting.push(reply);
  return turn.records.length === 0 ? [] : [{ kind: "append", records: turn.records }];
};

const acknowledge = <To>(writer: Writer<To>, through: Version): readonly WriterEffect<To>[] => {
  writer.durable = through;
  const count = writer.waiting.findIndex((waiting) => waiting.through > through);
  const ready = writer.waiting.splice(0, count === -1 ? writer.waiting.length : count);
  return ready.map(({ to, results }) => ({ kind: "reply", to, results }));
};

const expire = <To>({ holding, epoch }: Writer<To>, wallMs: number): readonly WriterEffect<To>[] => {
  const turn: Turn = { holding, epoch, wallMs, records: [], valueBytesLeft: 0 };
  for (const key of holding.store.expired(wallMs, expiredPerTurnMax)) write(turn, { kind: "delete", key });
  return turn.records.length === 0 ? [] : [{ kind: "append", records: turn.records }];
};

const unknownOutcome = (): Result =>
  refusal(
    "outcome-unknown",
    "Cannot say whether it was applied: the owner changed before it was durable; read first",
  );

/** What one event changes. */
type Turn = {
  readonly holding: Holding;
  readonly epoch: Epoch;
  readonly wallMs: number;
  readonly records: Record[];
  valueBytesLeft: number;
};

const write = (turn: Turn, operation: Operation): void => {
  const { holding, epoch, records } = turn;
  holding.version = version(holding.version + 1);
  apply(holding.store, operation);
  records.push({ epoch, version: holding.version, operation });
};

const answer = (turn: Turn, request: Request): Result => {
  switch (request.kind) {
    case "get":
      return get(turn, request);
    case "set":
      return set(turn, request);
    case "delete": {
      const existed = isThere(turn, request.key);
      // One that expired is still in the store; its record is written either way, so that it is gone.
      if (turn.holding.store.expiryOf(request.key) !== undefined)
        write(turn, { kind: "delete", key: request.key });
      return { kind: "deleted", existed, ...placeOf(turn) };
    }
    case "increment":
      return increment(turn, request);
  }
};

const get = (turn: Turn, { key, read }: Extract<Request, { kind: "get" }>): Result => {
  const { holding, epoch } = turn;
  if (read.kind === "session" && isAfter(read, { epoch, version: holding.version })) {
    return refusal(
      "behind",
      `Cannot read at (${read.epoch}, ${read.version}): this owner stands at (${epoch}, ${holding.version}); fetch the topology again`,
    );
  }
  const stored = live(turn, key);
  turn.valueBytesLeft -= stored?.value.length ?? 0;
  if (turn.valueBytesLeft < 0) return repliesTooLarge();
  // A copy: the answer goes out after the other requests of its frame, which may change the store.
  return { kind: "value", value: stored?.value.slice() ?? null, lagMs: 0, ...placeOf(turn) };
};

/** The answer to a get whose value does not fit into the frame of replies any more. */
export const repliesTooLarge = (): Refusal =>
  refusal(
    "too-large",
    `Cannot answer: the values asked for in one frame have more than ${replyValueBytesMax} bytes`,
  );

/** Whether place `a` lies behind place `b`: in a later epoch, or further on in the same one. */
export const isAfter = (
  a: { readonly epoch: Epoch; readonly version: Version },
  b: { readonly epoch: Epoch; readonly version: Version },
): boolean => a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version);

const set = (turn: Turn, request: Extract<Request, { kind: "set" }>): Result => {
  const { key, value, condition, expiry } = request;
  if (!holds(turn, key, condition)) return { kind: "set", applied: false, ...placeOf(turn) };
  const expiresAtMs = instantOf(turn, key, expiry);
  if (expiresAtMs !== null && !Number.isSafeInteger(expiresAtMs)) {
    return refusal("out-of-range", "Cannot set: the expiry lies beyond 53 bits of milliseconds");
  }
  write(turn, { kind: "set", key, value, expiresAtMs });
  return { kind: "set", applied: true, ...placeOf(turn) };
};

const holds = (turn: Turn, key: Uint8Array, condition: Condition): boolean => {
  switch (condition.kind) {
    case "always":
      return true;
    case "ifAbsent":
      return !isThere(turn, key);
    case "ifPresent":
      return isThere(turn, key);
    case "ifEqual": {
      const stored = live(turn, key);
      return stored !== undefined && sameBytes(stored.value, condition.value);
    }
  }
};

const instantOf = (turn: Turn, key: Uint8Array, expiry: Expiry): number | null => {
  switch (expiry.kind) {
    case "never":
      return null;
    case "in":
      return turn.wallMs + expiry.ms;
    case "at":
      return expiry.ms;
    case "keep":
      return isThere(turn, key) ? (turn.holding.store.expiryOf(key) ?? null) : null;
  }
};

const integerText = /^(?:0|-?[1-9][0-9]*)$/;

const increment = (turn: Turn, { key, by }: Extract<Request, { kind: "increment" }>): Result => {
  const stored = live(turn, key);
  const text = stored === undefined ? "0" : asciiOf(stored.value);
  if (text === undefined || !integerText.test(text)) {
    return refusal("not-an-integer", "Cannot increment: the value is not a decimal integer");
  }
  const before = Number(text);
  const value = before + by;
  if (!Number.isSafeInteger(before) || !Number.isSafeInteger(value)) {
    return refusal("out-of-range", "Cannot increment: the value or the sum needs more than 53 bits");
  }
  const expiresAtMs = stored?.expiresAtMs ?? null;
  write(turn, { kind: "set", key, value: new TextEncoder().encode(String(value)), expiresAtMs });
  return { kind: "integer", value, ...placeOf(turn) };
};

const placeOf = ({ holding, epoch }: Turn): { readonly epoch: Epoch; readonly version: Version } => ({
  epoch,
  version: holding.version,
});

const live = ({ holding, wallMs }: Turn, key: Uint8Array): ReturnType<Holding["store"]["get"]> => {
  const stored = holding.store.get(key);
  return stored === undefined || hasExpired(stored.expiresAtMs, wallMs) ? undefined : stored;
};

const isThere = ({ holding, wallMs }: Turn, key: Uint8Array): boolean => {
  const expiresAtMs = holding.store.expiryOf(key);
  return expiresAtMs !== undefined && !hasExpired(expiresAtMs, wallMs);
};

/** A key is gone from the instant at which it expires, whether or not its record has been removed. */
export const hasExpired = (expiresAtMs: number | null, wallMs: number): boolean =>
  expiresAtMs !== null && expiresAtMs <= wallMs;

/** No integer of 53 bits is longer; leading zeros are not accepted. */
const integerBytesMax = 20;
const asciiOf = (bytes: Uint8Array): string | undefined =>
  bytes.length > integerBytesMax ? undefined : String.fromCharCode(...bytes);

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);
