import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { RequestFrame, Result } from "../core/request.ts";
import type { Home, Member, PodRef } from "../core/topology.ts";
import type { Counters } from "./counters.ts";
import type { Holding } from "./holding.ts";
import type { Usage } from "./memory.ts";
import * as reading from "./reader.ts";
import type { Publisher } from "./replication/publisher.ts";
import { subscribe, type Subscriber } from "./replication/subscriber.ts";
import type { Store } from "./store/store.ts";
import * as writing from "./writer.ts";

/** What this process is now, and how what its writer or reader decides is carried out. */
export type Role =
  | { readonly kind: "nothing" }
  | { readonly kind: "owner"; readonly holding: Holding; readonly writer: Writer }
  | {
      readonly kind: "reader";
      readonly holding: Holding;
      readonly reader: Reader;
      readonly source: Member | null;
      readonly subscriber: Subscriber | null;
    };
export type Writer = writing.Writer<Waiter>;
export type Reader = reading.Reader<Waiter>;

/** Whoever asked, until all results are there. */
export type Waiter = {
  readonly frame: RequestFrame;
  readonly done: (results: readonly Result[]) => void;
  /** Of a reader, where results come one by one. */
  readonly results: Result[];
  missing: number;
};

export type RolesOptions = {
  readonly clusterId: string;
  readonly self: PodRef;
  readonly home: Home;
  readonly token: Uint8Array;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly counters: Counters;
  readonly publisher: Publisher;
  readonly createStore: () => Store;
  readonly usage: Usage;
  /** The memory limit of this process's own container; null where there is none. */
  readonly containerBytes: number | null;
  /** Info should hear of it at once. */
  readonly changed: () => void;
};

export const nowOf = (clock: Clock): reading.Now => ({ nowMs: clock.nowMs(), wallMs: clock.wallMs() });

/** Lets the writer take an event, and does what follows. */
export const stepWriter = (
  options: RolesOptions,
  writer: Writer,
  event: writing.WriterEvent<Waiter>,
): void => {
  for (const effect of writing.step(writer, event)) {
    switch (effect.kind) {
      case "append": {
        const { holding } = writer;
        holding.bytes += options.publisher.append(effect.records);
        // Memory is all there is to reach: what is applied is as durable as it gets.
        stepWriter(options, writer, { kind: "durable", through: holding.version });
        break;
      }
      case "reply":
        effect.to.done(effect.results);
        break;
      case "release":
        effect.batch.release(effect.isDurable);
        break;
    }
  }
};

/** A reader and its connection, null while it has none. */
export type Following = { readonly reader: Reader; readonly subscriber: Subscriber | null };

/** Lets the reader take an event, and does what follows. */
export const stepReader = (
  options: RolesOptions,
  following: Following,
  event: reading.ReaderEvent<Waiter>,
): void => {
  const { reader } = following;
  const before = reader.progress.kind;
  for (const effect of reading.step(reader, event)) perform(options, following, effect);
  if (reader.progress.kind !== before) options.changed();
};

const perform = (
  { publisher, counters, logger }: RolesOptions,
  { reader, subscriber }: Following,
  effect: reading.ReaderEffect<Waiter>,
): void => {
  switch (effect.kind) {
    case "resync":
      counters.resyncsSent++;
      subscriber?.resync(effect.place);
      return;
    case "ack":
      subscriber?.ack();
      return;
    case "reconnect":
      counters.brokenStreams++;
      logger.warn({ shard: reader.shard, reason: effect.reason }, "stream broken off: connecting anew");
      subscriber?.reconnect();
      return;
    case "applied":
      if (publisher.isUsed()) publisher.append(effect.records);
      return;
    case "dropped":
      counters.copiesTaken++;
      publisher.serve(reader.holding);
      return;
    case "result": {
      const { to, index, result } = effect;
      to.results[index] = result;
      if (--to.missing === 0) to.done(to.results);
      return;
    }
  }
};

/** Connects a reader to its source. */
export const connect = (options: RolesOptions, reader: Reader, source: Member): Subscriber => {
  const { clusterId, self, home, token, clock, random, logger, counters } = options;
  const following: { reader: Reader; subscriber: Subscriber | null } = { reader, subscriber: null };
  const take = (event: reading.ReaderEvent<Waiter>): void => {
    stepReader(options, following, event);
  };
  following.subscriber = subscribe({
    ...{ clusterId, role: home, self, token, source, clock, random, logger, holding: reader.holding },
    connected: () => {
      take({ kind: "connected" });
    },
    disconnected: () => {
      take({ kind: "disconnected" });
    },
    message: (message) => {
      if (message.kind === "failure")
        logger.info({ source: source.pod, ...message }, "source ends the stream");
      take({ kind: "message", message, now: nowOf(clock) });
    },
    streamed: (items, bytes) => {
      counters.receivedBytes += bytes;
      take({ kind: "streamed", items, now: nowOf(clock) });
    },
  });
  return following.subscriber;
};
