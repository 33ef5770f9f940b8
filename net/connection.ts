import type { WebSocket } from "ws";
import { EdisError, messageOf } from "../core/errors.ts";
import { unsentBytesHardMax, unsentBytesSoftMax } from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import { encodeMessage } from "../core/message.ts";

/** One open, proved connection. Frames go out in the order of `send`. */
export type Connection = {
  /** Queues one binary frame. A peer that takes nothing while `unsentBytesHardMax` wait is cut off. */
  readonly send: (frame: Uint8Array) => void;
  /** Bytes queued that the operating system has not taken yet. */
  readonly unsentBytes: () => number;
  /** Says why, where there is a reason, sends what is queued, and closes. */
  readonly close: (reason?: EdisError) => void;
  /** Drops it at once. */
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
export const wrap = (socket: WebSocket, { remote, logger, pace }: WrapOptions): Wrapped => {
  let handlers: Handlers | undefined;
  // Because the peer does not read; because the user wants it.
  let paused = false;
  let held = false;
  const isOpen = (): boolean => socket.readyState === socket.OPEN;

  const flushed = (): void => {
    if (socket.bufferedAmount > 0) return;
    if (paused) {
      paused = false;
      if (!held) socket.resume();
    }
    handlers?.drained?.();
  };

  const connection: Connection = {
    send: (frame) => {
      if (!isOpen()) return;
      socket.send(frame, flushed);
      const unsent = socket.bufferedAmount;
      if (unsent > unsentBytesHardMax) {
        logger.warn({ remote, unsent }, "peer takes nothing: cut off");
        socket.terminate();
      } else if (pace && !paused && unsent > unsentBytesSoftMax) {
        paused = true;
        socket.pause();
      }
    },
    unsentBytes: () => socket.bufferedAmount,
    close: (reason) => {
      if (!isOpen()) return;
      if (reason !== undefined) {
        socket.send(encodeMessage({ kind: "failure", code: reason.code, message: reason.message }));
      }
      // A paused socket never reads the peer's closing frame.
      socket.resume();
      socket.close(1000);
    },
    cut: () => {
      socket.terminate();
    },
    pause: () => {
      held = true;
      socket.pause();
    },
    resume: () => {
      held = false;
      if (!paused) socket.resume();
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
      if (error instanceof EdisError) {
        logger.debug({ remote, code: error.code }, "peer sent what cannot be read");
        connection.close(error);
      } else {
        // A defect of ours; the bytes came from outside, so it costs this connection and not the process.
        logger.error({ remote, error }, "failed on a message");
        connection.close(new EdisError("bad-message", `Cannot handle the message: ${messageOf(error)}`));
      }
    }
  };

  return {
    connection,
    receive,
    use: (chosen) => {
      handlers = chosen;
    },
    ended: () => {
      handlers?.closed();
      handlers = undefined;
    },
  };
};

export type WrapOptions = { readonly remote: string; readonly logger: Logger; readonly pace: boolean };
export type Wrapped = {
  readonly connection: Connection;
  readonly receive: (frame: Uint8Array) => void;
  readonly use: (handlers: Handlers) => void;
  readonly ended: () => void;
};

/** The bytes of a websocket message, whichever way ws hands them over. */
export const bytesOf = (data: Buffer | ArrayBuffer | Buffer[]): Uint8Array =>
  Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? new Uint8Array(data) : data;
