import { writeSync } from "node:fs";
import type { Socket } from "node:net";

/** Sends the bytes between `from` and `to`; what the system does not take at once must not change before the socket has sent it. */
export type Send = (bytes: Buffer, from: number, to: number) => void;

/**
 * Writes straight to the socket's descriptor while nothing waits to be sent: the way through a stream takes longer than the
 * system call, and most replies are sent whole. The descriptor is told by a private property; without it, and where something goes
 * wrong, everything goes the ordinary way.
 */
export const createSend = (socket: Socket): Send => {
  const descriptor = descriptorOf(socket);
  return (bytes, from, to) => {
    const isNow = descriptor !== null && socket.writableLength === 0 && !socket.destroyed;
    const sent = isNow ? writeNow(descriptor, bytes, { from, to }) : 0;
    if (from + sent < to) socket.write(bytes.subarray(from + sent, to));
  };
};

/** How many bytes were taken. Whatever is wrong is wrong again, and said, where the socket writes. */
const writeNow = (
  descriptor: number,
  bytes: Buffer,
  { from, to }: { readonly from: number; readonly to: number },
): number => {
  try {
    return writeSync(descriptor, bytes, from, to - from);
  } catch {
    return 0;
  }
};

const descriptorOf = (socket: Socket): number | null => {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null) return null;
  const descriptor: unknown = Reflect.get(handle, "fd");
  return typeof descriptor === "number" && descriptor >= 0 ? descriptor : null;
};
