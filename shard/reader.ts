import { epoch, version, type Epoch, type ShardId, type Version } from "../core/ids.ts";
import type { ToReader } from "../core/message.ts";
import type { Place, Request, Result } from "../core/request.ts";
import type { Holding } from "./holding.ts";
import type { Batch } from "./log/log.ts";
import { giveUp, release, takeReads, type Now, type Waiting } from "./reads.ts";
import { replay, takeEntries } from "./replay.ts";
import { commonEnd } from "./replication/history.ts";

/**
 * Follows one shard's stream: applies each record exactly in order, takes a full copy on a second connection where it must,
 * knows how far it is behind, and answers reads as far as that allows. `To` is whoever waits for an answer.
 *
 * `step` changes the reader in place; nothing else may.
 */
export type Reader<To> = {
  readonly shard: ShardId;
  readonly holding: Holding;
  link: Link;
  /** A full copy that is under way; null where none is. */
  copy: Copy | null;
  /** The newest that the source is known to have. */
  known: { readonly version: Version; readonly bytes: number };
  /** Marks that lie ahead of the holding, oldest first. */
  marks: readonly Mark[];
  /** When the holding last was all there was at its source. Monotonic milliseconds. */
  coveredAtMs: number;
  /** It has been since this reader began: before that nobody knows how old what is held is. */
  isCovered: boolean;
  /** No source below this epoch is followed: set by whoever drives the reader. */
  floor: Epoch;
  /** When a source of that epoch was last heard of; null where none was. */
  heardAtMs: number | null;
  waiting: Waiting<To>[];
};

/** Where the stream of records stands. Reads are answered from a complete holding whatever this says; its lag grows. */
export type Link =
  | "down"
  /** The source has not said how to go on. */
  | "probing"
  /** The source has nothing for this copy: records come once a full copy has been taken. */
  | "idle"
  | "streaming";

/** A copy is whole with the records up to `until`; the stream brings those that are not in it. */
export type Copy =
  | { readonly kind: "asked" }
  | { readonly kind: "entries"; readonly copied: number; readonly total: number }
  | { readonly kind: "tail"; readonly until: Version; readonly total: number };

type Mark = { readonly version: Version; readonly atMs: number };

export type ReaderEvent<To> =
  | { readonly kind: "connected" }
  | { readonly kind: "disconnected" }
  | { readonly kind: "message"; readonly message: ToReader; readonly now: Now }
  /** A frame of records. */
  | { readonly kind: "streamed"; readonly bytes: Uint8Array; readonly now: Now }
  /** A frame of entries, on the second connection. */
  | { readonly kind: "entries"; readonly bytes: Uint8Array }
  /** The volume could not keep a copy that was whole. */
  | { readonly kind: "copyUnkept" }
  /** The second connection is gone. */
  | { readonly kind: "copyLost" }
  /** There is another source from now on, or none. */
  | { readonly kind: "sourceGone" }
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
  /** The source, an owner, asks for a lease with this mark. */
  | { readonly kind: "grant"; readonly epoch: Epoch; readonly mark: number }
  /** The stream cannot be gone on with: cut the connection and open another. */
  | { readonly kind: "reconnect"; readonly reason: string }
  /** These records were applied: they go into the log, and to whoever copies from here. */
  | { readonly kind: "applied"; readonly batch: Batch }
  /** Open the second connection, or one more, and ask for a copy. */
  | { readonly kind: "askCopy" }
  /**
   * A copy begins behind the holding's new place: what was held is gone. Records from `quarantineFrom` on are not in the
   * source's history; null where all are.
   */
  | { readonly kind: "copyBegins"; readonly quarantineFrom: Version | null }
  /** Entries to be kept with the copy. */
  | { readonly kind: "copied"; readonly bytes: Uint8Array }
  /** The copy is whole and is what is held from now on. */
  | { readonly kind: "copyEnds" }
  /** Nothing will come of the copy. */
  | { readonly kind: "copyFails" }
  /** The result of the request at `index` of the frame; each comes exactly once. */
  | { readonly kind: "result"; readonly to: To; readonly index: number; readonly result: Result };

const marksMax = 64;

/** A reader that goes on from what is held. */
export const createReader = <To>(holding: Holding, nowMs: number): Reader<To> => ({
  ...{ shard: holding.shard, holding, link: "down", copy: null },
  known: { version: holding.version, bytes: holding.bytes },
  ...{ marks: [], coveredAtMs: nowMs, isCovered: false, waiting: [] },
  ...{ floor: epoch(0), heardAtMs: null },
});

export const step = <To>(reader: Reader<To>, event: ReaderEvent<To>): readonly ReaderEffect<To>[] => {
  switch (event.kind) {
    case "connected":
      reader.link = "idle";
      return reader.copy === null || reader.copy.kind === "tail" ? [resync(reader)] : [];
    case "disconnected":
      reader.link = "down";
      return [];
    case "message":
      return takeMessage(reader, event.message, event.now);
    case "streamed":
      return takeStreamed(reader, event);
    case "entries":
      return takeCopied(reader, event.bytes);
    case "copyLost":
      // The next connection begins from the beginning; one that has brought everything is not needed any more.
      if (reader.copy?.kind === "entries") reader.copy = { kind: "asked" };
      return [];
    case "copyUnkept":
      // What a restart would find is not what is held: the copy is taken once more.
      reader.holding.complete = false;
      return reconnect(reader, "its full copy cannot be kept");
    case "sourceGone": {
      reader.link = "down";
      const failed = reader.copy !== null && reader.copy.kind !== "tail";
      if (failed) reader.copy = null;
      return failed ? [{ kind: "copyFails" }] : [];
    }
    case "reads":
      return takeReads(reader, event);
    case "tick":
      return giveUp(reader, ({ untilMs }) => untilMs <= event.now.nowMs);
    case "stop":
      return giveUp(reader, () => true);
  }
};

/** Asks how to go on from what is there: the holding, or the copy whose entries are all here. */
const resync = <To>(reader: Reader<To>): ReaderEffect<To> => {
  const { holding, copy } = reader;
  reader.link = "probing";
  const isSomewhere = holding.complete || copy?.kind === "tail";
  const place = isSomewhere ? holding : { epoch: epoch(0), version: version(0) };
  return { kind: "resync", place: { epoch: place.epoch, version: place.version } };
};

const takeMessage = <To>(reader: Reader<To>, message: ToReader, now: Now): readonly ReaderEffect<To>[] => {
  const { holding } = reader;
  switch (message.kind) {
    case "continue":
      if (isOld(reader, message.epoch)) return reconnect(reader, "the source is at an older epoch");
      if (reader.link !== "probing" || message.version !== holding.version)
        return reconnect(reader, "the source goes on where this copy does not stand");
      reader.link = "streaming";
      reader.marks = [];
      reader.known = { version: holding.version, bytes: holding.bytes };
      return [{ kind: "ack" }];
    case "copyFirst":
      if (reader.link !== "probing") return reconnect(reader, "the source answers what was not asked");
      reader.link = "idle";
      reader.copy = { kind: "asked" };
      return [{ kind: "askCopy" }];
    case "copying":
      if (isOld(reader, message.epoch) || reader.copy?.kind !== "asked") {
        // From an older source than this one followed already, or none that was asked for.
        reader.copy = null;
        return [{ kind: "copyFails" }, ...reconnect(reader, "the source's copy is none to go on with")];
      }
      return [{ kind: "copyBegins", quarantineFrom: startCopy(reader, message) }];
    case "copied":
      return endEntries(reader, message.version, now);
    case "mark":
      return takeMark(reader, message, now);
    case "leaving":
    case "failure":
      // The connection ends by itself, and the topology says where to go next.
      return [];
  }
};

/** From somebody who owned the shard before whom this reader obeys, or before what it holds. */
const isOld = <To>({ holding, floor }: Reader<To>, epoch: Epoch): boolean =>
  epoch < holding.epoch || epoch < floor;

const startCopy = <To>(
  reader: Reader<To>,
  message: Extract<ToReader, { kind: "copying" }>,
): Version | null => {
  const { holding } = reader;
  const common = commonEnd(holding, message);
  const strays = holding.complete && holding.version > common ? version(common + 1) : null;
  holding.store.clear();
  holding.store.expect(message.keys);
  holding.complete = false;
  holding.epoch = message.epoch;
  holding.version = message.version;
  holding.bytes = message.bytes;
  holding.history = message.history;
  holding.mapVersion = message.mapVersion;
  reader.copy = { kind: "entries", copied: 0, total: message.keys };
  reader.known = { version: message.version, bytes: message.bytes };
  reader.marks = [];
  return strays;
};

const takeCopied = <To>(reader: Reader<To>, bytes: Uint8Array): readonly ReaderEffect<To>[] => {
  const { copy, holding } = reader;
  if (copy?.kind !== "entries") return [];
  const copied = takeEntries(holding.store, { bytes, from: 0, to: bytes.length });
  reader.copy = { ...copy, copied: copy.copied + copied };
  return [{ kind: "copied", bytes }];
};

const endEntries = <To>(reader: Reader<To>, until: Version, now: Now): readonly ReaderEffect<To>[] => {
  const { copy, link } = reader;
  if (copy?.kind !== "entries") return [];
  reader.copy = { kind: "tail", until, total: copy.total };
  const whole = endCopy(reader, now);
  return link === "down" ? whole : [...whole, resync(reader)];
};

/** Once the records up to where its walk ended are there, the copy is what the source had at one moment. */
const endCopy = <To>(reader: Reader<To>, now: Now): readonly ReaderEffect<To>[] => {
  const { copy, holding } = reader;
  if (copy?.kind !== "tail" || holding.version < copy.until) return [];
  holding.store.expect(0);
  holding.complete = true;
  reader.copy = null;
  return [{ kind: "copyEnds" }, { kind: "ack" }, ...release(reader, now)];
};

const takeMark = <To>(
  reader: Reader<To>,
  mark: Extract<ToReader, { kind: "mark" }>,
  now: Now,
): readonly ReaderEffect<To>[] => {
  const { holding, link } = reader;
  if (link !== "streaming" && link !== "idle") return [];
  if (isOld(reader, mark.epoch)) return reconnect(reader, "the source is at an older epoch");
  reader.heardAtMs = now.nowMs;
  reader.known = { version: mark.version, bytes: mark.bytes };
  if (link === "idle") return [];
  if (mark.version < holding.version) return reconnect(reader, "the source has less than this copy");
  if (mark.version > holding.version) {
    if (reader.marks.length < marksMax)
      reader.marks = [...reader.marks, { version: mark.version, atMs: now.nowMs }];
  } else cover(reader, now.nowMs);
  return mark.seq === 0 ? [] : [{ kind: "grant", epoch: mark.epoch, mark: mark.seq }];
};

const takeStreamed = <To>(
  reader: Reader<To>,
  { bytes, now }: Extract<ReaderEvent<To>, { kind: "streamed" }>,
): readonly ReaderEffect<To>[] => {
  if (reader.link !== "streaming")
    return reconnect(reader, "records came before the source said how to go on");
  const { holding } = reader;
  reader.heardAtMs = now.nowMs;
  const first = version(holding.version + 1);
  const { end, problem } = replay(holding, bytes);
  // What was applied is kept, whatever follows it.
  const applied: readonly ReaderEffect<To>[] =
    end === 0
      ? []
      : [{ kind: "applied", batch: { bytes: bytes.subarray(0, end), first, last: holding.version } }];
  if (problem !== null) return [...applied, ...reconnect(reader, problem)];
  coverMarks(reader);
  return [...applied, ...endCopy(reader, now), ...release(reader, now)];
};

const coverMarks = <To>(reader: Reader<To>): void => {
  const { holding, marks, known } = reader;
  if (known.version < holding.version) reader.known = { version: holding.version, bytes: holding.bytes };
  if (marks.length === 0) return;
  const ahead = marks.findIndex((mark) => mark.version > holding.version);
  const covered = marks[(ahead === -1 ? marks.length : ahead) - 1];
  if (covered === undefined) return;
  cover(reader, covered.atMs);
  reader.marks = ahead === -1 ? [] : marks.slice(ahead);
};

const cover = <To>(reader: Reader<To>, atMs: number): void => {
  reader.coveredAtMs = atMs;
  reader.isCovered = true;
};

const reconnect = <To>(reader: Reader<To>, reason: string): readonly ReaderEffect<To>[] => {
  // What this connection still brings belongs to a stream that is not followed any more.
  reader.link = "down";
  return [{ kind: "reconnect", reason }];
};
