import type { ProcessContext } from "./processContext.ts";
import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Epoch, ShardId, Version } from "../core/ids.ts";
import type { RequestFrame, Result } from "../core/request.ts";
import type { Home, Member } from "../core/topology.ts";
import type { Counters } from "./counters.ts";
import type { Held } from "./held.ts";
import { hasMap } from "./holding.ts";
import type { Journal } from "./journal.ts";
import type { CopyWriter } from "./log/log.ts";
import type { Usage } from "./memory.ts";
import * as reading from "./reader.ts";
import type { Now } from "./reads.ts";
import type { Publisher } from "./replication/publisher.ts";
import type { Promises } from "./promise.ts";
import type { SlotSet, Standing } from "./route.ts";
import type { Tenure } from "./tenure.ts";
import { subscribe, type Subscriber } from "./replication/subscriber.ts";
import * as writing from "./writer.ts";

/** What this process is now, and how what its writer or reader decides is carried out. */
export type Role =
  | { readonly kind: "nothing" }
  | { readonly kind: "owner"; readonly held: Held; readonly writer: Writer; readonly tenure: Tenure }
  | {
      readonly kind: "reader";
      readonly held: Held;
      readonly following: Following;
      readonly source: Member | null;
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

export type RoleOptions = ProcessContext & {
  readonly home: Home;
  readonly counters: Counters;
  readonly publisher: Publisher;
  readonly journal: Journal;
  readonly usage: Usage;
  readonly promises: Promises;
  /** How long a lease is that this process grants. Milliseconds. */
  readonly leaseMs: () => number;
  /** Info should hear of it at once. */
  readonly changed: () => void;
  /** A copy is whole, and is what a restart finds. */
  readonly whole: () => void;
};

export const nowOf = (clock: Clock): Now => ({ nowMs: clock.nowMs(), wallMs: clock.wallMs() });

/** Lets the writer take an event, and does what follows. Its records are in the journal; `written` says that there are some. */
export const stepWriter = (writer: Writer, event: writing.WriterEvent<Waiter>, written: () => void): void => {
  for (const effect of writing.step(writer, event)) {
    switch (effect.kind) {
      case "written":
        written();
        break;
      case "reply":
        effect.to.done(effect.results);
        break;
      case "release":
        effect.batch.release(effect.isDurable);
        break;
    }
  }
};

/** A reader, its connections, null while it has none, and the copy that is being written to its volume. */
export type Following = {
  readonly held: Held;
  readonly reader: Reader;
  subscriber: Subscriber | null;
  copyWriter: CopyWriter | null;
  /** A copy is whole, and is becoming what a restart finds. */
  isSettling: boolean;
  /** Resolves once the volume has taken what came of the copy. */
  kept: Promise<void>;
  /** The newest mark of this connection that asks for a lease, while it has got none for it. */
  asked: { readonly epoch: Epoch; readonly mark: number } | null;
};

type Asked = Pick<Following, "asked"> & {
  readonly subscriber: Pick<Subscriber, "grant"> | null;
  readonly reader: Pick<Reader, "shard">;
};

/** Lets the reader take an event, and does what follows. */
export const stepReader = (
  options: RoleOptions,
  following: Following,
  event: reading.ReaderEvent<Waiter>,
): void => {
  const { reader } = following;
  const before = `${reader.link} ${reader.copy?.kind ?? ""}`;
  for (const effect of reading.step(reader, event)) perform(options, following, effect);
  if (`${reader.link} ${reader.copy?.kind ?? ""}` !== before) options.changed();
};

const perform = (options: RoleOptions, following: Following, effect: reading.ReaderEffect<Waiter>): void => {
  const { publisher, counters, logger } = options;
  const { held, reader, subscriber } = following;
  switch (effect.kind) {
    case "resync":
      counters.resyncsSent++;
      subscriber?.resync(effect.place);
      return;
    case "ack":
      subscriber?.ack();
      return;
    case "grant":
      grant(options, following, effect);
      return;
    case "reconnect":
      counters.brokenStreams++;
      logger.warn({ shard: reader.shard, reason: effect.reason }, "stream broken off: connecting anew");
      subscriber?.reconnect();
      return;
    case "applied":
      held.log.append(effect.batch);
      publisher.append(effect.batch);
      return;
    case "askCopy":
      subscriber?.askCopy();
      return;
    case "copyBegins":
      counters.copiesTaken++;
      beginCopy(options, following, effect.quarantineFrom);
      publisher.serve(held);
      return;
    case "copied":
      following.kept = following.copyWriter?.add(effect.bytes) ?? Promise.resolve();
      return;
    case "copyEnds":
      endCopy(options, following);
      return;
    case "copyFails":
      subscriber?.endCopy();
      dropCopy(options, following);
      return;
    case "result": {
      const { to, index, result } = effect;
      to.results[index] = result;
      if (--to.missing === 0) to.done(to.results);
      return;
    }
  }
};

/** An owner asks for a lease: it gets it once this process has promised to obey nobody before it. */
const grant = (
  options: RoleOptions,
  following: Following,
  { epoch, mark }: { readonly epoch: Epoch; readonly mark: number },
): void => {
  options.promises.promise(following.reader.shard, epoch);
  following.asked = { epoch, mark };
  grantAsked(options, following);
};

/** Grants what was asked for last, where that may be by now. */
export const grantAsked = (
  { promises, leaseMs }: Pick<RoleOptions, "promises" | "leaseMs">,
  following: Asked,
): void => {
  const { asked, subscriber, reader } = following;
  const { shard } = reader;
  if (asked === null || subscriber === null) return;
  if (promises.kept(shard) !== asked.epoch || promises.floor(shard) !== asked.epoch) return;
  following.asked = null;
  const forMs = leaseMs();
  promises.grant(shard, forMs);
  subscriber.grant(asked.mark, forMs);
};

/** Makes a copy that is whole what a restart finds. Until then nothing of it is acknowledged. */
const endCopy = (options: RoleOptions, following: Following): void => {
  const { logger, whole } = options;
  const { held, copyWriter, subscriber } = following;
  subscriber?.endCopy();
  logger.info({ shard: held.holding.shard, version: held.holding.version }, "full copy taken");
  following.copyWriter = null;
  following.isSettling = true;
  copyWriter?.finish().then(
    () => {
      following.isSettling = false;
      following.subscriber?.ack();
      whole();
    },
    (error: unknown) => {
      logger.error({ reason: messageOf(error) }, "full copy cannot be kept");
      following.isSettling = false;
      following.copyWriter = copyWriter;
      dropCopy(options, following);
      following.subscriber?.copyUnkept();
      stepReader(options, following, { kind: "copyUnkept" });
    },
  );
};

const beginCopy = (options: RoleOptions, following: Following, quarantineFrom: Version | null): void => {
  dropCopy(options, following);
  const { holding, log } = following.held;
  if (quarantineFrom !== null)
    quarantined(options, { shard: holding.shard, from: quarantineFrom, to: log.newest() });
  const place = { version: holding.version };
  following.copyWriter = log.beginCopy(quarantineFrom === null ? place : { ...place, quarantineFrom });
};

const quarantined = (
  { counters, logger }: RoleOptions,
  { shard, from, to }: { readonly shard: ShardId; readonly from: Version; readonly to: Version },
): void => {
  const records = Math.max(0, to - from + 1);
  counters.quarantinedRecords += records;
  logger.warn(
    { shard, quarantineFrom: from, records },
    `held ${records} records that were lost when the owner changed: they are kept aside, see quarantine/`,
  );
};

/** Lets go what was begun of a copy. */
export const dropCopy = ({ logger }: RoleOptions, following: Following): void => {
  following.copyWriter?.abort().catch((error: unknown) => {
    logger.warn({ error }, "what was begun of a copy cannot be removed");
  });
  following.copyWriter = null;
};

/** What survives of a reader's holding: nothing before a copy is whole on its volume. */
const durableOf = ({ held, isSettling }: Following): Version | null =>
  held.holding.complete && !isSettling ? held.log.durable() : null;

/** Connects a reader to its source. */
export const connect = (options: RoleOptions, following: Following, source: Member): void => {
  const { clusterId, self, home, token, network, clock, random, logger, counters } = options;
  const { holding } = following.held;
  const take = (event: reading.ReaderEvent<Waiter>): void => {
    stepReader(options, following, event);
  };
  following.subscriber = subscribe({
    ...{ clusterId, role: home, self, token, source, network, clock, random, logger, holding },
    durable: () => durableOf(following),
    connected: () => {
      following.asked = null;
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
    streamed: (bytes) => {
      counters.receivedBytes += bytes.length;
      take({ kind: "streamed", bytes, now: nowOf(clock) });
    },
    entries: (bytes) => {
      counters.receivedBytes += bytes.length;
      take({ kind: "entries", bytes });
      return following.kept;
    },
    copyLost: () => {
      take({ kind: "copyLost" });
    },
  });
};

/** What this process is, for routing. */
export const standingOf = (
  role: Role,
  {
    slots,
    informed,
    isNext,
  }: { readonly slots: SlotSet; readonly informed: boolean; readonly isNext: boolean },
): Standing => {
  switch (role.kind) {
    case "nothing":
      return { kind: "nothing", informed, isNext };
    case "owner": {
      const { shard } = role.held.holding;
      const hasLease = role.tenure.leaseLeftMs() > 0;
      return { kind: "owner", shard, epoch: role.writer.epoch, slots, hasLease };
    }
    case "reader": {
      const { holding } = role.held;
      const { shard, complete } = holding;
      return { kind: "reader", shard, complete, hasMap: hasMap(holding), slots, isNext };
    }
  }
};
