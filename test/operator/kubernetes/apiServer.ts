import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { createApi, type Api } from "../../../operator/kubernetes/api.ts";

export type Handle = (request: IncomingMessage, response: ServerResponse, body: unknown) => void;

/** A real HTTP server that answers as the test says, and the operator's way to reach it. */
export type TestServer = {
  readonly api: Api;
  readonly close: () => Promise<void>;
};

export const serve = async (handle: Handle): Promise<TestServer> => {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (piece: Buffer) => (text += piece.toString()));
    request.on("end", () => {
      handle(request, response, text === "" ? undefined : JSON.parse(text));
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: "test", server: `http://127.0.0.1:${port}`, skipTLSVerify: true }],
    users: [{ name: "test" }],
    contexts: [{ name: "test", cluster: "test", user: "test" }],
    currentContext: "test",
  });
  return {
    api: createApi(config),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

export const answer = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
};

/** Waits for a condition, at most 5 s. */
export const eventually = async (what: string, holds: () => boolean): Promise<void> => {
  const startMs = performance.now();
  while (!holds()) {
    if (performance.now() - startMs > 5_000) throw new Error(`${what}: not within 5 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
