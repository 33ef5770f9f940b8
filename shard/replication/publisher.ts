import type { Clock } from "../../core/clock.ts";
import { EdisError, messageOf, type ErrorCode } from "../../core/errors.ts";
import { version } from "../../core/ids.ts";
import {
  copyAheadBytesMax,
  journalBatchBytesMax,
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
import type { Connection, Handlers } from "../../net/connection.ts";
import type { Held } from "../held.ts";
import type { Follower } from "../inSync.ts";
import type { Batch } from "../log/log.ts";
import { startCopy, type CopyLimits, type CopySender } from "./copySender.ts";
import { isPartOf } from "./history.ts";
import { lagBehind, resume, withSample, type Acked, type Progress, type Samples } from "./progress.ts";

/**
 * Sends what this process holds to whoever copies it: its readers where it owns the shard, or a process that is being
 * restored where it is a reader itself. One cursor per reader says which record is next; a reader that keeps up gets the
 * very bytes that go to the log, any other is fed from the log, never more than a little ahead of what it has taken. So a
 * slow reader costs its cursor, and no memory.
 */
export type Publisher = {
  readonly opened: (connection: Connection, hello: Hello) => Handlers;
  /** From now on this is what is sent; whoever was connected is sent away before. An owner hears of those who copy. */
  readonly serve: (held: Held, audience?: Audience) => void;
  /** Sends everybody away. */
  readonly stop: (reason: EdisError) => void;
  /** Sends records that the log has just got. Answers whether some of their bytes may be on their way still. */
  readonly append: (batch: Batch) => boolean;
  /** Whether all who copy from here have acknowledged everything. */
  readonly isCaughtUp: () => boolean;
  /** Everybody is told that this process ends soon. */
  readonly leaving: () => void;
  readonly readers: () => readonly ReaderStatus[];
  /** The newest connection of each pod that has said where it stands. */
  readonly followers: () => readonly FollowerStatus[];
};

/** Who wants to hear of those who copy. */
export type Audience = {
  /** Marks are about to go out: answers their number, by which followers grant a lease. */
  readonly marking: () => number;
  readonly acked: (pod: string, message: Acknowledged) => void;
  /** Somebody came, is gone, or streams. */
  readonly moved: () => void;
};
export type Acknowledged = Extract<FromReader, { kind: "ack" }>;
export type FollowerStatus = Omit<Follower, "isWanted" | "hasGranted">;

export type ReaderStatus = { readonly pod: string; readonly state: string; readonly lag: Lag };

export type PublisherOptions = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly counters: PublisherCounters;
  readonly limits?: PublisherLimits;
};
/** Bytes; smaller ones than usual bring a test to the edges sooner. */
export type PublisherLimits = CopyLimits & {
  /** Sent to a streaming reader and not taken, before it is fed from the log. */
  readonly unsent: number;
};
/** 64 KiB of entries are less than a millisecond of work. */
const usualLimits: PublisherLimits = {
  unsent: unsentBytesPerReaderMax,
  ahead: copyAheadBytesMax,
  entriesPerTurn: 64 * 1024,
};
export type PublisherCounters = { sentBytes: number; copiesServed: number; resyncsServed: number };

type Peer = {
  readonly connection: Connection;
  readonly pod: string;
  readonly incarnation: string;
  progress: Progress;
  acked: Acked;
  /** The log is being read for it. */
  isReading: boolean;
  copy: CopySender | null;
};

/** What is served, and to whom. */
type Source = {
  readonly held: Held;
  readonly audience: Audience | null;
  samples: Samples;
  readonly peers: Set<Peer>;
  readonly limits: PublisherLimits;
};

const markEveryMs = 100;

export const createPublisher = (options: PublisherOptions): Publisher => {
  const { clock, limits = usualLimits, counters } = options;
  let source: Source | null = null;
  let isWoken = false;

  const wake = (): void => {
    if (isWoken) return;
    isWoken = true;
    clock.soon(() => {
      isWoken = false;
      if (source !== null && feedAll(source, { ...options, wake })) wake();
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
    source.samples = withSample(source.samples, source.held.holding.version, clock.nowMs());
    if (source.peers.size > 0) wake();
    const seq = source.audience?.marking() ?? 0;
    for (const peer of source.peers) mark(source, peer, seq);
  });

  return {
    opened: (connection, { pod, incarnation }) => {
      const served = source;
      if (served?.held.holding.complete !== true)
        return turnAway(connection, "not-serving", "this process does not hold all of a shard");
      // Two connections each.
      if (served.peers.size >= readersPerShardMax * 2)
        return turnAway(connection, "too-busy", `${readersPerShardMax} are being sent already`);
      const acked = { version: version(0), bytes: 0 };
      const progress = { kind: "probing" } as const;
      const peer: Peer = { connection, pod, incarnation, progress, acked, isReading: false, copy: null };
      served.peers.add(peer);
      return handlersOf(options, peer, { served, isServed, wake });
    },
    serve: (held, audience) => {
      stop(new EdisError("not-serving", "Cannot go on with this copy: what is served here has changed"));
      source = { held, audience: audience ?? null, samples: [], peers: new Set(), limits };
    },
    stop,
    append: (batch) => {
      if (source === null) return false;
      for (const peer of source.peers)
        if (stream(peer, batch, limits)) counters.sentBytes += batch.bytes.length;
      wake();
      return [...source.peers].some(({ connection }) => connection.unsentBytes() > 0);
    },
    isCaughtUp: () => {
      const { held, peers } = source ?? { peers: [] };
      return [...peers].every(({ copy, acked }) => copy !== null || acked.version === held?.holding.version);
    },
    leaving: () => {
      for (const { connection } of source?.peers ?? []) connection.send(encodeMessage({ kind: "leaving" }));
    },
    readers: () => (source === null ? [] : statusOf(source, clock.nowMs())),
    followers: () => (source === null ? [] : followersOf(source, clock.nowMs())),
  };
};

const turnAway = (connection: Connection, code: ErrorCode, why: string): Handlers => {
  connection.close(new EdisError(code, `Cannot send a copy: ${why}`));
  return { message: () => undefined, closed: () => undefined };
};

type Feeding = PublisherOptions & { readonly wake: () => void };

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
    if (message.kind !== "ack") wake();
  },
  drained: () => {
    if (peer.progress.kind === "catchingUp" || peer.copy !== null) wake();
  },
  closed: () => {
    served.peers.delete(peer);
    peer.copy?.end();
    if (peer.copy !== null) return;
    options.logger.info({ reader: peer.pod, state: peer.progress.kind }, "reader is gone");
    if (isServed(served)) served.audience?.moved();
  },
});

const statusOf = ({ held, peers, samples }: Source, nowMs: number): readonly ReaderStatus[] =>
  [...peers]
    .filter(({ copy }) => copy === null)
    .map(({ pod, progress, acked }) => ({
      ...{ pod, state: progress.kind },
      lag: lagBehind(held.holding, acked, { samples, nowMs }),
    }));

/** One that connects anew says itself what it has: of an older connection nothing counts. */
const isNewest = ({ peers }: Source, peer: Peer): boolean =>
  [...peers].findLast((one) => one.pod === peer.pod && isStream(one)) === peer;

const isStream = ({ copy, progress }: Peer): boolean => copy === null && progress.kind !== "probing";

const followersOf = ({ held, peers, samples }: Source, nowMs: number): readonly FollowerStatus[] => {
  const newest = new Map<string, Peer>();
  for (const peer of peers) if (isStream(peer)) newest.set(peer.pod, peer);
  return [...newest.values()].map(({ pod, incarnation, progress, acked }) => ({
    ...{ pod, incarnation, acked: acked.version, isStreaming: progress.kind === "streaming" },
    lag: lagBehind(held.holding, acked, { samples, nowMs }),
  }));
};

const take = (
  source: Source,
  { peer, message }: { readonly peer: Peer; readonly message: FromReader },
  { logger, counters }: PublisherOptions,
): void => {
  const { held, limits } = source;
  const { holding } = held;
  switch (message.kind) {
    case "ack":
      if (message.version > holding.version)
        throw new EdisError(
          "bad-message",
          `Cannot take an acknowledgement of ${message.version}: the newest is ${holding.version}`,
        );
      if (message.epoch > holding.epoch)
        throw new EdisError(
          "bad-message",
          `Cannot take an acknowledgement in epoch ${message.epoch}: this process is at ${holding.epoch}`,
        );
      peer.acked = { version: message.version, bytes: message.bytes };
      if (isNewest(source, peer)) source.audience?.acked(peer.pod, message);
      return;
    case "resync": {
      checkShard(held, message);
      if (peer.copy !== null || peer.progress.kind === "catchingUp" || peer.progress.kind === "streaming")
        throw new EdisError("bad-message", "Cannot resync twice on one connection: open another");
      const part = isPartOf(message, holding.history, holding.version);
      peer.progress = resume(message, { part, version: holding.version, logFirst: held.log.first() });
      const { epoch, version } = message;
      logger.info({ reader: peer.pod, epoch, version, how: peer.progress.kind }, "reader resyncs");
      counters.resyncsServed++;
      if (peer.progress.kind === "copying") send(peer, { kind: "copyFirst" });
      else send(peer, { kind: "continue", epoch: holding.epoch, version });
      mark(source, peer, source.audience?.marking() ?? 0);
      return;
    }
    case "copy":
      checkShard(held, message);
      if (peer.copy !== null || peer.progress.kind !== "probing")
        throw new EdisError("bad-message", "Cannot copy on this connection: open another");
      counters.copiesServed++;
      logger.info({ reader: peer.pod, version: holding.version }, "full copy begins");
      peer.copy = startCopy(held, peer.connection, {
        limits,
        sent: (bytes) => {
          counters.sentBytes += bytes;
        },
      });
      return;
  }
};

const checkShard = ({ holding }: Held, { shard }: { readonly shard: number }): void => {
  if (shard !== holding.shard)
    throw new EdisError("not-owner", `Cannot send shard ${shard}: this process holds ${holding.shard}`);
};

const send = ({ connection }: Peer, message: ToReader): void => {
  connection.send(encodeMessage(message));
};

const mark = ({ held, limits }: Source, peer: Peer, seq: number): void => {
  if (peer.copy !== null || peer.progress.kind === "probing") return;
  if (peer.connection.unsentBytes() > limits.unsent) return;
  const { epoch, version, bytes } = held.holding;
  send(peer, { kind: "mark", epoch, version, bytes, seq });
};

/** Sends a batch to a reader that keeps up; one that does not is fed from the log from now on. */
const stream = (peer: Peer, { bytes, first, last }: Batch, limits: PublisherLimits): boolean => {
  const { progress, connection } = peer;
  if (progress.kind !== "streaming") return false;
  if (progress.next !== first || connection.unsentBytes() > limits.unsent) {
    peer.progress = { kind: "catchingUp", next: progress.next };
    return false;
  }
  connection.send(bytes);
  peer.progress = { kind: "streaming", next: version(last + 1) };
  return true;
};

/** Moves all on that do not stream, a little. Answers whether there is more that could go out at once. */
const feedAll = (source: Source, feeding: Feeding): boolean => {
  let isMore = false;
  for (const peer of source.peers) {
    if (peer.copy !== null) isMore = peer.copy.feed() || isMore;
    else if (peer.progress.kind === "catchingUp") feed(source, peer, feeding);
  }
  return isMore;
};

/** Reads a piece of the log for a reader that is behind, and sends it. */
const feed = (
  { held, audience, peers, limits }: Source,
  peer: Peer,
  { logger, counters, wake }: Feeding,
): void => {
  const { log } = held;
  const { connection, progress } = peer;
  // One that takes nothing is left alone, whatever it has missed meanwhile: it costs nothing more.
  if (peer.isReading || progress.kind !== "catchingUp" || connection.unsentBytes() >= limits.ahead) return;
  const { next } = progress;
  if (next > log.newest()) {
    peer.progress = { kind: "streaming", next };
    audience?.moved();
    return;
  }
  if (next < log.first()) {
    logger.warn({ reader: peer.pod, next, first: log.first() }, "reader fell out of the log: full copy");
    connection.close(new EdisError("not-serving", "Cannot go on: the log does not reach back so far"));
    return;
  }
  peer.isReading = true;
  log.read(next, journalBatchBytesMax).then(
    ({ bytes, last }) => {
      peer.isReading = false;
      if (!peers.has(peer)) return;
      connection.send(bytes);
      counters.sentBytes += bytes.length;
      peer.progress = { kind: "catchingUp", next: version(last + 1) };
      wake();
    },
    (error: unknown) => {
      peer.isReading = false;
      logger.error({ reader: peer.pod, next, reason: messageOf(error) }, "log cannot be read for a reader");
      connection.close(new EdisError("not-serving", "Cannot go on: the log cannot be read"));
    },
  );
};
