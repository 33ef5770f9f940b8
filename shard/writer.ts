import { mapVersion, version, type Epoch, type Version } from "../core/ids.ts";
import { expiredPerTurnMax, replyValueBytesMax } from "../core/limits.ts";
import { isAfter, type Condition, type Expiry, type Request, type Result } from "../core/request.ts";
import { slotOf } from "../core/slot.ts";
import type { Holding } from "./holding.ts";
import type { Journal } from "./journal.ts";
import { evict, makeRoom, unlimited, type Usage } from "./memory.ts";
import { historyUpTo, historyWith } from "./replication/history.ts";
import { needsOwner, refusal, type Refusal } from "./route.ts";
import { isThere, live, remove, removeExpired, write, type Turn } from "./turn.ts";
import { touchAll, type Watches } from "./watches.ts";

/**
 * Orders the writes of one shard in one epoch: decides each request against the newest state, makes an absolute record of
 * it, and lets no answer go before everything it rests on is durable. `To` is whoever waits for the answer.
 *
 * `step` changes the writer in place; nothing else may.
 */
export type Writer<To> = {
  readonly holding: Holding;
  readonly epoch: Epoch;
  /** Where its records go; whoever drives the writer takes them from there. */
  readonly journal: Journal;
  /** The volume has no room. */
  isFull: boolean;
  /** Everything up to here will survive as the mode promises, here and wherever else it has to. It goes back when a reader joins. */
  durable: Version;
  /** Answers that may not go yet, in the order of `through`. */
  waiting: Waiting<To>[];
  readonly gate: Gate;
  /** Who wants to hear of writes; ends with the epoch. */
  readonly watches: Watches;
  readonly usage: Usage;
};
/** What an answer needs besides: looked at whenever one is about to go. */
export type Gate = {
  /** How long the owner may answer still, and take writes: negative since it may not. Milliseconds. */
  readonly leaseLeftMs: () => number;
  /** How old at most what it holds is. Milliseconds. */
  readonly ageMs: () => number;
  /** Fewer readers are in sync than writes need. */
  readonly isShort: () => boolean;
};
type Waiting<To> = {
  readonly through: Version;
  readonly answer: Answer<To>;
  /** It is only right as long as nobody else owns the shard. */
  readonly needsLease: boolean;
  readonly wrote: boolean;
};
type Answer<To> =
  | { readonly kind: "reply"; readonly to: To; readonly results: readonly Result[] }
  | { readonly kind: "release"; readonly batch: Batch; readonly isDurable: boolean };

/** Commands that are carried out together in one turn, and whose answers go out together. */
export type Batch = {
  /** Carries them out, as far as `turn` allows, and makes their answers. */
  readonly run: (turn: Turn) => void;
  /** Lets the answers go; where the epoch ended before that, nobody knows whether what they say is so. */
  readonly release: (isDurable: boolean) => void;
};

export type WriterEvent<To> =
  /** One frame. `refused` holds a refusal at the index of each request that is not to be carried out. */
  | {
      readonly kind: "requests";
      readonly to: To;
      readonly requests: readonly Request[];
      readonly refused: readonly (Refusal | null)[];
      readonly wallMs: number;
      /** How old an eventual read's answer may be that does not say so itself. Milliseconds. */
      readonly lagMsMax?: number;
    }
  | { readonly kind: "execute"; readonly batch: Batch; readonly wallMs: number }
  /** Time went on: keys may have expired. */
  | { readonly kind: "expire"; readonly wallMs: number }
  /** More is held than may be: keys are evicted. */
  | { readonly kind: "evict"; readonly wallMs: number }
  /** What `durable` is now, which may be less than before; the gate may stand otherwise than before as well. */
  | { readonly kind: "durable"; readonly through: Version }
  /** Too few have been in sync for longer than writes wait for that. */
  | { readonly kind: "short" }
  /** The volume is full, or has room again. */
  | { readonly kind: "room"; readonly isThere: boolean }
  /** A newer epoch has another owner. */
  | { readonly kind: "stepDown" };

export type WriterEffect<To> =
  /** The journal holds records; the store has them already. Answer with `durable` once they are. */
  { readonly kind: "written" } | Answer<To>;

/**
 * Activates an epoch on what this process holds: all of it, or nothing at all where it never got a complete copy. Its first
 * record says that it begins, so that whoever has that record knows what came before.
 */
export const activate = <To>(
  holding: Holding,
  epoch: Epoch,
  around: {
    readonly journal: Journal;
    readonly isFull: boolean;
    readonly usage?: Usage;
    readonly gate?: Gate;
  },
): Writer<To> => {
  const { journal, isFull, usage = unlimited(), gate = alwaysOpen } = around;
  if (!holding.complete) {
    holding.store.clear();
    holding.version = version(0);
    holding.bytes = 0;
    holding.history = [];
    holding.mapVersion = mapVersion(1);
  }
  holding.history = historyWith(historyUpTo(holding.history, holding.epoch), epoch, holding.version);
  const durable = holding.version;
  holding.epoch = epoch;
  holding.version = version(holding.version + 1);
  holding.bytes += journal.begin(epoch, holding.version);
  holding.complete = true;
  return { holding, epoch, journal, isFull, durable, waiting: [], gate, watches: new Map(), usage };
};

/** Of an owner that nobody can follow. */
const alwaysOpen: Gate = { leaseLeftMs: () => Infinity, ageMs: () => 0, isShort: () => false };

export const step = <To>(writer: Writer<To>, event: WriterEvent<To>): readonly WriterEffect<To>[] => {
  switch (event.kind) {
    case "requests":
      return takeRequests(writer, event);
    case "execute":
      return execute(writer, event);
    case "expire":
      return expire(writer, event.wallMs);
    case "evict":
      return evictSome(writer, event.wallMs);
    case "durable":
      writer.durable = event.through;
      return release(writer);
    case "short":
      return cutWrites(writer);
    case "room":
      return hearOfRoom(writer, event.isThere);
    case "stepDown": {
      const cut = writer.waiting;
      writer.waiting = [];
      touchAll(writer.watches);
      return cut.map(({ answer }) => unknown(answer));
    }
  }
};

const takeRequests = <To>(
  writer: Writer<To>,
  { to, requests, refused, wallMs, lagMsMax = 0 }: Extract<WriterEvent<To>, { kind: "requests" }>,
): readonly WriterEffect<To>[] => {
  const before = writer.holding.version;
  const lagMs = writer.gate.ageMs();
  const turn: FrameTurn = {
    ...turnOf(writer, wallMs),
    ...{ valueBytesLeft: replyValueBytesMax, lagMs, lagMsMax },
  };
  const results = requests.map((request, i) => refused[i] ?? answer(turn, request));
  const needsLease = requests.some((request, i) => (refused[i] ?? null) === null && needsOwner(request));
  return settle(writer, before, { answer: { kind: "reply", to, results }, needsLease });
};

const execute = <To>(
  writer: Writer<To>,
  { batch, wallMs }: Extract<WriterEvent<To>, { kind: "execute" }>,
): readonly WriterEffect<To>[] => {
  const before = writer.holding.version;
  // Without one, nothing that needs it is carried out, and who is told so must hear it.
  const needsLease = writer.gate.leaseLeftMs() > 0;
  batch.run(turnOf(writer, wallMs));
  return settle(writer, before, { answer: { kind: "release", batch, isDurable: true }, needsLease });
};

const turnOf = <To>(writer: Writer<To>, wallMs: number): Turn => {
  const { holding, epoch, journal, watches, isFull, usage, gate } = writer;
  return { holding, epoch, wallMs, journal, watches, isFull, isShort: gate.isShort(), usage, evicted: 0 };
};

const settle = <To>(
  writer: Writer<To>,
  before: Version,
  { answer, needsLease }: Pick<Waiting<To>, "answer" | "needsLease">,
): readonly WriterEffect<To>[] => {
  const through = writer.holding.version;
  const wrote = through !== before;
  const waiting = { through, answer, needsLease, wrote };
  // Reads wait as well: what they saw must not be lost after they were answered. Not where the volume is full, though:
  // what waits for room there was not acknowledged to anybody, and reads go on.
  const isDurable = through <= writer.durable || (writer.isFull && !wrote);
  if (
    isDurable &&
    mayGo(writer, waiting) &&
    (writer.waiting.length === 0 || !isBehind(writer.waiting, answer))
  )
    return [answer];
  writer.waiting.push(waiting);
  return wrote ? [{ kind: "written" }] : [];
};

const mayGo = <To>({ gate }: Writer<To>, { needsLease, wrote }: Waiting<To>): boolean =>
  (!needsLease || gate.leaseLeftMs() > 0) && (!wrote || !gate.isShort());

/** Whether an answer of the same client waits: they go in order. */
const isBehind = <To>(waiting: readonly Waiting<To>[], answer: Answer<To>): boolean =>
  answer.kind === "release" &&
  waiting.some((one) => one.answer.kind === "release" && one.answer.batch === answer.batch);

/** Lets the answers go that may. */
const release = <To>(writer: Writer<To>): readonly WriterEffect<To>[] => {
  const { waiting, durable, gate } = writer;
  if (waiting.length === 0) return [];
  const end = waiting.findIndex(({ through }) => through > durable);
  const count = end === -1 ? waiting.length : end;
  if (count === 0) return [];
  if (gate.leaseLeftMs() > 0 && !gate.isShort()) return waiting.splice(0, count).map(({ answer }) => answer);
  const ready: Answer<To>[] = [];
  const held: Waiting<To>[] = [];
  for (const one of waiting.splice(0, count)) {
    if (mayGo(writer, one) && !isBehind(held, one.answer)) ready.push(one.answer);
    else held.push(one);
  }
  waiting.unshift(...held);
  return ready;
};

/** Writes that wait end: each is in the log, and may or may not come to be acknowledged by enough. */
const cutWrites = <To>(writer: Writer<To>): readonly WriterEffect<To>[] => {
  const cut = writer.waiting.filter(({ wrote }) => wrote);
  writer.waiting = writer.waiting.filter(({ wrote }) => !wrote);
  return [...cut.map(({ answer }) => unknown(answer)), ...release(writer)];
};

const expire = <To>(writer: Writer<To>, wallMs: number): readonly WriterEffect<To>[] => {
  // Deletes take room in the log as well; they wait.
  if (writer.isFull) return [];
  const turn = turnOf(writer, wallMs);
  const { store, slots } = writer.holding;
  // Keys on their way here expire where they come from; frozen ones after they have arrived. They stand before others at times.
  const keys = store
    .expired(wallMs, expiredPerTurnMax * 4)
    .filter((key) => slots[slotOf(key)] === 1)
    .slice(0, expiredPerTurnMax);
  for (const key of keys) removeExpired(turn, key);
  return keys.length === 0 ? [] : [{ kind: "written" }];
};

/** What waits for a full volume is cut off: it may or may not become durable. */
const hearOfRoom = <To>(writer: Writer<To>, isThere: boolean): readonly WriterEffect<To>[] => {
  writer.isFull = !isThere;
  if (isThere) return [];
  const cut = writer.waiting;
  writer.waiting = [];
  return cut.map(({ answer }) => unknown(answer));
};

const evictSome = <To>(writer: Writer<To>, wallMs: number): readonly WriterEffect<To>[] => {
  if (writer.isFull) return [];
  const before = writer.holding.version;
  evict(turnOf(writer, wallMs));
  return writer.holding.version === before ? [] : [{ kind: "written" }];
};

const unknown = <To>(answer: Answer<To>): Answer<To> => {
  switch (answer.kind) {
    case "reply":
      return { ...answer, results: answer.results.map(unknownOutcome) };
    case "release":
      return { ...answer, isDurable: false };
  }
};

const unknownOutcome = (): Result =>
  refusal(
    "outcome-unknown",
    "Cannot say whether it was applied: the owner changed, its volume was full, or too few were in sync, before it could be acknowledged; read first",
  );

/** The turn of a frame, whose reply is a frame too. */
type FrameTurn = Turn & {
  valueBytesLeft: number;
  /** How old at most what is held is, and what an eventual read bears. Milliseconds. */
  readonly lagMs: number;
  readonly lagMsMax: number;
};

const answer = (turn: FrameTurn, request: Request): Result => {
  if (turn.isFull && request.kind !== "get") return volumeFull();
  if (turn.isShort && request.kind !== "get") return notEnough();
  switch (request.kind) {
    case "get":
      return get(turn, request);
    case "set":
      return makeRoom(turn) ? set(turn, request) : outOfMemory(turn);
    case "delete": {
      const existed = remove(turn, request.key);
      return { kind: "deleted", existed, ...placeOf(turn) };
    }
    case "increment":
      return makeRoom(turn) ? increment(turn, request) : outOfMemory(turn);
  }
};

const get = (turn: FrameTurn, { key, read }: Extract<Request, { kind: "get" }>): Result => {
  const { holding, epoch } = turn;
  if (read.kind === "session" && isAfter(read, { epoch, version: holding.version })) {
    return refusal(
      "behind",
      `Cannot read at (${read.epoch}, ${read.version}): this owner stands at (${epoch}, ${holding.version}); fetch the topology again`,
    );
  }
  const { lagMs } = turn;
  if (read.kind === "eventual" && lagMs > (read.lagMsMax ?? turn.lagMsMax))
    return refusal(
      "lagging",
      `Cannot read here: for ${Math.round(lagMs)} ms this owner has had no lease, or has been handing over; ask another`,
    );
  const stored = live(turn, key);
  if (!takeRoom(turn, stored?.value.length ?? 0)) return repliesTooLarge();
  return { kind: "value", value: stored?.value ?? null, lagMs: Math.round(lagMs), ...placeOf(turn) };
};

const outOfMemory = ({ usage, holding }: Turn): Refusal => {
  usage.refusedWrites++;
  return refusal(
    "out-of-memory",
    `Cannot write: this shard holds ${holding.store.usedBytes()} bytes, the maximum is ${usage.maxBytes}; delete keys, or raise memory.max of the ShardCluster`,
  );
};

/** Whether a value still fits into its frame of replies; a single one always does. */
export const takeRoom = (room: { valueBytesLeft: number }, bytes: number): boolean => {
  const isFirst = room.valueBytesLeft === replyValueBytesMax;
  room.valueBytesLeft -= bytes;
  return bytes === 0 || isFirst || room.valueBytesLeft >= 0;
};

/** The answer to a get whose value does not fit into the frame of replies any more. */
export const repliesTooLarge = (): Refusal =>
  refusal(
    "too-large",
    `Cannot answer: the values asked for in one frame have more than ${replyValueBytesMax} bytes`,
  );

const notEnough = (): Refusal =>
  refusal(
    "not-enough-in-sync",
    "Cannot write: fewer readers are in sync than durability.minInSync of the ShardCluster wants; retry in a moment",
  );

const volumeFull = (): Refusal =>
  refusal("disk-full", "Cannot write: the owner's volume is full; make it larger, or delete what fills it");

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

/** No integer of 53 bits is longer; leading zeros are not accepted. */
const integerBytesMax = 20;
const asciiOf = (bytes: Uint8Array): string | undefined =>
  bytes.length > integerBytesMax ? undefined : String.fromCharCode(...bytes);

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && Buffer.compare(a, b) === 0;
