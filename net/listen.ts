import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";
import type { Clock } from "../core/clock.ts";
import { EdisError, type ErrorCode } from "../core/errors.ts";
import {
  connectionsMax,
  controlBytesMax,
  halfReceivedBytesMax,
  helloBytesMax,
  helloMsMax,
  unsentBytesInAllMax,
} from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import {
  decodeMessage,
  encodeMessage,
  helloBudget,
  helloSchema,
  protocolVersion,
  type Hello,
} from "../core/message.ts";
import type { PodRef } from "../core/topology.ts";
import { bytesOf, wrap, type Connection, type Handlers } from "./connection.ts";
import { createUnsent, type Unsent } from "./unsent.ts";
import { helloProof, sameProof, welcomeProof } from "./proof.ts";

/** A port that takes websocket connections: challenge, hello, welcome, then whatever `opened` makes of them. */
export type Listener = {
  readonly port: number;
  readonly connections: () => number;
  /** Connections that were refused or cut off, by error code. */
  readonly refusals: ReadonlyMap<ErrorCode, number>;
  /** Takes no more connections; those that are open stay. */
  readonly stopAccepting: () => void;
  /** Ends everything. */
  readonly close: () => Promise<void>;
};

export type ListenOptions = {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly self: PodRef;
  /** Judges a well-formed hello: who it is for, and the token that its proof must be made with (null asks for none). Throws an EdisError to refuse. */
  readonly admit: (hello: Hello) => Admission;
  readonly opened: (connection: Connection, hello: Hello) => Handlers;
  /** Stop reading from peers that do not read (default true). */
  readonly pace?: boolean;
  readonly limits?: Partial<ListenLimits>;
};

export type ListenLimits = {
  /** Of one frame; a control message by default. */
  readonly frameBytesMax: number;
  /** Of frames that have not come whole, and of what peers have not taken: over all connections. */
  readonly halfReceivedBytesMax: number;
  readonly unsentBytesMax: number;
};
const usualLimits: ListenLimits = {
  frameBytesMax: controlBytesMax,
  halfReceivedBytesMax,
  unsentBytesMax: unsentBytesInAllMax,
};

export type Admission = {
  readonly clusterId: string;
  readonly cluster: string;
  readonly token: Uint8Array | null;
};

/** A refusal that names where to go instead. */
export class NotLeaderError extends EdisError {
  readonly leader: string;

  constructor(leader: string) {
    super(
      "not-leader",
      `Cannot serve here: this operator stands by; the leader is ${leader === "" ? "not known yet" : leader}`,
    );
    this.leader = leader;
  }
}

type Client = {
  readonly socket: WebSocket;
  readonly raw: Socket;
  /** Bytes read when the last whole message was handed over. */
  consumed: number;
  proved: boolean;
  alive: boolean;
  /** Bytes read when it was last looked at. */
  seen: number;
};

const sweepMs = 100;
const pingEverySweeps = 150;

/** Opens the port. Rejects where it is taken. */
export const listen = async (options: ListenOptions): Promise<Listener> => {
  const { clock, host } = options;
  const refusals = new Map<ErrorCode, number>();
  const clients = new Set<Client>();
  const http = createServer({ headersTimeout: helloMsMax, requestTimeout: helloMsMax }, (_, response) => {
    response.writeHead(426, { connection: "close" }).end("This port speaks websocket.\n");
  });
  http.maxConnections = connectionsMax;
  const limits = { ...usualLimits, ...options.limits };
  const unsent = createUnsent(limits.unsentBytesMax);
  const maxPayload = limits.frameBytesMax;
  const server = new WebSocketServer({ server: http, maxPayload, perMessageDeflate: false });
  const refuse = (code: ErrorCode): void => void refusals.set(code, (refusals.get(code) ?? 0) + 1);

  // It repeats the errors of the HTTP server, which are handled below.
  server.on("error", () => undefined);
  server.on("connection", (socket, request) => {
    accept({ options, clients, refuse, unsent }, socket, request);
  });
  await new Promise<void>((resolve, reject) => {
    http.once("error", reject);
    http.listen(options.port, host, () => {
      http.off("error", reject);
      resolve();
    });
  });
  http.on("error", (error) => {
    options.logger.error({ error }, "listener failed");
  });

  let sweeps = 0;
  const stopSweep = clock.every(sweepMs, () => {
    sweep(clients, refuse, limits.halfReceivedBytesMax);
    if (++sweeps % pingEverySweeps === 0) for (const client of clients) checkAlive(client);
  });

  return {
    port: (http.address() as AddressInfo).port,
    connections: () => clients.size,
    refusals,
    stopAccepting: () => {
      http.close();
    },
    close: async () => {
      stopSweep();
      for (const { socket } of clients) socket.terminate();
      server.close();
      http.closeAllConnections();
      await new Promise<void>((resolve) => {
        http.close(() => {
          resolve();
        });
      });
    },
  };
};

type Port = {
  readonly options: ListenOptions;
  readonly clients: Set<Client>;
  readonly refuse: (code: ErrorCode) => void;
  readonly unsent: Unsent;
};

/** Says why, and lets go. */
const turnAway = (
  { options, refuse }: Port,
  { socket, remote }: { readonly socket: WebSocket; readonly remote: string },
  error: EdisError,
): void => {
  const { clock, logger } = options;
  refuse(error.code);
  logger.debug({ remote, code: error.code, message: error.message }, "refused a connection");
  const leader = error instanceof NotLeaderError ? error.leader : "";
  socket.send(encodeMessage({ kind: "refused", code: error.code, message: error.message, leader }));
  socket.close(1008);
  // A peer that never answers the closing frame is not waited for.
  clock.after(sweepMs * 10, () => {
    socket.terminate();
  });
};

const accept = (port: Port, socket: WebSocket, request: IncomingMessage): void => {
  const { options, clients, refuse, unsent } = port;
  const { clock, logger, self, pace = true } = options;
  const raw = request.socket;
  raw.setNoDelay(true);
  const remote = `${raw.remoteAddress ?? "?"}:${raw.remotePort ?? 0}`;
  const read = raw.bytesRead;
  const client: Client = { socket, raw, consumed: read, proved: false, alive: true, seen: read };
  clients.add(client);
  const cut = (): void => {
    socket.terminate();
  };
  const account = unsent.open(() => {
    refuse("too-busy");
    logger.warn({ remote }, "peers take too little in all: the one that owes most is cut off");
    cut();
  });
  const wrapped = wrap(socket, { remote, logger, pace, account, cut, received: () => raw.bytesRead });
  const nonce = randomBytes(32);

  const refuseHello = (error: EdisError): void => {
    turnAway(port, { socket, remote }, error);
  };
  const cancelHelloTimeout = clock.after(helloMsMax, () => {
    refuseHello(new EdisError("timeout", `Cannot wait longer for a hello: ${helloMsMax} ms are over`));
  });

  const open = (frame: Uint8Array): void => {
    const hello = decodeMessage(helloSchema, frame, helloBudget);
    const admission = judge(options, hello, nonce);
    const { token, clusterId, cluster } = admission;
    client.proved = true;
    cancelHelloTimeout();
    const proof = token === null ? new Uint8Array() : welcomeProof({ token, challenge: nonce, hello }, self);
    socket.send(
      encodeMessage({ kind: "welcome", protocol: protocolVersion, clusterId, cluster, ...self, proof }),
    );
    wrapped.use(options.opened(wrapped.connection, hello));
  };

  socket.on("message", (data, isBinary) => {
    client.consumed = raw.bytesRead;
    client.alive = true;
    if (client.proved && isBinary) {
      wrapped.receive(bytesOf(data));
      return;
    }
    if (socket.readyState !== socket.OPEN) return;
    try {
      if (!isBinary)
        throw new EdisError("bad-message", "Cannot read a text frame: messages are binary (CBOR)");
      open(bytesOf(data));
    } catch (error) {
      refuseHello(error instanceof EdisError ? error : new EdisError("bad-message", "Cannot read the hello"));
    }
  });
  socket.on("pong", () => {
    client.alive = true;
  });
  socket.on("error", (error) => {
    refuse("bad-message");
    logger.debug({ remote, error: error.message }, "connection failed");
  });
  socket.on("close", () => {
    cancelHelloTimeout();
    clients.delete(client);
    wrapped.ended();
  });
  socket.send(encodeMessage({ kind: "challenge", nonce }));
};

const judge = (options: ListenOptions, hello: Hello, nonce: Uint8Array): Admission => {
  if (hello.protocol !== protocolVersion) {
    throw new EdisError(
      "wrong-protocol",
      `Cannot speak protocol ${hello.protocol}: this process speaks ${protocolVersion}; use a client of the same release`,
    );
  }
  const { self } = options;
  if (hello.to !== "" && hello.to !== self.pod) {
    throw new EdisError(
      "wrong-pod",
      `Cannot answer for pod ${hello.to}: this is ${self.pod}; fetch the topology again`,
    );
  }
  const admission = options.admit(hello);
  if (admission.token !== null) {
    const wanted = helloProof({ token: admission.token, challenge: nonce, hello });
    if (!sameProof(wanted, hello.proof)) {
      throw new EdisError(
        "bad-token",
        `Cannot accept ${hello.role} ${hello.pod}: its token is not this cluster's`,
      );
    }
  }
  return admission;
};

/** Bounds what half-sent frames may hold: before the hello by connection, afterwards in all. */
const sweep = (clients: ReadonlySet<Client>, refuse: (code: ErrorCode) => void, bytesMax: number): void => {
  let halfReceived = 0;
  let worst: Client | undefined;
  const cut = (client: Client): void => {
    refuse("too-large");
    client.socket.terminate();
  };
  for (const client of clients) {
    const held = client.raw.bytesRead - client.consumed;
    if (!client.proved && held > helloBytesMax) cut(client);
    halfReceived += held;
    if (worst === undefined || held > worst.raw.bytesRead - worst.consumed) worst = client;
  }
  if (halfReceived > bytesMax && worst !== undefined) cut(worst);
};

/** One that is in the middle of a large frame cannot answer a ping before its end: its bytes show that it is there. */
const checkAlive = (client: Client): void => {
  const { bytesRead } = client.raw;
  if (!client.alive && bytesRead === client.seen) {
    client.socket.terminate();
    return;
  }
  client.alive = false;
  client.seen = bytesRead;
  client.socket.ping();
};
