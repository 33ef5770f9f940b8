import type { Clock } from "../../core/clock.ts";
import { EdisError, type ErrorCode } from "../../core/errors.ts";
import { version, type Version } from "../../core/ids.ts";
import {
  backlogBytesMax,
  copyAheadBytesMax,
  readersPerShardMax,
  unsentBytesPerReaderMax,
} from "../../core/limits.ts";
import type { Logger } from "../../core/logger.ts";
import {
  decodeMessage,
  encodeMessage,
  fromReaderSchema,
  type FromReader,
  type Hello,
  type Lag,
  type ToReader,
} from "../../core/message.ts";
import type { Entry, Record } from "../../core/record.ts";
import type { Connection, Handlers } from "../../net/connection.ts";
import type { Holding } from "../holding.ts";
import { createBacklog, type Backlog } from "./backlog.ts";
import { historyUpTo, isPartOf } from "./history.ts";
import { lagBehind, resume, withSample, type Acked, type Progress, type Samples } from "./progress.ts";
import { createRecordEncoder, encodeEntries } from "./recordEncoder.ts";

/**
 * Sends what this process holds to whoever copies it: its readers where it owns the shard, or a process that is being
 * restored where it is a reader itself. Records are encoded once. One cursor per reader says which record is next; a
 * reader that keeps up gets the frame that all get, any other is fed from the backlog, never more than a little ahead of
 * what it has taken. So a slow reader costs its cursor, and no memory.
 */
export type Publisher = {
  readonly opened: (connection: Connection, hello: Hello) => Handlers;
  /** From now on this is what is sent; whoever was connected is sent away before. */
  readonly serve: (holding: Holding) => void;
  /** Sends everybody away. */
  readonly stop: (reason: EdisError) => void;
  /** Takes records that the holding has just got. Answers how many bytes they have. */
  readonly append: (records: readonly Record[]) => number;
  /** Whether anybody copies from here now. */
  readonly isUsed: () => boolean;
  /** Whether all who copy from here have acknowledged everything. */
  readonly isCaughtUp: () => boolean;
  /** Everybody is told that this process ends soon. */
  readonly leaving: () => void;
  readonly readers: () => readonly ReaderStatus[];
};

export type ReaderStatus = { readonly pod: string; readonly state: string; readonly lag: Lag };

export type PublisherOptions = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly counters: PublisherCounters;
  readonly limits?: PublisherLimits;
};
/** Bytes; smaller ones than usual bring a test to the edges sooner. */
export type PublisherLimits = {
  readonly backlog: number;
  /** Sent to a streaming reader and not taken, before it is fed from the backlog. */
  readonly unsent: number;
  /** The same for one that is fed, before it has to take some. */
  readonly ahead: number;
  /** Entries per copying reader and turn of the event loop. */
  readonly entriesPerTurn: number;
};
/** 64 KiB of entries are less than a millisecond of work. */
const usualLimits: PublisherLimits = {
  backlog: backlogBytesMax,
  unsent: unsentBytesPerReaderMax,
  ahead: copyAheadBytesMax,
  entriesPerTurn: 64 * 1024,
};
export type PublisherCounters = { sentBytes: number; copiesServed: number; resyncsServed: number };

type Peer = {
  readonly connection: Connection;
  readonly pod: string;
  progress: Progress;
  walk: Iterator<Entry> | null;
  acked: Acked;
};

/** What is served, and to whom. */
type Source = {
  readonly holding: Holding;
  backlog: Backlog;
  /** Next version that has not been sent to those who stream. */
  unsentFrom: Version;
  samples: Samples;
  readonly peers: Set<Peer>;
  readonly limits: PublisherLimits;
};

const markEveryMs = 100;

export const createPublisher = (options: PublisherOptions): Publisher => {
  const { clock, limits = usualLimits } = options;
  const encoder = createRecordEncoder();
  let source: Source | null = null;
  let flushing = false;

  const wake = (): void => {
    if (flushing) return;
    flushing = true;
    clock.soon(() => {
      flushing = false;
      if (source !== null && flush(source, options)) wake();
    });
  };
  const isServed = (served: Source): boolean => source === served;
  const stop = (reason: EdisError): void => {
    const { peers } = source ?? { peers: [] };
    source = null;
    for (const peer of peers) peer.connection.close(reason);
  };
  clock.every(markEveryMs, () => {
    if (source === null) return;
    const { holding } = source;
    source.samples = withSample(source.samples, holding.version, clock.nowMs());
    if (flush(source, options)) wake();
    for (const peer of source.peers) mark(source, peer);
  });

  return {
    opened: (connection, { pod }) => {
      const served = source;
      if (served?.holding.complete !== true)
        return turnAway(connection, "not-serving", "this process does not hold all of a shard");
      if (served.peers.size >= readersPerShardMax)
        return turnAway(connection, "too-busy", `${readersPerShardMax} are being sent already`);
      const acked = { version: version(0), bytes: 0 };
      const peer: Peer = { connection, pod, progress: { kind: "probing" }, walk: null, acked };
      catchBacklogUp(served);
      served.peers.add(peer);
      return handlersOf(options, peer, { served, isServed, wake });
    },
    serve: (holding) => {
      stop(new EdisError("not-serving", "Cannot go on with this copy: what is served here has changed"));
      source = {
        ...{ holding, backlog: createBacklog(holding.version, holding.bytes, limits.backlog) },
        ...{ unsentFrom: version(holding.version + 1), samples: [], peers: new Set(), limits },
      };
    },
    stop,
    append: (records) => {
      let bytes = 0;
      for (const record of records) {
        const encoded = encoder.encode(record);
        bytes += encoded.length;
        source?.backlog.add(encoded);
      }
      wake();
      return bytes;
    },
    isUsed: () => source !== null && source.peers.size > 0,
    isCaughtUp: () => {
      const { holding, peers } = source ?? { peers: [] };
      return [...peers].every(({ acked }) => acked.version === holding?.version);
    },
    leaving: () => {
      for (const { connection } of source?.peers ?? []) connection.send(encodeMessage({ kind: "leaving" }));
    },
    readers: () => (source === null ? [] : statusOf(source, clock.nowMs())),
  };
};

const turnAway = (connection: Connection, code: ErrorCode, why: string): Handlers => {
  connection.close(new EdisError(code, `Cannot send a copy: ${why}`));
  return { message: () => undefined, closed: () => undefined };
};

const handlersOf = (
  options: PublisherOptions,
  peer: Peer,
  {
    served,
    isServed,
    wake,
  }: {
    readonly served: Source;
    readonly isServed: (source: Source) => boolean;
    readonly wake: () => void;
  },
): Handlers => ({
  message: (frame) => {
    const message = decodeMessage(fromReaderSchema, frame);
    if (!isServed(served)) return;
    take(served, { peer, message }, options);
    if (peer.progress.kind !== "streaming") wake();
  },
  drained: () => {
    if (peer.progress.kind === "catchingUp" || peer.progress.kind === "copying") wake();
  },
  closed: () => {
    served.peers.delete(peer);
    options.logger.info({ reader: peer.pod, state: peer.progress.kind }, "reader is gone");
  },
});

const statusOf = ({ holding, peers, samples }: Source, nowMs: number): readonly ReaderStatus[] =>
  [...peers].map(({ pod, progress, acked }) => ({
    ...{ pod, state: progress.kind },
    lag: lagBehind(holding, acked, { samples, nowMs }),
  }));

/** A process that follows the shard itself keeps no backlog while nobody copies from it. */
const catchBacklogUp = (source: Source): void => {
  const { holding, backlog, limits } = source;
  if (backlog.newest() === holding.version) return;
  source.backlog = createBacklog(holding.version, holding.bytes, limits.backlog);
  source.unsentFrom = version(holding.version + 1);
};

const take = (
  source: Source,
  { peer, message }: { readonly peer: Peer; readonly message: FromReader },
  { logger, counters }: PublisherOptions,
): void => {
  const { holding, backlog } = source;
  switch (message.kind) {
    case "ack":
      if (message.version > holding.version)
        throw new EdisError(
          "bad-message",
          `Cannot take an acknowledgement of ${message.version}: the newest is ${holding.version}`,
        );
      peer.acked = { version: message.version, bytes: message.bytes };
      return;
    case "resync": {
      if (message.shard !== holding.shard)
        throw new EdisError(
          "not-owner",
          `Cannot send shard ${message.shard}: this process holds ${holding.shard}`,
        );
      if (peer.progress.kind !== "probing")
        throw new EdisError("bad-message", "Cannot resync twice on one connection: open another");
      const part = isPartOf(message, holding.history, holding.version);
      peer.progress = resume(message, { part, version: holding.version, backlogFirst: backlog.first() });
      logger.info(
        { reader: peer.pod, epoch: message.epoch, version: message.version, how: peer.progress.kind },
        "reader resyncs",
      );
      counters.resyncsServed++;
      if (peer.progress.kind === "copying") {
        beginCopy(source, peer, counters);
        return;
      }
      const bytes = backlog.bytesAt(message.version);
      send(peer, { kind: "continue", ...headOf(holding), version: message.version, bytes });
      peer.acked = { version: message.version, bytes };
      mark(source, peer);
      return;
    }
  }
};

/** A full copy: what is there from now on, and all records from now on. */
const beginCopy = ({ holding }: Source, peer: Peer, counters: PublisherCounters): void => {
  counters.copiesServed++;
  peer.walk = holding.store.walk();
  peer.progress = { kind: "copying", next: version(holding.version + 1) };
  peer.acked = { version: version(0), bytes: 0 };
  const { version: from, bytes } = holding;
  send(peer, { kind: "copy", ...headOf(holding), version: from, bytes, keys: holding.store.keys() });
};

const headOf = ({
  epoch,
  history,
}: Holding): Pick<Extract<ToReader, { kind: "copy" }>, "epoch" | "history"> => ({
  epoch,
  history: historyUpTo(history, epoch),
});

const send = ({ connection }: Peer, message: ToReader): void => {
  connection.send(encodeMessage(message));
};

const mark = ({ holding: { epoch, version, bytes }, limits }: Source, peer: Peer): void => {
  if (peer.progress.kind === "probing" || peer.connection.unsentBytes() > limits.unsent) return;
  send(peer, { kind: "mark", epoch, version, bytes });
};

/** Sends what this turn may send. Answers whether there is more that could go out at once. */
const flush = (source: Source, options: PublisherOptions): boolean => {
  sendNewest(source, options.counters);
  let more = false;
  for (const peer of source.peers) {
    const { kind } = peer.progress;
    if (kind === "catchingUp" || kind === "copying") more = feed(source, peer, options) || more;
  }
  return more;
};

/** One frame for all who keep up. */
const sendNewest = (source: Source, counters: PublisherCounters): void => {
  const { holding, backlog, peers, limits } = source;
  let from = source.unsentFrom;
  source.unsentFrom = version(holding.version + 1);
  if (peers.size === 0) return;
  // Where one turn brought more than the backlog holds, those who streamed find out in `feed`.
  if (from < backlog.first()) from = backlog.first();
  while (from <= holding.version) {
    const { frame, next } = backlog.frame(from);
    for (const peer of peers) {
      if (peer.progress.kind !== "streaming") continue;
      if (peer.progress.next !== from || peer.connection.unsentBytes() > limits.unsent) {
        peer.progress = { kind: "catchingUp", next: peer.progress.next };
      } else {
        peer.connection.send(frame);
        counters.sentBytes += frame.length;
        peer.progress = { kind: "streaming", next };
      }
    }
    from = next;
  }
};

/** Moves one reader on that does not stream, a little. Answers whether it can take more at once. */
const feed = (source: Source, peer: Peer, { counters, logger }: PublisherOptions): boolean => {
  const { holding, backlog, limits } = source;
  const { connection, progress } = peer;
  // One that takes nothing is left alone, whatever it has missed meanwhile: it costs nothing more.
  if (progress.kind === "probing" || connection.unsentBytes() >= limits.ahead) return false;
  let next: Version = progress.next;
  if (next < backlog.first()) {
    logger.warn(
      { reader: peer.pod, next, first: backlog.first() },
      "reader fell out of the backlog: full copy",
    );
    beginCopy(source, peer, counters);
    return false;
  }
  // Records first: an entry shows the newest state, so the reader has to be there before the copy can end.
  while (next <= holding.version) {
    if (connection.unsentBytes() >= limits.ahead) return false;
    const piece = backlog.frame(next);
    connection.send(piece.frame);
    counters.sentBytes += piece.frame.length;
    next = piece.next;
    peer.progress = { ...progress, next };
  }
  if (peer.walk === null) {
    peer.progress = { kind: "streaming", next };
    return false;
  }
  if (connection.unsentBytes() >= limits.ahead) return false;
  const { frame, done } = encodeEntries(peer.walk, limits.entriesPerTurn);
  if (frame.length > 0) connection.send(frame);
  counters.sentBytes += frame.length;
  if (!done) return true;
  peer.walk = null;
  peer.progress = { kind: "streaming", next };
  send(peer, { kind: "copied", version: holding.version });
  mark(source, peer);
  logger.info({ reader: peer.pod, version: holding.version }, "full copy sent");
  return false;
};
