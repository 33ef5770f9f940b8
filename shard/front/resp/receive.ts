import { Socket, type OnReadOpts } from "node:net";
import { check } from "../../../core/check.ts";

/** Takes what a socket has received: the bytes between `from` and `end`, good until it returns. What lies before `from` is free. */
export type Taken = (bytes: Buffer, from: number, end: number) => void;

/**
 * Reads accepted sockets, all of them into one buffer: no memory is made per read, and none is held by a connection that says
 * nothing. Node offers that (`onread`) only to sockets that dial, so an accepted one hands its handle on to a new one,
 * by a property that is private; where there is no such property any more, sockets are read in the ordinary way.
 */
export type Receiver = {
  /** The socket to use from now on; `accepted` was made by a server with `pauseOnConnect`, and nothing was done to it. */
  readonly open: (accepted: Socket, taken: Taken) => Socket;
};

/** What one read brings at most: pipelines of some hundred commands. */
const readBytes = 64 * 1024;
/** Room for the beginning of a command that a read has cut off. */
const headBytes = 16 * 1024;

/** Reads into one buffer where that is possible, unless `isPlain`. */
export const createReceiver = (isPlain = false): Receiver => {
  const buffer = Buffer.allocUnsafeSlow(headBytes + readBytes);
  const target = buffer.subarray(headBytes);
  return {
    open: (accepted, taken) => {
      const handle: unknown = Reflect.get(accepted, handleName);
      if (isPlain || !canReuse(handle)) return readPlainly(accepted, taken);
      const onread: OnReadOpts = {
        buffer: target,
        callback: (bytes) => {
          taken(buffer, headBytes, headBytes + bytes);
          return true;
        },
      };
      const options = { handle, onread, readable: true, writable: true };
      // The server counts it as gone; whoever listens counts what was opened.
      Reflect.set(accepted, handleName, null);
      accepted.destroy();
      const socket: unknown = Reflect.construct(Socket, [options]);
      check(socket instanceof Socket, "a constructor makes what it is the constructor of");
      return socket;
    },
  };
};

const handleName = "_handle";

const canReuse = (handle: unknown): boolean =>
  typeof handle === "object" && handle !== null && "useUserBuffer" in handle && "readStart" in handle;

const readPlainly = (accepted: Socket, taken: Taken): Socket => {
  accepted.on("data", (chunk: Buffer) => {
    taken(chunk, 0, chunk.length);
  });
  return accepted.resume();
};
