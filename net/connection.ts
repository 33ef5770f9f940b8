import type { WebSocket } from "ws";
import { EdisError, messageOf } from "../core/errors.ts";
import { unsentBytesHardMax, unsentBytesSoftMax } from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import { encodeMessage } from "../core/message.ts";
import type { Account } from "./unsent.ts";

/** One open, proved connection. Frames go out in the order of `send`. */
export type Connection = {
  /** Queues one binary frame. A peer that takes nothing while `unsentBytesHardMax` wait is cut off. */
  readonly send: (frame: Uint8Array) => void;
  /** Bytes queued that the operating system has not taken yet. */
  readonly unsentBytes: () => number;
  /** Bytes that came so far, those of a frame that is not whole yet among them: they grow as long as the peer is sending. */
  readonly receivedBytes: () => number;
  /** Says why, where there is a reason, sends what is queued, and closes. */
  readonly close: (reason?: EdisError) => void;
  /** Drops it at once. Of whoever has dialled nothing arrives any more that is not there by then. */
  readonly cut: () => void;
  /** Nothing more is read from the peer until `resume`. */
  readonly pause: () => void;
  readonly resume: () => void;
  readonly isOpen: () => boolean;
  /** Address and port of the peer, for logs. */
  readonly remote: string;
};

/** What the user of a connection does with it. `message` may throw an EdisError: the peer is told and cut off. */
export type Handlers = {
  readonly message: (frame: Uint8Array) => void;
  /** Everything queued has been taken by the operating system. */
  readonly drained?: () => void;
  readonly closed: () => void;
};

/**
 * Puts limits around a websocket. Once a peer leaves `unsentBytesSoftMax` unread, nothing more is read from it until it
 * has caught up: a slow peer slows itself, never grows this process. `pace` false leaves that to the user (replication).
 */
export const wrap = (
  socket: WebSocket,
  { remote, logger, pace, received, account, cut }: WrapOptions,
): Wrapped => {
  let handlers: Handlers | undefined;
  const isOpen = (): boolean => socket.readyState === socket.OPEN;

  const flushed = (): void => {
    const unsent = socket.bufferedAmount;
    account?.set(unsent);
    if (unsent > 0) return;
    pause.end("peer");
    if (!pause.is()) handlers?.drained?.();
  };

  const connection: Connection = {
    send: (frame) => {
      if (!isOpen()) return;
      socket.send(frame, flushed);
      const unsent = socket.bufferedAmount;
      account?.set(unsent);
      if (unsent > unsentBytesHardMax) {
        logger.warn({ remote, unsent }, "peer takes nothing: cut off");
        cut();
      } else if (pace && unsent > unsentBytesSoftMax) {
        pause.begin("peer");
      }
    },
    unsentBytes: () => socket.bufferedAmount,
    receivedBytes: received,
    close: (reason) => {
      if (isOpen()) close(socket, reason);
    },
    cut,
    pause: () => {
      pause.begin("user");
    },
    resume: () => {
      pause.end("user");
    },
    isOpen,
    remote,
  };

  const receive = (frame: Uint8Array): void => {
    // What a peer sent behind the frame that closed its connection is not looked at.
    if (!isOpen()) return;
    try {
      handlers?.message(frame);
    } catch (error) {
      connection.close(reasonOf(error, { remote, logger }));
    }
  };
  const pause = createPause(socket, receive);

  return {
    connection,
    receive: (frame) => {
      if (pause.is()) pause.hold(frame);
      else receive(frame);
    },
    use: (chosen) => {
      handlers = chosen;
    },
    ended: () => {
      account?.close();
      handlers?.closed();
      handlers = undefined;
    },
  };
};

const close = (socket: WebSocket, reason: EdisError | undefined): void => {
  if (reason !== undefined)
    socket.send(encodeMessage({ kind: "failure", code: reason.code, message: reason.message }));
  // A paused socket never reads the peer's closing frame.
  socket.resume();
  socket.close(1000);
};

/** Because the peer does not read, or because the user cannot take more. */
type PausedBy = "peer" | "user";
type Pause = {
  readonly is: () => boolean;
  readonly begin: (by: PausedBy) => void;
  readonly end: (by: PausedBy) => void;
  readonly hold: (frame: Uint8Array) => void;
};

/** Reading nothing more from a peer. What had been read of it by then is held back: at most what one read of the socket brings. */
const createPause = (socket: WebSocket, take: (frame: Uint8Array) => void): Pause => {
  const pausedBy = new Set<PausedBy>();
  let held: Uint8Array[] = [];
  const is = (): boolean => pausedBy.size > 0;
  return {
    is,
    begin: (by) => {
      if (!is()) socket.pause();
      pausedBy.add(by);
    },
    end: (by) => {
      if (!pausedBy.delete(by) || is()) return;
      const frames = held;
      held = [];
      // What is taken now may pause the peer once more.
      for (const frame of frames) {
        if (is()) held.push(frame);
        else take(frame);
      }
      if (!is()) socket.resume();
    },
    hold: (frame) => {
      held.push(frame);
    },
  };
};

/** What a peer is told whose message could not be handled. */
const reasonOf = (error: unknown, { remote, logger }: Pick<WrapOptions, "remote" | "logger">): EdisError => {
  if (error instanceof EdisError) {
    logger.debug({ remote, code: error.code }, "peer sent what cannot be read");
    return error;
  }
  // A defect of ours; the bytes came from outside, so it costs this connection and not the process.
  logger.error({ remote, error }, "failed on a message");
  return new EdisError("bad-message", `Cannot handle the message: ${messageOf(error)}`);
};

export type WrapOptions = {
  readonly remote: string;
  readonly logger: Logger;
  readonly pace: boolean;
  readonly received: () => number;
  /** Drops the socket at once. */
  readonly cut: () => void;
  /** Where its unsent bytes are counted with those of others. */
  readonly account?: Account;
};
export type Wrapped = {
  readonly connection: Connection;
  readonly receive: (frame: Uint8Array) => void;
  readonly use: (handlers: Handlers) => void;
  readonly ended: () => void;
};

/** The bytes of a websocket message, whichever way ws hands them over. */
export const bytesOf = (data: Buffer | ArrayBuffer | Buffer[]): Uint8Array =>
  Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? new Uint8Array(data) : data;
