import { createServer, type AddressInfo, type Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** A port that takes plain TCP connections. */
export type TcpListener = {
  readonly port: number;
  /** Takes no more connections; those that are open stay. */
  readonly stopAccepting: () => void;
  /** Resolves once every connection is gone. */
  readonly close: () => Promise<void>;
};

export type TcpOptions = {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** A connection, nothing of which is read before it is asked for. */
  readonly accepted: (socket: Socket) => void;
  readonly failed: (error: Error) => void;
};

/** Opens the port. Rejects where it is taken. */
export const listenTcp = async ({ host, port, accepted, failed }: TcpOptions): Promise<TcpListener> => {
  const server = createServer({ noDelay: true, pauseOnConnect: true }, accepted);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", failed);
  return {
    port: (server.address() as AddressInfo).port,
    stopAccepting: () => {
      server.close();
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      }),
  };
};

/**
 * Ends a connection so that the system sends nothing more of what was written: a plain end would go on trying to deliver it, for
 * minutes where the network is cut. What the peer's system has taken already may still be read there.
 */
export const reset = (socket: Socket): void => {
  // One that is ending cannot be reset any more, and one with TLS never.
  if (socket.destroyed || socket.writableEnded || socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
};
