import { epoch, version, type ShardId, type Version } from "../core/ids.ts";
import { replyValueBytesMax, sessionWaitMsMax, waitingReadsMax } from "../core/limits.ts";
import type { Lag, ToReader } from "../core/message.ts";
import type { Record, Streamed } from "../core/record.ts";
import type { Place, ReadLevel, Request, Result } from "../core/request.ts";
import type { Holding } from "./holding.ts";
import { epochAt } from "./replication/history.ts";
import { refusal } from "./route.ts";
import { apply } from "./store/store.ts";
import { hasExpired } from "./turn.ts";
import { isAfter, repliesTooLarge, takeRoom } from "./writer.ts";

/**
 * Follows one shard's stream: takes a full copy where it must, applies each record exactly in order, knows how far it is
 * behind, and answers reads as far as that allows. `To` is whoever waits for an answer.
 *
 * `step` changes the reader in place; nothing else may.
 */
export type Reader<To> = {
  readonly shard: ShardId;
  readonly holding: Holding;
  progress: ReaderProgress;
  /** The newest that the source is known to have. */
  known: { readonly version: Version; readonly bytes: number };
  /** Marks that lie ahead of the holding, oldest first. */
  marks: readonly Mark[];
  /** When the holding last was all there was at its source. Monotonic milliseconds. */
  coveredAtMs: number;
  waiting: Waiting<To>[];
};

/** Where the stream stands. Reads are answered from a complete holding whatever this says; its lag grows. */
export type ReaderProgress =
  | { readonly kind: "disconnected" }
  /** Connected; the source has not said how to go on. */
  | { readonly kind: "probing" }
  | { readonly kind: "copying"; readonly copied: number; readonly total: number }
  | { readonly kind: "streaming" };

type Mark = { readonly version: Version; readonly atMs: number };
/** A session's read that is answered once the holding has reached `place`. */
type Waiting<To> = Asked<To> & { readonly place: Place; readonly untilMs: number };
/** One read of a frame; all reads of the frame share the room for values in its reply. */
type Asked<To> = {
  readonly to: To;
  readonly index: number;
  readonly key: Uint8Array;
  readonly room: { valueBytesLeft: number };
};
/** The time of an event: monotonic for durations, wall clock for expiry. */
export type Now = { readonly nowMs: number; readonly wallMs: number };

export type ReaderEvent<To> =
  | { readonly kind: "connected" }
  | { readonly kind: "disconnected" }
  | { readonly kind: "message"; readonly message: ToReader; readonly now: Now }
  | { readonly kind: "streamed"; readonly items: readonly Streamed[]; readonly now: Now }
  /** One frame of reads that may be served here. An index of `refused` that is not null needs no answer. */
  | {
      readonly kind: "reads";
      readonly to: To;
      readonly requests: readonly Request[];
      readonly refused: readonly (Result | null)[];
      readonly lagMsMax: number;
      readonly now: Now;
    }
  | { readonly kind: "tick"; readonly now: Now }
  | { readonly kind: "stop" };

export type ReaderEffect<To> =
  | { readonly kind: "resync"; readonly place: Place }
  /** Tell the source how far this is, some time soon. */
  | { readonly kind: "ack" }
  /** The stream cannot be gone on with: cut the connection and open another. */
  | { readonly kind: "reconnect"; readonly reason: string }
  /** These were applied; whoever copies from here needs them too. */
  | { readonly kind: "applied"; readonly records: readonly Record[] }
  /** The holding was dropped: whoever copies from here must start again. */
  | { readonly kind: "dropped" }
  /** The result of the request at `index` of the frame; each comes exactly once. */
  | { readonly kind: "result"; readonly to: To; readonly index: number; readonly result: Result };

const marksMax = 64;

/** A reader that goes on from what is held. */
export const createReader = <To>(holding: Holding, nowMs: number): Reader<To> => ({
  shard: holding.shard,
  holding,
  progress: { kind: "disconnected" },
  known: { version: holding.version, bytes: holding.bytes },
  marks: [],
  coveredAtMs: nowMs,
  waiting: [],
});

/** How far behind its source this reader is. */
export const lagOf = <To>({ holding, known, coveredAtMs }: Reader<To>, nowMs: number): Lag => ({
  versions: Math.max(0, known.version - holding.version),
  bytes: Math.max(0, known.bytes - holding.bytes),
  ms: Math.max(0, Math.round(nowMs - coveredAtMs)),
});

export const step = <To>(reader: Reader<To>, event: ReaderEvent<To>): readonly ReaderEffect<To>[] => {
  switch (event.kind) {
    case "connected": {
      reader.progress = { kind: "probing" };
      const { holding } = reader;
      const place = holding.complete ? holding : { epoch: epoch(0), version: version(0) };
      return [{ kind: "resync", place: { epoch: place.epoch, version: place.version } }];
    }
    case "disconnected":
      reader.progress = { kind: "disconnected" };
      return [];
    case "message":
      return takeMessage(reader, event.message, event.now);
    case "streamed":
      return takeStreamed(reader, event);
    case "reads":
      return takeReads(reader, event);
    case "tick":
      return giveUp(reader, ({ untilMs }) => untilMs <= event.now.nowMs);
    case "stop":
      return giveUp(reader, () => true);
  }
};

const takeMessage = <To>(reader: Reader<To>, message: ToReader, now: Now): readonly ReaderEffect<To>[] => {
  const { holding } = reader;
  switch (message.kind) {
    case "continue":
      if (message.epoch < holding.epoch) return reconnect(reader, "the source is at an older epoch");
      if (reader.progress.kind !== "probing" || !holding.complete || message.version !== holding.version)
        return reconnect(reader, "the source goes on where this copy does not stand");
      holding.bytes = message.bytes;
      holding.history = message.history;
      reader.progress = { kind: "streaming" };
      reader.marks = [];
      reader.known = { version: message.version, bytes: message.bytes };
      return [{ kind: "ack" }];
    case "copy":
      if (message.epoch < holding.epoch) return reconnect(reader, "the source is at an older epoch");
      startCopy(reader, message);
      return [{ kind: "dropped" }];
    case "copied":
      if (reader.progress.kind !== "copying" || message.version !== holding.version)
        return reconnect(reader, "the copy ends where this one does not stand");
      holding.complete = true;
      reader.progress = { kind: "streaming" };
      return [{ kind: "ack" }];
    case "mark":
      return takeMark(reader, message, now);
    case "leaving":
    case "failure":
      // The connection ends by itself, and the topology says where to go next.
      return [];
  }
};

const startCopy = <To>(reader: Reader<To>, message: Extract<ToReader, { kind: "copy" }>): void => {
  const { holding } = reader;
  holding.store.clear();
  holding.complete = false;
  holding.epoch = message.epoch;
  holding.version = message.version;
  holding.bytes = message.bytes;
  holding.history = message.history;
  reader.progress = { kind: "copying", copied: 0, total: message.keys };
  reader.known = { version: message.version, bytes: message.bytes };
  reader.marks = [];
};

const takeMark = <To>(
  reader: Reader<To>,
  mark: Extract<ToReader, { kind: "mark" }>,
  now: Now,
): readonly ReaderEffect<To>[] => {
  if (!isFollowing(reader)) return [];
  const { holding } = reader;
  if (mark.epoch < holding.epoch) return reconnect(reader, "the source is at an older epoch");
  reader.known = { version: mark.version, bytes: mark.bytes };
  if (mark.version < holding.version) return reconnect(reader, "the source has less than this copy");
  if (mark.version > holding.version) {
    if (reader.marks.length < marksMax)
      reader.marks = [...reader.marks, { version: mark.version, atMs: now.nowMs }];
    return [];
  }
  // Everything the source had in this epoch is here, so this copy is of this epoch even if nothing was written in it yet.
  const ahead = mark.epoch > holding.epoch;
  holding.epoch = mark.epoch;
  reader.coveredAtMs = now.nowMs;
  return ahead ? [{ kind: "ack" }, ...release(reader, now)] : [];
};

const takeStreamed = <To>(
  reader: Reader<To>,
  { items, now }: Extract<ReaderEvent<To>, { kind: "streamed" }>,
): readonly ReaderEffect<To>[] => {
  if (!isFollowing(reader)) return reconnect(reader, "records came before the source said how to go on");
  const { holding } = reader;
  const records: Record[] = [];
  let copied = 0;
  for (const item of items) {
    if (item.kind === "entry") {
      if (reader.progress.kind !== "copying") return reconnect(reader, "an entry came outside of a copy");
      holding.store.set(item.entry.key, item.entry.value, item.entry.expiresAtMs);
      copied++;
    } else {
      const gap = gapBefore(holding, item.record);
      if (gap !== null) return reconnect(reader, gap);
      apply(holding.store, item.record.operation);
      holding.epoch = item.record.epoch;
      holding.version = item.record.version;
      holding.bytes += item.bytes;
      records.push(item.record);
    }
  }
  if (reader.progress.kind === "copying" && copied > 0)
    reader.progress = { ...reader.progress, copied: reader.progress.copied + copied };
  if (records.length === 0) return [];
  coverMarks(reader);
  return [{ kind: "applied", records }, { kind: "ack" }, ...release(reader, now)];
};

/** Why a record is not the next one; null where it is. */
const gapBefore = (holding: Holding, { epoch, version }: Record): string | null => {
  if (version !== holding.version + 1) return `record ${version} came after ${holding.version}`;
  const wanted = epochAt(holding.history, version);
  return epoch === wanted
    ? null
    : `record ${version} is of epoch ${epoch}, by the history of ${wanted ?? "none"}`;
};

const isFollowing = <To>({ progress }: Reader<To>): boolean =>
  progress.kind === "copying" || progress.kind === "streaming";

const coverMarks = <To>(reader: Reader<To>): void => {
  const { holding, marks, known } = reader;
  if (known.version < holding.version) reader.known = { version: holding.version, bytes: holding.bytes };
  if (marks.length === 0) return;
  const ahead = marks.findIndex((mark) => mark.version > holding.version);
  const covered = marks[(ahead === -1 ? marks.length : ahead) - 1];
  if (covered === undefined) return;
  reader.coveredAtMs = covered.atMs;
  reader.marks = ahead === -1 ? [] : marks.slice(ahead);
};

const reconnect = <To>(reader: Reader<To>, reason: string): readonly ReaderEffect<To>[] => {
  // What this connection still brings belongs to a stream that is not followed any more.
  reader.progress = { kind: "disconnected" };
  return [{ kind: "reconnect", reason }];
};

const takeReads = <To>(
  reader: Reader<To>,
  { to, requests, refused, lagMsMax, now }: Extract<ReaderEvent<To>, { kind: "reads" }>,
): readonly ReaderEffect<To>[] => {
  const effects: ReaderEffect<To>[] = [];
  const room = { valueBytesLeft: replyValueBytesMax };
  requests.forEach((request, index) => {
    const refusedResult = refused[index] ?? null;
    if (refusedResult !== null || request.kind !== "get") {
      effects.push({ kind: "result", to, index, result: refusedResult ?? onlyReads() });
      return;
    }
    const asked = { to, index, key: request.key, room };
    const result = read(reader, { asked, level: request.read, lagMsMax }, now);
    if (result !== null) effects.push({ kind: "result", to, index, result });
  });
  return effects;
};

/** The result, or null where the read waits now. */
const read = <To>(
  reader: Reader<To>,
  {
    asked,
    level,
    lagMsMax,
  }: { readonly asked: Asked<To>; readonly level: ReadLevel; readonly lagMsMax: number },
  now: Now,
): Result | null => {
  switch (level.kind) {
    case "linearizable":
      return onlyReads();
    case "eventual": {
      const bound = level.lagMsMax ?? lagMsMax;
      const { ms } = lagOf(reader, now.nowMs);
      if (ms > bound)
        return refusal(
          "lagging",
          `Cannot read here: this reader is ${ms} ms behind, ${bound} are allowed; ask another`,
        );
      return valueOf(reader, asked, now);
    }
    case "session":
      if (!isAfter(level, reader.holding)) return valueOf(reader, asked, now);
      if (reader.waiting.length >= waitingReadsMax) return behind(level, reader.holding);
      reader.waiting.push({
        ...asked,
        place: { epoch: level.epoch, version: level.version },
        untilMs: now.nowMs + sessionWaitMsMax,
      });
      return null;
  }
};

const valueOf = <To>(reader: Reader<To>, { key, room }: Asked<To>, now: Now): Result => {
  const { holding } = reader;
  const stored = holding.store.get(key);
  const view = stored === undefined || hasExpired(stored.expiresAtMs, now.wallMs) ? null : stored.value;
  if (!takeRoom(room, view?.length ?? 0)) return repliesTooLarge();
  // A copy: other reads of its frame may wait, and the answer with them, while the stream changes the store.
  const value = view === null ? null : new Uint8Array(view);
  const lagMs = lagOf(reader, now.nowMs).ms;
  return { kind: "value", value, epoch: holding.epoch, version: holding.version, lagMs };
};

/** Answers the waiting reads whose place has been reached. */
const release = <To>(reader: Reader<To>, now: Now): readonly ReaderEffect<To>[] => {
  if (reader.waiting.length === 0 || !reader.holding.complete) return [];
  const { holding, waiting } = reader;
  reader.waiting = waiting.filter(({ place }) => isAfter(place, holding));
  return waiting
    .filter(({ place }) => !isAfter(place, holding))
    .map((asked) => ({
      kind: "result",
      to: asked.to,
      index: asked.index,
      result: valueOf(reader, asked, now),
    }));
};

/** Sends waiting reads elsewhere. */
const giveUp = <To>(
  reader: Reader<To>,
  isOver: (waiting: Waiting<To>) => boolean,
): readonly ReaderEffect<To>[] => {
  if (reader.waiting.length === 0) return [];
  const over = reader.waiting.filter(isOver);
  if (over.length > 0) reader.waiting = reader.waiting.filter((waiting) => !over.includes(waiting));
  return over.map(({ to, index, place }) => ({
    kind: "result",
    to,
    index,
    result: behind(place, reader.holding),
  }));
};

const behind = (wanted: Place, { epoch, version }: Place): Result =>
  refusal(
    "behind",
    `Cannot read at (${wanted.epoch}, ${wanted.version}): this reader stands at (${epoch}, ${version}); ask another or the owner`,
  );
const onlyReads = (): Result =>
  refusal("not-owner", "Cannot answer: this is a reader, the request needs the owner");
