import { EdisError, isErrorCode } from "../core/errors.ts";
import { decodeMessage, encodeMessage, toToolSchema, type ToTool } from "../core/message.ts";
import type { Place } from "../core/request.ts";
import type { Digested, Forecast } from "../core/tools.ts";
import type { SlotRange } from "../core/topology.ts";
import type { Connection } from "../net/connection.ts";
import { RefusedError } from "../net/dial.ts";
import { dialMsMax, type Context } from "./identity.ts";

/** One process that tools ask, on a connection of its own. */
export type Peer = {
  /** Rejects with what the process says instead, `unreachable` where the connection ends, or `timeout`. */
  readonly digest: (asked: {
    readonly slots: readonly SlotRange[];
    /** The place that it waits for first; null: none. */
    readonly after: Place | null;
  }) => Promise<Digested>;
  /** `object`: a ShardCluster as JSON; empty: as it is wished now. `writers` and `readers` go before what it says. */
  readonly plan: (asked: {
    readonly object: string;
    readonly writers: number | null;
    readonly readers: number | null;
  }) => Promise<Forecast>;
  readonly isOpen: () => boolean;
  readonly close: () => void;
};

export type PeerOptions = Context & {
  readonly url: string;
  /** UID or `namespace/name`; empty at info for the only one. */
  readonly cluster: string;
  /** The pod that must answer; empty for any. */
  readonly to: string;
  /** How long an answer may take. Milliseconds. */
  readonly timeoutMs: number;
};

type Answer = Exclude<ToTool, { kind: "leaving" | "failure" }>;
type Waiting = { readonly resolve: (answer: Answer) => void; readonly reject: (error: EdisError) => void };

/** Rejects with `unreachable`, or what the process refused with (RefusedError). */
export const openPeer = async (options: PeerOptions): Promise<Peer> => {
  const { url, clock, timeoutMs } = options;
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  let reason = new EdisError("unreachable", `Cannot ask ${url}: it closed the connection`);
  const connection = await options.network.dial({
    ...{ ...options, role: "client", token: null, timeoutMs: dialMsMax },
    opened: (opened) => ({
      message: (frame) => {
        const message = decodeMessage(toToolSchema, frame);
        if (message.kind === "failure") reason = errorOf(message.code, message.message);
        else if (message.kind !== "leaving") settle(waiting, message);
        else opened.cut();
      },
      closed: () => {
        rejectAll(waiting, reason);
      },
    }),
  });
  const ask = async (message: (id: number) => Uint8Array): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const id = nextId++;
      const cancel = clock.after(timeoutMs, () => {
        waiting.delete(id);
        reject(
          new EdisError("timeout", `Cannot wait for ${url} any longer: no answer within ${timeoutMs} ms`),
        );
      });
      waiting.set(id, {
        resolve: (answer) => {
          cancel();
          resolve(answer);
        },
        reject: (error) => {
          cancel();
          reject(error);
        },
      });
      if (!connection.isOpen()) rejectAll(waiting, reason);
      connection.send(message(id));
    });
  return peerOn(connection, ask);
};

const peerOn = (
  connection: Connection,
  ask: (message: (id: number) => Uint8Array) => Promise<Answer>,
): Peer => ({
  digest: async (asked) => {
    const answer = await ask((id) => encodeMessage({ kind: "digest", id, ...asked }));
    if (answer.kind === "digested") return answer;
    throw unexpected(answer);
  },
  plan: async (asked) => {
    const answer = await ask((id) => encodeMessage({ kind: "plan", id, ...asked }));
    if (answer.kind === "planned") return answer.forecast;
    throw unexpected(answer);
  },
  isOpen: connection.isOpen,
  close: () => {
    connection.close();
  },
});

const settle = (waiting: Map<number, Waiting>, answer: Answer): void => {
  const asked = waiting.get(answer.id);
  waiting.delete(answer.id);
  asked?.resolve(answer);
};

const rejectAll = (waiting: Map<number, Waiting>, reason: EdisError): void => {
  for (const { reject } of waiting.values()) reject(reason);
  waiting.clear();
};

const unexpected = (answer: Answer): EdisError =>
  answer.kind === "unanswered"
    ? errorOf(answer.code, answer.message)
    : new EdisError("bad-message", `Cannot read an answer: ${answer.kind} is not what was asked for`);

const errorOf = (code: string, message: string): EdisError =>
  new EdisError(isErrorCode(code) ? code : "unreachable", message);

/** The first of several urls of info that answers; whoever stands by names the one that leads. Rejects with the last refusal. */
export const openInfo = async (urls: readonly string[], options: Omit<PeerOptions, "url">): Promise<Peer> => {
  const left = [...urls];
  const seen = new Set<string>();
  let last: unknown = new EdisError("unreachable", "Cannot find an info instance: no url is known");
  for (let url = left.shift(); url !== undefined; url = left.shift()) {
    if (seen.has(url)) continue;
    seen.add(url);
    try {
      return await openPeer({ ...options, url });
    } catch (error) {
      if (error instanceof RefusedError && error.leader !== "") left.unshift(error.leader);
      last = error;
    }
  }
  throw last;
};
