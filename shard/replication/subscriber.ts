import type { ProcessContext } from "../processContext.ts";
import { backoffMs } from "../../core/backoff.ts";
import { EdisError } from "../../core/errors.ts";
import type { Version } from "../../core/ids.ts";
import { frameBytesMax } from "../../core/limits.ts";
import {
  decodeMessage,
  encodeMessage,
  isControl,
  toReaderSchema,
  type Role,
  type ToReader,
} from "../../core/message.ts";
import type { Place } from "../../core/request.ts";
import type { Member } from "../../core/topology.ts";
import type { Connection, Handlers } from "../../net/connection.ts";
import { stayConnected } from "../../net/stayConnected.ts";
import type { Holding } from "../holding.ts";

/**
 * Keeps a connection to the process that a shard is copied from, and hands over what comes; a second one beside it while a
 * full copy is taken, so that the first never waits behind it. Runs until it is stopped.
 */
export type Subscriber = {
  readonly resync: (place: Place) => void;
  /** Tells the source how far the copy is, soon, and not more often than needed. */
  readonly ack: () => void;
  /** The same, and that a lease of so many milliseconds is granted for this mark. */
  readonly grant: (mark: number, leaseMs: number) => void;
  /** Cuts the connection; another one follows. */
  readonly reconnect: () => void;
  /** Opens the second connection, or another one in its place, and asks for a copy. */
  readonly askCopy: () => void;
  /** The second connection is not needed any more. */
  readonly endCopy: () => void;
  /** The volume has not kept a copy that was whole: the next one is asked for later. */
  readonly copyUnkept: () => void;
  readonly stop: () => void;
};

export type SubscriberOptions = ProcessContext & {
  readonly role: Role;
  readonly source: Member;
  readonly holding: Holding;
  /** The newest version that survives here; null while nothing whole is held. */
  readonly durable: () => Version | null;
  readonly connected: () => void;
  readonly disconnected: () => void;
  /** From either connection. */
  readonly message: (message: ToReader) => void;
  readonly streamed: (bytes: Uint8Array) => void;
  /** Entries of a copy; more come once this has resolved. */
  readonly entries: (bytes: Uint8Array) => Promise<void>;
  readonly copyLost: () => void;
};

const backoff = { firstMs: 50, maxMs: 1_000 };
/** A copy that the volume had no room for costs the source as much as one that is kept. */
const copyAgain = { firstMs: 1_000, maxMs: 30_000 };
const ackEveryMs = 5;
/** A source sends a mark every 100 ms; one that is silent this long is gone, whatever the socket says. */
const silentMsMax = 5_000;

export const subscribe = (options: SubscriberOptions): Subscriber => {
  const { source, holding, clock, logger } = options;
  const ended = new AbortController();
  const state: State = {
    connection: null,
    heardAtMs: clock.nowMs(),
    received: 0,
    copying: null,
    unkept: 0,
    grant: noGrant,
  };
  const ack = createAcker(options, state);

  const cancelWatch = clock.every(silentMsMax / 5, () => {
    if (state.connection === null) return;
    // A large record comes in one frame: its bytes show that the source is there.
    const received = state.connection.receivedBytes();
    if (received !== state.received) state.heardAtMs = clock.nowMs();
    state.received = received;
    if (clock.nowMs() - state.heardAtMs < silentMsMax) return;
    logger.warn({ source: source.pod }, "source is silent: connecting anew");
    state.connection.cut();
  });
  stayWith(options, ended.signal, (connection) => follow(options, state, connection));
  const endCopy = (): void => {
    state.copying?.abort();
    state.copying = null;
  };

  return {
    resync: ({ epoch, version }) => {
      state.connection?.send(encodeMessage({ kind: "resync", shard: holding.shard, epoch, version }));
    },
    ack,
    grant: (mark, leaseMs) => {
      state.grant = { grant: mark, leaseMs };
      ack();
    },
    reconnect: () => {
      state.connection?.cut();
    },
    askCopy: () => {
      endCopy();
      const copying = new AbortController();
      state.copying = copying;
      const { signal } = copying;
      stayWith(options, signal, (connection) => takeCopy(options, state, { connection, signal }));
    },
    endCopy,
    copyUnkept: () => {
      state.unkept++;
    },
    stop: () => {
      cancelWatch();
      state.connection = null;
      // Cuts the connections as well.
      endCopy();
      ended.abort();
    },
  };
};

type State = {
  connection: Connection | null;
  heardAtMs: number;
  received: number;
  copying: AbortController | null;
  /** Copies that the volume did not keep, one after the other. */
  unkept: number;
  /** The newest, on this connection. */
  grant: Granted;
};
type Granted = { readonly grant: number; readonly leaseMs: number };
const noGrant: Granted = { grant: 0, leaseMs: 0 };

/** Keeps a connection to the very process that the topology names, until the signal is aborted. */
const stayWith = (
  { source, clusterId, role, self, token, network, clock, logger, random }: SubscriberOptions,
  signal: AbortSignal,
  opened: (connection: Connection) => Handlers,
): void => {
  void stayConnected({
    ...{ cluster: clusterId, role, self, to: source.pod, token, clock, logger, backoff, random, signal },
    ...{ network, frameBytesMax },
    urls: () => [`ws://${hostOf(source)}:${source.address.replication}`],
    opened: (connection, { incarnation }) => {
      if (incarnation === source.incarnation) return opened(connection);
      logger.debug({ source: source.pod, incarnation }, "source is another process than the topology names");
      connection.close();
      return { message: () => undefined, closed: () => undefined };
    },
  });
};

const follow = (options: SubscriberOptions, state: State, connection: Connection): Handlers => {
  const { clock } = options;
  state.connection = connection;
  state.grant = noGrant;
  state.heardAtMs = clock.nowMs();
  options.connected();
  return {
    message: (frame) => {
      if (state.connection !== connection) return;
      state.heardAtMs = clock.nowMs();
      if (isControl(frame)) options.message(decodeMessage(toReaderSchema, frame));
      else options.streamed(frame);
    },
    closed: () => {
      if (state.connection !== connection) return;
      state.connection = null;
      options.disconnected();
    },
  };
};

const takeCopy = (
  options: SubscriberOptions,
  state: State,
  { connection, signal }: { readonly connection: Connection; readonly signal: AbortSignal },
): Handlers => {
  const { message, entries, copyLost, logger } = options;
  let isUnkept = false;
  askInTime(options, state, { connection, signal });
  return {
    message: (frame) => {
      if (signal.aborted) return;
      if (isControl(frame)) {
        message(decodeMessage(toReaderSchema, frame));
        return;
      }
      connection.pause();
      entries(frame).then(connection.resume, (error: unknown) => {
        // Of all the frames that were under way.
        if (!isUnkept && !(error instanceof EdisError && error.code === "aborted")) {
          state.unkept++;
          logger.warn({ error }, "copy cannot be kept: another is taken later");
        }
        isUnkept = true;
        connection.cut();
      });
    },
    closed: () => {
      if (!signal.aborted) copyLost();
    },
  };
};

/** Asks for a copy: at once, or later where the volume has not kept the last one. */
const askInTime = (
  { holding, clock, random }: SubscriberOptions,
  { unkept }: State,
  { connection, signal }: { readonly connection: Connection; readonly signal: AbortSignal },
): void => {
  const ask = (): void => {
    if (!signal.aborted && connection.isOpen())
      connection.send(encodeMessage({ kind: "copy", shard: holding.shard }));
  };
  if (unkept === 0) ask();
  else clock.after(backoffMs(copyAgain, unkept, random()), ask);
};

/** Acknowledges at the end of the turn, or a little later where one went out just before. */
const createAcker = ({ clock, holding, durable }: SubscriberOptions, state: State): (() => void) => {
  let sentAtMs = clock.nowMs() - ackEveryMs;
  let isDue = false;
  const send = (): void => {
    isDue = false;
    sentAtMs = clock.nowMs();
    const version = durable();
    const { epoch, bytes } = holding;
    if (version !== null)
      state.connection?.send(encodeMessage({ kind: "ack", epoch, version, bytes, ...state.grant }));
  };
  return () => {
    if (isDue) return;
    isDue = true;
    const waitMs = sentAtMs + ackEveryMs - clock.nowMs();
    if (waitMs <= 0) clock.soon(send);
    else clock.after(waitMs, send);
  };
};

/** An IPv6 address stands in brackets in a url. */
export const hostOf = ({ address: { host } }: Member): string => (host.includes(":") ? `[${host}]` : host);
