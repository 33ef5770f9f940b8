import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** A TCP link that a test can cut, keep down, or let stand still. */
export type Proxy = {
  readonly port: number;
  /** Ends all connections and takes no more. */
  readonly cut: () => void;
  /** Takes connections again. */
  readonly mend: () => void;
  /** Carries nothing from the target to the one who dialled; what is under way waits. */
  readonly stall: () => void;
  readonly flow: () => void;
  readonly close: () => Promise<void>;
};

export const startProxy = async (targetPort: number): Promise<Proxy> => {
  const sockets = new Set<Socket>();
  const upstreams = new Set<Socket>();
  let isDown = false;
  let isStalled = false;
  const server = createServer((socket) => {
    if (isDown) {
      socket.destroy();
      return;
    }
    const upstream = connect(targetPort, "127.0.0.1");
    for (const one of [socket, upstream]) {
      sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => {
        sockets.delete(one);
        upstreams.delete(one);
        socket.destroy();
        upstream.destroy();
      });
    }
    upstreams.add(upstream);
    socket.on("data", (data) => upstream.write(data));
    upstream.on("data", (data) => {
      // Honest backpressure: what the dialler does not take is not read from the target.
      if (socket.write(data)) return;
      upstream.pause();
      socket.once("drain", () => {
        if (!isStalled) upstream.resume();
      });
    });
    if (isStalled) upstream.pause();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      isDown = true;
      for (const socket of sockets) socket.destroy();
    },
    mend: () => {
      isDown = false;
    },
    stall: () => {
      isStalled = true;
      for (const upstream of upstreams) upstream.pause();
    },
    flow: () => {
      isStalled = false;
      for (const upstream of upstreams) upstream.resume();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
