import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { WebSocket } from "ws";
import type { Cancel, Clock } from "../core/clock.ts";
import { EdisError, isErrorCode, messageOf } from "../core/errors.ts";
import { controlBytesMax, helloMsMax, unsentBytesSoftMax } from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import {
  challengeSchema,
  decodeMessage,
  encodeMessage,
  helloBudget,
  protocolVersion,
  welcomeSchema,
  type Role,
  type Welcome,
} from "../core/message.ts";
import type { PodRef } from "../core/topology.ts";
import { bytesOf, wrap, type Connection, type Handlers } from "./connection.ts";
import { helloProof, sameProof, welcomeProof } from "./proof.ts";
import { reset } from "./tcp.ts";

export type DialOptions = {
  /** `ws://host:port` or `wss://…`. */
  readonly url: string;
  readonly role: Role;
  /** UID or `namespace/name`; empty at info for the only one. */
  readonly cluster: string;
  readonly self: PodRef;
  /** The pod that must answer; empty for any. */
  readonly to: string;
  /** Null from a client: it proves nothing and asks for no proof. */
  readonly token: Uint8Array | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Called once the peer has been proved, before its first message is handled. */
  readonly opened: (connection: Connection, welcome: Welcome) => Handlers;
  /** Until the welcome. Milliseconds; `helloMsMax` by default. */
  readonly timeoutMs?: number;
  /** Of one frame that comes; a control message by default. */
  readonly frameBytesMax?: number;
  /** A peer that answers none of two probes in a row is cut. Milliseconds; 3,000 by default. */
  readonly probeEveryMs?: number;
};

/** The peer refused the hello; `leader` names where to go instead, if it is known. */
export class RefusedError extends EdisError {
  readonly leader: string;

  constructor(code: string, message: string, leader: string) {
    super(isErrorCode(code) ? code : "unreachable", message);
    this.leader = leader;
  }
}

/**
 * Opens a connection and its hello. Rejects with `unreachable`, `timeout`, `bad-token` (the peer could not prove that
 * it belongs to the cluster), or what the peer refused with (RefusedError). Aborting the signal later cuts the connection.
 */
export const dial = async (options: DialOptions): Promise<Connection> => {
  const { url, clock, signal, timeoutMs = helloMsMax, frameBytesMax = controlBytesMax } = options;
  signal.throwIfAborted();
  let socket: WebSocket;
  try {
    socket = new WebSocket(url, {
      perMessageDeflate: false,
      maxPayload: frameBytesMax,
      handshakeTimeout: timeoutMs,
    });
  } catch (error) {
    throw new EdisError("bad-argument", `Cannot dial ${url}: wanted is ws://host:port`, { cause: error });
  }
  return new Promise<Connection>((resolve, reject) => {
    const line = lineOf(socket);
    const { cut } = line;
    const wrapped = wrap(socket, { remote: url, logger: options.logger, pace: false, ...line });
    let settled = false;
    const settle = (error?: Error): void => {
      if (settled) return;
      settled = true;
      cancelTimeout();
      if (error === undefined) {
        resolve(wrapped.connection);
      } else {
        reject(error);
        cut();
      }
    };
    const abort = (): void => {
      settle(new EdisError("aborted", `Cannot dial ${url}: it was given up`));
      cut();
    };
    const cancelTimeout = clock.after(timeoutMs, () => {
      settle(new EdisError("unreachable", `Cannot reach ${url}: no welcome within ${timeoutMs} ms`));
    });
    signal.addEventListener("abort", abort, { once: true });

    const cancelProbes = probe(socket, options, line);
    const greet = greeter(options, socket, (welcome) => {
      wrapped.use(options.opened(wrapped.connection, welcome));
      settle();
    });
    socket.on("message", (data, isBinary) => {
      if (!isBinary) return;
      if (settled) {
        wrapped.receive(bytesOf(data));
        return;
      }
      try {
        greet(bytesOf(data));
      } catch (error) {
        settle(
          error instanceof Error ? error : new EdisError("bad-message", `Cannot read the welcome of ${url}`),
        );
      }
    });
    socket.on("error", (error) => {
      settle(new EdisError("unreachable", `Cannot reach ${url}: ${messageOf(error)}`, { cause: error }));
    });
    socket.on("close", () => {
      cancelProbes();
      signal.removeEventListener("abort", abort);
      settle(new EdisError("unreachable", `Cannot reach ${url}: it closed the connection`));
      wrapped.ended();
    });
  });
};

type Line = { readonly received: () => number; readonly cut: () => void };

/** What lies below a websocket. */
const lineOf = (socket: WebSocket): Line => {
  let raw: Socket | undefined;
  socket.on("upgrade", (response) => {
    raw = response.socket;
  });
  return {
    received: () => raw?.bytesRead ?? 0,
    // What this side has given up must not arrive later: a write that was sent, and that somebody has written over since.
    cut: () => {
      if (raw !== undefined) reset(raw);
      socket.terminate();
    },
  };
};

const usualProbeEveryMs = 3_000;
const silentProbesMax = 2;
/** While much waits to be sent the answer to a probe waits behind it: a largest frame at 10 Mbit/s takes a minute. */
const busyProbesMax = 20;

/**
 * Cuts the connection to a peer that is gone without a word (its machine lost power, its network was cut): a socket
 * that only listens would not notice for a quarter of an hour. Two probes in a row, since the first may be our own stall.
 */
const probe = (
  socket: WebSocket,
  { clock, probeEveryMs = usualProbeEveryMs }: DialOptions,
  { received, cut }: Line,
): Cancel => {
  let silent = 0;
  const heard = (): void => {
    silent = 0;
  };
  socket.on("message", heard);
  socket.on("ping", heard);
  socket.on("pong", heard);
  let read = 0;
  return clock.every(probeEveryMs, () => {
    if (socket.readyState !== socket.OPEN) return;
    // In the middle of a large frame, of either side, no pong can come: bytes that move show that the peer is there.
    const before = read;
    read = received();
    if (read !== before) heard();
    const silentMax = socket.bufferedAmount > unsentBytesSoftMax ? busyProbesMax : silentProbesMax;
    if (silent++ >= silentMax) cut();
    else socket.ping();
  });
};

/** The dialer's half of the opening: answers the challenge, checks the welcome. */
const greeter = (
  { url, role, cluster, self, to, token }: DialOptions,
  socket: WebSocket,
  welcomed: (welcome: Welcome) => void,
): ((frame: Uint8Array) => void) => {
  const nonce = randomBytes(32);
  const hello = { protocol: protocolVersion, cluster, role, ...self, to, nonce };
  let challenge: Uint8Array | undefined;
  return (frame) => {
    if (challenge === undefined) {
      const first = decodeMessage(challengeSchema, frame, helloBudget);
      if (first.kind === "refused") throw new RefusedError(first.code, first.message, first.leader);
      challenge = first.nonce;
      const proof = token === null ? new Uint8Array() : helloProof({ token, challenge, hello });
      socket.send(encodeMessage({ kind: "hello", ...hello, proof }));
      return;
    }
    const welcome = decodeMessage(welcomeSchema, frame, helloBudget);
    if (welcome.kind === "refused") throw new RefusedError(welcome.code, welcome.message, welcome.leader);
    if (token !== null && !sameProof(welcomeProof({ token, challenge, hello }, welcome), welcome.proof)) {
      throw new EdisError("bad-token", `Cannot trust ${url}: it does not know this cluster's token`);
    }
    welcomed(welcome);
  };
};
