import type { Socket } from "node:net";
import type { Clock } from "../../../core/clock.ts";
import {
  connectionsMax,
  halfReceivedBytesMax,
  respStalledMsMax,
  unsentBytesInAllMax,
} from "../../../core/limits.ts";
import type { Logger } from "../../../core/logger.ts";
import type { Report } from "../../../core/message.ts";
import type { PodRef, TopologyIndex } from "../../../core/topology.ts";
import type { Network } from "../../../net/network.ts";
import { createUnsent, type Unsent } from "../../../net/unsent.ts";
import type { Counters } from "../../counters.ts";
import type { Parked } from "../../parked.ts";
import type { Roles } from "../../roles.ts";
import type { Batch } from "../../writer.ts";
import { createCalls, type Calls } from "./calls.ts";
import { createCommandLatency, type CommandLatency } from "./latency.ts";
import { createRates, type Rates } from "./rates.ts";
import { createReceiver, type Receiver } from "./receive.ts";
import { plainOf, redirect, type Place, type Plain } from "./redirect.ts";
import { createReplyBuffers, type ReplyBuffers } from "./replies.ts";
import { createScans, type Scans } from "./scans.ts";
import { openSession, type Session } from "./session.ts";

/** The RESP port: Redis Cluster's protocol, versions 2 and 3. */
export type RespListener = {
  readonly port: number;
  readonly connections: () => number;
  readonly commandLatency: CommandLatency["figures"];
  readonly counters: RespCounters;
  /** Takes no more connections; those that are open stay. */
  readonly stopAccepting: () => void;
  /** Answers what was asked and lets everybody go. */
  readonly end: () => void;
  /** Ends everything. */
  readonly close: () => Promise<void>;
};

export type RespOptions = {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly network: Pick<Network, "listenTcp">;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly self: PodRef;
  readonly clusterId: string;
  readonly roles: Roles;
  readonly topology: () => TopologyIndex | undefined;
  readonly report: () => Report;
  /** Where commands wait whose slots are frozen. */
  readonly parked: Parked;
  /** Of the process, whoever is served by it. */
  readonly processCounters: Counters;
};

/** What commands see of the process. */
export type Server = Pick<
  RespOptions,
  | "clock"
  | "random"
  | "logger"
  | "self"
  | "clusterId"
  | "topology"
  | "report"
  | "roles"
  | "processCounters"
  | "parked"
> & {
  readonly execute: (batch: Batch) => void;
  /** Null where this process serves the slot, for a client that has (not) said READONLY; else the error that says who does. */
  readonly redirection: (slot: number, isReadOnly: boolean) => string | null;
  /** What a client that has (not) said READONLY may be served without asking that of each command. */
  readonly plain: (isReadonly: boolean) => Plain;
  readonly buffers: ReplyBuffers;
  readonly latency: CommandLatency;
  readonly sessions: ReadonlyMap<number, Session>;
  readonly scans: Scans;
  readonly counters: RespCounters;
  /** Replies that no client has taken yet, over all of them. */
  readonly unsent: Unsent;
  readonly rates: Rates;
  readonly startedAtMs: number;
  readonly port: () => number;
};
export type RespCounters = {
  commands: number;
  readonly calls: Calls;
  /** Replies that are errors. */
  errors: number;
  connections: number;
  rejected: number;
  inputBytes: number;
  outputBytes: number;
};

const sweepMs = 100;

/** Opens the port. Rejects where it is taken. */
export const listenResp = async (options: RespOptions): Promise<RespListener> => {
  const { clock, host, logger, roles, topology } = options;
  const sessions = new Map<number, Session>();
  let port = 0;
  const counters: RespCounters = {
    ...{ commands: 0, calls: createCalls(), errors: 0, connections: 0, rejected: 0 },
    ...{ inputBytes: 0, outputBytes: 0 },
  };
  const lag = (): ReturnType<Place["lag"]> => lagOf(options);
  const server: Server = {
    ...options,
    ...{ buffers: createReplyBuffers(), latency: createCommandLatency(), rates: createRates() },
    ...{ sessions, counters, scans: createScans(), startedAtMs: clock.nowMs(), port: () => port },
    unsent: createUnsent(unsentBytesInAllMax),
    execute: roles.execute,
    redirection: (slot, isReadOnly) =>
      redirect({ standing: roles.standing(), index: topology(), lag }, slot, isReadOnly),
    plain: (isReadonly) => plainOf(roles.standing(), lag, isReadonly),
  };
  const receiver = createReceiver();
  const listener = await options.network.listenTcp({
    ...{ host, port: options.port },
    accepted: (socket) => {
      open(server, sessions, { socket, receiver });
    },
    failed: (error) => {
      logger.error({ error }, "RESP listener failed");
    },
  });
  port = listener.port;
  const stopSweep = clock.every(sweepMs, () => {
    sweep(sessions, clock.nowMs());
    server.rates.sample(counters, clock.nowMs());
  });
  return {
    port,
    connections: () => sessions.size,
    commandLatency: server.latency.figures,
    counters,
    stopAccepting: listener.stopAccepting,
    end: () => {
      for (const session of sessions.values()) session.end();
    },
    close: async () => {
      stopSweep();
      for (const session of sessions.values()) session.cut();
      await listener.close();
    },
  };
};

const open = (
  server: Server,
  sessions: Map<number, Session>,
  { socket: accepted, receiver }: { readonly socket: Socket; readonly receiver: Receiver },
): void => {
  if (sessions.size >= connectionsMax) {
    server.counters.rejected++;
    accepted.destroy();
    return;
  }
  const id = ++server.counters.connections;
  const [socket, session] = openSession({ accepted, receiver }, id, server);
  socket.setKeepAlive(true, 300_000);
  sessions.set(id, session);
  socket.on("close", () => {
    sessions.delete(id);
  });
};

/** How old at most what is held here is, and may be. Milliseconds. */
const lagOf = ({ roles, topology }: RespOptions): { readonly ms: number; readonly msMax: number } => ({
  ms: roles.ageMs(),
  msMax: topology()?.topology.lagMsMax ?? 0,
});

/** Bounds what half-sent commands and transactions hold in all, and lets go who does not read. */
const sweep = (sessions: ReadonlyMap<number, Session>, nowMs: number): void => {
  let held = 0;
  let worst: Session | undefined;
  for (const session of sessions.values()) {
    const bytes = session.held();
    held += bytes;
    if (worst === undefined || bytes > worst.held()) worst = session;
    const since = session.stalledSinceMs();
    if (since !== null && nowMs - since > respStalledMsMax) session.cut();
    else session.goOn();
  }
  if (held > halfReceivedBytesMax) worst?.cut();
};
