import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import {
  decodeMessage,
  encodeMessage,
  toShardSchema,
  type Register,
  type Report,
  type SlotSizes,
  type ToShard,
} from "../core/message.ts";
import type { PodRef } from "../core/topology.ts";
import type { Connection, Handlers } from "../net/connection.ts";
import type { Network } from "../net/network.ts";
import { stayConnected } from "../net/stayConnected.ts";
import type { TopologyKeeper } from "./topology.ts";

/** The session with info: says where this process is found and how it is doing, hears the topology. */
export type InfoSession = {
  /** Sends a report soon, ahead of the next heartbeat. */
  readonly reportSoon: () => void;
  readonly isConnected: () => boolean;
  /** Resolves once it is over. */
  readonly stop: () => Promise<void>;
};

export type InfoOptions = {
  readonly urls: readonly string[];
  readonly clusterId: string;
  readonly self: PodRef;
  readonly token: Uint8Array;
  readonly register: Register;
  readonly report: () => Report;
  /** A report with this number is about to go. */
  readonly reporting: (seq: number) => void;
  readonly granted: (grant: Extract<ToShard, { kind: "grant" }>) => void;
  /** Null where there is nothing to say. */
  readonly slotSizes: () => SlotSizes | null;
  readonly topology: TopologyKeeper;
  readonly network: Pick<Network, "dial">;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
};

const reportEveryMs = 200;
const sizesEveryMs = 2_000;
const backoff = { firstMs: 100, maxMs: 1_000 };
/** An info whose node is gone is left soon: there may be another one, and writes may wait for it. */
const [probeEveryMs, dialMsMax] = [1_000, 2_000];
/** Reports are some hundred bytes: an info that has not taken this many is gone, whatever the socket says. */
const unsentBytesMax = 64 * 1024;

/** While info is away everything else goes on; the session comes back by itself. */
export const startInfoSession = (options: InfoOptions): InfoSession => {
  const { urls, clusterId, self, token, register, network, clock, random, logger } = options;
  const ended = new AbortController();
  let connection: Connection | null = null;
  let reportIsDue = false;
  let lost = true;
  let reports = 0;

  const report = (): void => {
    reportIsDue = false;
    if (connection === null) return;
    if (connection.unsentBytes() > unsentBytesMax) connection.cut();
    else {
      const seq = ++reports;
      options.reporting(seq);
      const obeyed = options.topology.current()?.topology;
      const topology = obeyed === undefined ? null : { term: obeyed.term, revision: obeyed.revision };
      const said = { ...options.report(), seq, topology };
      connection.send(encodeMessage({ kind: "report", report: said }));
    }
  };

  const sizes = createTeller(clock, options.slotSizes);

  const opened = (to: Connection): Handlers => {
    connection = to;
    sizes.to(to);
    if (lost) logger.info({ info: to.remote }, "registered with info");
    lost = false;
    to.send(encodeMessage(register));
    report();
    return {
      message: (frame) => {
        hear(options, to, decodeMessage(toShardSchema, frame));
      },
      closed: () => {
        if (connection === to) connection = null;
      },
    };
  };

  const failed = (error: unknown, url: string): void => {
    if (!lost)
      logger.warn({ info: url, reason: messageOf(error) }, "info is away: everything goes on without it");
    lost = true;
  };

  const cancel = clock.every(reportEveryMs, report);
  const done = stayConnected({
    ...{ urls: () => urls, cluster: clusterId, role: register.home, self, to: "", token },
    ...{ network, clock, logger, signal: ended.signal, backoff, random, opened, failed },
    ...{ probeEveryMs, timeoutMs: dialMsMax },
  });

  return {
    reportSoon: () => {
      if (reportIsDue) return;
      reportIsDue = true;
      clock.soon(report);
    },
    isConnected: () => connection !== null,
    stop: async () => {
      cancel();
      sizes.stop();
      ended.abort();
      await done;
    },
  };
};

const hear = ({ topology, granted, logger }: InfoOptions, from: Connection, message: ToShard): void => {
  switch (message.kind) {
    case "topology":
      topology.offer(message.topology);
      return;
    case "change":
      // A new session begins with a snapshot.
      if (!topology.offerChange(message.change)) from.cut();
      return;
    case "grant":
      granted(message);
      return;
    case "failure":
      logger.warn({ code: message.code, message: message.message }, "info ends the session");
      return;
  }
};

type Teller = {
  /** From now on this one is told. */
  readonly to: (connection: Connection) => void;
  readonly stop: () => void;
};

/**
 * Tells the sizes of slots now and then, where they are others than it told before: in a new session as soon as there are any,
 * as no plan of moves begins without them.
 */
const createTeller = (clock: Clock, slotSizes: () => SlotSizes | null): Teller => {
  let connection: Connection | null = null;
  let last: Uint8Array = new Uint8Array(0);
  let toldMs = -Infinity;
  const cancel = clock.every(reportEveryMs, () => {
    if (clock.nowMs() - toldMs < sizesEveryMs) return;
    const sizes = connection?.isOpen() === true ? slotSizes() : null;
    if (sizes === null) return;
    toldMs = clock.nowMs();
    const frame = encodeMessage(sizes);
    if (Buffer.compare(frame, last) === 0) return;
    last = frame;
    connection?.send(frame);
  });
  return {
    to: (opened) => {
      connection = opened;
      last = new Uint8Array(0);
      toldMs = -Infinity;
    },
    stop: cancel,
  };
};
