import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import {
  decodeMessage,
  encodeMessage,
  isControl,
  toReaderSchema,
  type Role,
  type ToReader,
} from "../../core/message.ts";
import { decodeStreamed, type Streamed } from "../../core/record.ts";
import type { Place } from "../../core/request.ts";
import type { Member, PodRef } from "../../core/topology.ts";
import type { Connection, Handlers } from "../../net/connection.ts";
import { stayConnected } from "../../net/stayConnected.ts";
import type { Holding } from "../holding.ts";

/**
 * Keeps a connection to the process that a shard is copied from, and hands over what comes. Runs until it is stopped.
 */
export type Subscriber = {
  readonly resync: (place: Place) => void;
  /** Tells the source how far the holding is, soon, and not more often than needed. */
  readonly ack: () => void;
  /** Cuts the connection; another one follows. */
  readonly reconnect: () => void;
  readonly stop: () => void;
};

export type SubscriberOptions = {
  readonly clusterId: string;
  readonly role: Role;
  readonly self: PodRef;
  readonly token: Uint8Array;
  readonly source: Member;
  readonly holding: Holding;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly connected: () => void;
  readonly disconnected: () => void;
  readonly message: (message: ToReader) => void;
  readonly streamed: (items: readonly Streamed[], bytes: number) => void;
};

const backoff = { firstMs: 50, maxMs: 1_000 };
const ackEveryMs = 5;
/** A source sends a mark every 100 ms; one that is silent this long is gone, whatever the socket says. */
const silentMsMax = 5_000;

export const subscribe = (options: SubscriberOptions): Subscriber => {
  const { source, holding, clock, logger, clusterId, role, self, token, random } = options;
  const ended = new AbortController();
  let connection: Connection | null = null;
  let ackedAtMs = -ackEveryMs;
  let ackIsDue = false;
  let heardAtMs = clock.nowMs();

  const sendAck = (): void => {
    ackIsDue = false;
    ackedAtMs = clock.nowMs();
    const { epoch, version, bytes } = holding;
    connection?.send(encodeMessage({ kind: "ack", epoch, version, bytes }));
  };

  const opened = (to: Connection, incarnation: string): Handlers => {
    if (incarnation !== source.incarnation) {
      logger.debug({ source: source.pod, incarnation }, "source is another process than the topology names");
      to.close();
      return { message: () => undefined, closed: () => undefined };
    }
    connection = to;
    heardAtMs = clock.nowMs();
    options.connected();
    return {
      message: (frame) => {
        if (connection !== to) return;
        heardAtMs = clock.nowMs();
        if (isControl(frame)) options.message(decodeMessage(toReaderSchema, frame));
        else options.streamed(decodeStreamed(frame), frame.length);
      },
      closed: () => {
        if (connection !== to) return;
        connection = null;
        options.disconnected();
      },
    };
  };

  const reconnect = (): void => {
    connection?.cut();
  };

  const cancelWatch = clock.every(silentMsMax / 5, () => {
    if (connection === null || clock.nowMs() - heardAtMs < silentMsMax) return;
    logger.warn({ source: source.pod }, "source is silent: connecting anew");
    reconnect();
  });

  void stayConnected({
    urls: () => [`ws://${hostOf(source)}:${source.address.replication}`],
    cluster: clusterId,
    role,
    self,
    to: source.pod,
    token,
    clock,
    logger,
    signal: ended.signal,
    backoff,
    random,
    opened: (to, welcome) => opened(to, welcome.incarnation),
    failed: (error) => {
      logger.debug({ source: source.pod, error }, "cannot reach the source");
    },
  });

  return {
    resync: ({ epoch, version }) => {
      connection?.send(encodeMessage({ kind: "resync", shard: holding.shard, epoch, version }));
    },
    ack: () => {
      if (ackIsDue) return;
      ackIsDue = true;
      const waitMs = ackedAtMs + ackEveryMs - clock.nowMs();
      if (waitMs <= 0) clock.soon(sendAck);
      else clock.after(waitMs, sendAck);
    },
    reconnect,
    stop: () => {
      cancelWatch();
      const open = connection;
      connection = null;
      ended.abort();
      open?.close();
    },
  };
};

/** An IPv6 address stands in brackets in a url. */
const hostOf = ({ address: { host } }: Member): string => (host.includes(":") ? `[${host}]` : host);
