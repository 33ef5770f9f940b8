import { EdisError } from "../../../core/errors.ts";
import { encodeMessage, protocolVersion, type Hello, type Welcome } from "../../../core/message.ts";
import type { Connection, Handlers } from "../../../net/connection.ts";
import { RefusedError, type DialOptions } from "../../../net/dial.ts";
import type { Routes } from "../../../net/http.ts";
import { NotLeaderError, type ListenOptions, type Listener } from "../../../net/listen.ts";
import type { Network } from "../../../net/network.ts";
import type { Seeded } from "./seeded.ts";
import type { Process, Timeline } from "./timeline.ts";

/**
 * A network of connections as TCP has them: frames come in order, or wait as long as the way is cut; the end of a process
 * is told to its peers as long as its machine is there. The opening hello is judged by the real listeners, its proof is left out.
 */
export type SimNetwork = {
  readonly of: (process: Process) => Network;
  /** Nothing gets from one process name to another until it is mended; what was sent waits. */
  readonly cut: (from: string, to: string) => void;
  readonly mend: (from: string, to: string) => void;
  readonly isCut: (from: string, to: string) => boolean;
  /** Everything is slower by up to this much. */
  slowMs: number;
  /** Sees each frame that is sent. */
  seesFrame: ((frame: Uint8Array, from: string, to: string) => void) | null;
  /** Peers hear of the end of its connections at once, or (its machine lost its power) each some seconds later. */
  readonly ended: (process: Process, isHeard: boolean) => void;
  /** It was stopped, or cut off: who dialled it finds out by its probes. */
  readonly probe: () => void;
  /** What an HTTP port of a process shows. */
  readonly routes: (process: Process) => Routes | undefined;
};

export type SimNetworkOptions = {
  readonly timeline: Timeline;
  readonly random: Seeded;
  /** Process names behind a name that is not a process's own, a service's; tried in any order. */
  readonly resolve: (host: string) => readonly string[];
  /** Something threw that is no answer to a peer. */
  readonly failed: (error: unknown, of: Process) => void;
};

type Port = {
  readonly process: Process;
  readonly options: ListenOptions;
  readonly ends: Set<End>;
  accepts: boolean;
};
/** One end of a connection. */
type End = {
  readonly process: Process;
  readonly way: Way;
  readonly isDialler: boolean;
  peer: End | null;
  handlers: Handlers | null;
  state: "open" | "closing" | "closed";
  isPaused: boolean;
  waiting: Uint8Array[];
  received: number;
  port: Port | null;
};
/** From one process to another, for one connection. */
type Way = {
  readonly from: string;
  readonly to: string;
  readonly toProcess: Process;
  /** In order, sent and not come. */
  readonly items: Item[];
  /** Of those, that would have come if the way were not cut. */
  due: number;
  lastMs: number;
  bytes: number;
  wasFull: boolean;
  sender: End | null;
};
type Item = { readonly bytes: number; readonly take: () => void };

/** What a socket takes before a sender sees that its peer does not. */
const socketBytes = 64 * 1024;

export const createSimNetwork = (options: SimNetworkOptions): SimNetwork => {
  const { timeline, random, resolve } = options;
  const ports = new Map<string, Port>();
  const pages = new Map<Process, Routes>();
  const cuts = new Set<string>();
  const ends = new Set<End>();
  /** Ways with something on them that waits, whether or not their ends are still there. */
  const stuck = new Set<Way>();
  const isCut = (from: string, to: string): boolean => cuts.has(`${from}>${to}`);

  const latencyMs = (): number => {
    const base = 0.05 + random.next() * 0.4;
    const spike = random.chance(0.02) ? random.between(0, 30) : 0;
    return base + spike + (network.slowMs > 0 ? random.next() * network.slowMs : 0);
  };
  const schedule = (way: Way): void => {
    way.lastMs = Math.max(way.lastMs, timeline.nowMs() + latencyMs());
    timeline.at(way.lastMs, way.toProcess, () => {
      if (isCut(way.from, way.to)) {
        way.due++;
        stuck.add(way);
      } else arrive(way);
    });
  };
  const arrive = (way: Way): void => {
    const item = way.items.shift();
    if (item === undefined) return;
    way.bytes -= item.bytes;
    if (way.wasFull && way.bytes <= socketBytes / 2) {
      way.wasFull = false;
      const { sender } = way;
      if (sender !== null)
        timeline.at(timeline.nowMs(), sender.process, () => {
          if (sender.state === "open") sender.handlers?.drained?.();
        });
    }
    item.take();
  };
  const put = (way: Way, bytes: number, take: () => void): void => {
    way.items.push({ bytes, take });
    way.bytes += bytes;
    if (way.bytes > socketBytes) way.wasFull = true;
    schedule(way);
  };

  const closeEnd = (end: End): void => {
    if (end.state === "closed") return;
    end.state = "closed";
    ends.delete(end);
    end.port?.ends.delete(end);
    const { handlers } = end;
    end.handlers = null;
    if (handlers !== null)
      timeline.at(timeline.nowMs(), end.process, () => {
        handlers.closed();
      });
  };
  /** Tells the peer that nothing more comes, behind what was sent. */
  const finish = (end: End, later = 0): void => {
    const tell = (): void => {
      put(end.way, 0, () => {
        const { peer } = end;
        if (peer === null || peer.state === "closed") return;
        const wasOpen = peer.state === "open";
        closeEnd(peer);
        if (wasOpen) finish(peer);
      });
    };
    if (later === 0) tell();
    else timeline.at(timeline.nowMs() + later, null, tell);
  };

  const deliver = (end: End, frame: Uint8Array): void => {
    if (end.state !== "open" || end.handlers === null) return;
    if (end.isPaused) {
      end.waiting.push(frame);
      return;
    }
    try {
      end.handlers.message(frame);
    } catch (error) {
      if (!(error instanceof EdisError)) options.failed(error, end.process);
      connectionOf(end).close(
        error instanceof EdisError ? error : new EdisError("bad-message", String(error)),
      );
    }
  };
  const connections = new Map<End, Connection>();
  const connectionOf = (end: End): Connection => {
    const known = connections.get(end);
    if (known !== undefined) return known;
    const send = (frame: Uint8Array): void => {
      if (end.state !== "open" || !end.process.isAlive) return;
      // The sender may use its memory again. Not `slice`: a Buffer's shares its memory.
      const sent = Buffer.from(frame);
      network.seesFrame?.(sent, end.way.from, end.way.to);
      put(end.way, sent.length, () => {
        const { peer } = end;
        if (peer === null) return;
        peer.received += sent.length;
        deliver(peer, sent);
      });
    };
    const connection: Connection = {
      send,
      unsentBytes: () => Math.max(0, end.way.bytes - socketBytes),
      receivedBytes: () => end.received,
      close: (reason) => {
        if (end.state !== "open" || !end.process.isAlive) return;
        if (reason !== undefined)
          send(encodeMessage({ kind: "failure", code: reason.code, message: reason.message }));
        end.state = "closing";
        finish(end);
        timeline.at(timeline.nowMs() + closingMsMax, end.process, () => {
          closeEnd(end);
        });
      },
      cut: () => {
        if (end.state === "closed" || !end.process.isAlive) return;
        closeEnd(end);
        finish(end);
      },
      pause: () => {
        end.isPaused = true;
      },
      resume: () => {
        if (!end.isPaused) return;
        end.isPaused = false;
        const frames = end.waiting;
        end.waiting = [];
        for (const frame of frames) deliver(end, frame);
      },
      isOpen: () => end.state === "open",
      remote: end.way.to,
    };
    connections.set(end, connection);
    return connection;
  };

  const pairOf = (dialler: Process, acceptor: Process): readonly [End, End] => {
    const wayOf = (from: Process, to: Process): Way => ({
      ...{ from: from.name, to: to.name, toProcess: to, items: [], due: 0, lastMs: 0, bytes: 0 },
      ...{ wasFull: false, sender: null },
    });
    const endOf = (process: Process, way: Way, isDialler: boolean): End => ({
      ...{ process, way, isDialler, peer: null, handlers: null, state: "open", isPaused: false },
      ...{ waiting: [], received: 0, port: null },
    });
    const near = endOf(dialler, wayOf(dialler, acceptor), true);
    const far = endOf(acceptor, wayOf(acceptor, dialler), false);
    near.peer = far;
    far.peer = near;
    near.way.sender = near;
    far.way.sender = far;
    ends.add(near);
    ends.add(far);
    return [near, far];
  };

  const greet = (
    { near, far, port }: { near: End; far: End; port: Port },
    dialled: DialOptions,
    { welcomed, refused }: { welcomed: (welcome: Welcome) => void; refused: (error: EdisError) => void },
  ): void => {
    const { pod, incarnation } = dialled.self;
    const hello: Hello = {
      ...{ kind: "hello", protocol: protocolVersion, cluster: dialled.cluster, role: dialled.role },
      ...{ pod, incarnation, to: dialled.to, nonce: new Uint8Array(32), proof: new Uint8Array(32) },
    };
    put(near.way, 200, () => {
      // The challenge before it has gone to and fro, so whoever dials is still there.
      if (far.state !== "open" || near.state !== "open") return;
      const { self, admit, opened } = port.options;
      try {
        if (!port.accepts) throw new EdisError("unreachable", "connection refused");
        if (hello.to !== "" && hello.to !== self.pod)
          throw new EdisError("wrong-pod", `Cannot answer for pod ${hello.to}: this is ${self.pod}`);
        const { clusterId, cluster, token } = admit(hello);
        if (token !== null && (dialled.token === null || Buffer.compare(token, dialled.token) !== 0))
          throw new EdisError("bad-token", "Cannot accept: its token is not this cluster's");
        const welcome: Welcome = {
          ...{ kind: "welcome", protocol: protocolVersion, clusterId, cluster, ...self },
          proof: new Uint8Array(),
        };
        far.port = port;
        port.ends.add(far);
        put(far.way, 200, () => {
          if (near.state === "open") welcomed(welcome);
        });
        far.handlers = opened(connectionOf(far), hello);
      } catch (error) {
        if (!(error instanceof EdisError)) throw error;
        const leader = error instanceof NotLeaderError ? error.leader : "";
        put(far.way, 100, () => {
          refused(new RefusedError(error.code, error.message, leader));
        });
        closeEnd(far);
      }
    });
  };

  const dialFrom =
    (process: Process) =>
    (dialled: DialOptions): Promise<Connection> => {
      const { clock, signal, url, timeoutMs = 5_000 } = dialled;
      signal.throwIfAborted();
      return new Promise((resolved, rejected) => {
        const { hostname, port: number } = new URL(url);
        const names = resolve(hostname);
        const name = names.length === 0 ? hostname : random.pick(names);
        const port = ports.get(`${name}:${number}`);
        let isSettled = false;
        let near: End | null = null;
        const settle = (): boolean => {
          if (isSettled) return false;
          isSettled = true;
          cancel();
          return true;
        };
        const fail = (error: EdisError): void => {
          if (!settle()) return;
          rejected(error);
          if (near !== null && near.state !== "closed") {
            closeEnd(near);
            finish(near);
          }
        };
        const cancel = clock.after(timeoutMs, () => {
          fail(new EdisError("unreachable", `Cannot reach ${url}: no welcome within ${timeoutMs} ms`));
        });
        const abort = (): void => {
          fail(new EdisError("aborted", `Cannot dial ${url}: it was given up`));
          if (near !== null) connectionOf(near).cut();
        };
        signal.addEventListener("abort", abort, { once: true });
        if (port?.process.isAlive !== true || !port.accepts) {
          timeline.at(timeline.nowMs() + latencyMs(), process, () => {
            if (!isCut(process.name, name) && !isCut(name, process.name))
              fail(new EdisError("unreachable", `Cannot reach ${url}: connection refused`));
          });
          return;
        }
        const [end, far] = pairOf(process, port.process);
        near = end;
        // Until the welcome, the end of the connection is the end of the dial.
        end.handlers = {
          message: () => undefined,
          closed: () => {
            signal.removeEventListener("abort", abort);
            fail(new EdisError("unreachable", `Cannot reach ${url}: it closed the connection`));
          },
        };
        greet({ near: end, far, port }, dialled, {
          refused: fail,
          welcomed: (welcome) => {
            if (isSettled) return;
            const handlers = dialled.opened(connectionOf(end), welcome);
            end.handlers = {
              ...handlers,
              closed: () => {
                signal.removeEventListener("abort", abort);
                handlers.closed();
              },
            };
            if (settle()) resolved(connectionOf(end));
          },
        });
      });
    };

  const listenFor =
    (process: Process) =>
    (listening: ListenOptions): Promise<Listener> => {
      const port: Port = { process, options: listening, ends: new Set(), accepts: true };
      const key = `${process.name}:${listening.port}`;
      ports.set(key, port);
      return Promise.resolve({
        port: listening.port,
        connections: () => port.ends.size,
        refusals: new Map(),
        stopAccepting: () => {
          port.accepts = false;
        },
        close: () => {
          port.accepts = false;
          for (const end of [...port.ends]) connectionOf(end).cut();
          if (ports.get(key) === port) ports.delete(key);
          return Promise.resolve();
        },
      });
    };

  const network: SimNetwork = {
    ...{ slowMs: 0, seesFrame: null },
    of: (process) => ({
      dial: dialFrom(process),
      listen: listenFor(process),
      listenTcp: ({ port }) =>
        Promise.resolve({ port, stopAccepting: () => undefined, close: () => Promise.resolve() }),
      serveHttp: ({ port, routes }) => {
        pages.set(process, routes);
        return Promise.resolve({ port, close: () => Promise.resolve() });
      },
    }),
    cut: (from, to) => {
      cuts.add(`${from}>${to}`);
    },
    mend: (from, to) => {
      if (!cuts.delete(`${from}>${to}`)) return;
      for (const way of [...stuck]) {
        if (way.from !== from || way.to !== to) continue;
        stuck.delete(way);
        const { due } = way;
        way.due = 0;
        for (let i = 0; i < due; i++) schedule(way);
      }
    },
    isCut,
    ended: (process, isHeard) => {
      pages.delete(process);
      for (const [key, port] of ports) if (port.process === process) ports.delete(key);
      for (const end of [...ends].filter((one) => one.process === process)) {
        end.state = "closed";
        end.handlers = null;
        ends.delete(end);
        finish(end, isHeard ? 0 : random.between(10, 9_000));
      }
    },
    probe: () => {
      for (const end of [...ends]) {
        if (!end.isDialler || !isStuck(end)) continue;
        timeline.at(timeline.nowMs() + random.between(6_000, 9_000), end.process, () => {
          if (end.state === "open" && isStuck(end)) connectionOf(end).cut();
        });
      }
    },
    routes: (process) => pages.get(process),
  };
  const isStuck = ({ way, peer }: End): boolean =>
    isCut(way.from, way.to) || isCut(way.to, way.from) || peer?.process.isPaused === true;
  return network;
};

/** As long as ws waits for the peer's closing frame. */
const closingMsMax = 30_000;
