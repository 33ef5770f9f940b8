import test from "ava";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { createReceiver } from "../../../../shard/front/resp/receive.ts";
import { until } from "../../../support/shardUntil.ts";

/** A server that collects what each connection sends. */
const startCollecting = async (
  isPlain: boolean,
): Promise<{
  port: number;
  sockets: Socket[];
  received: Buffer[];
  ended: number[];
  close: () => Promise<void>;
}> => {
  const receiver = createReceiver(isPlain);
  const sockets: Socket[] = [];
  const received: Buffer[] = [];
  const ended: number[] = [];
  const server = createServer({ pauseOnConnect: true }, (accepted) => {
    const i = sockets.length;
    received.push(Buffer.alloc(0));
    const socket = receiver.open(accepted, (bytes, from, end) => {
      received[i] = Buffer.concat([received[i] ?? Buffer.alloc(0), bytes.subarray(from, end)]);
      // What lies before is the taker's.
      bytes.fill(0, 0, from);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => ended.push(i));
    sockets.push(socket);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ...{ port, sockets, received, ended },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

for (const [what, isPlain] of [
  ["one buffer for all", false],
  ["chunks of their own", true],
] as const) {
  test(`sockets read into ${what} get what was sent, answer, pause and end`, async (t) => {
    const { port, sockets, received, ended, close } = await startCollecting(isPlain);
    const clients = Array.from({ length: 5 }, () => connect(port, "127.0.0.1"));
    const sent = clients.map((_, i) => Buffer.alloc(300_000 + i, `client ${i} `));
    for (const [i, client] of clients.entries()) client.write(sent[i] ?? "");
    const all = (): string[] => received.map((bytes) => bytes.toString("latin1")).sort();
    const wanted = sent.map((bytes) => bytes.toString("latin1")).sort();
    await until("everything came", () => all().join() === wanted.join());
    t.true(sockets.every(({ remotePort }) => remotePort !== undefined));

    const [socket] = sockets;
    const [client] = clients;
    const answered = new Promise<string>((resolve) =>
      clients
        .find(({ localPort }) => localPort === socket?.remotePort)
        ?.once("data", (chunk) => {
          resolve(chunk.toString());
        }),
    );
    socket?.write("answer");
    t.is(await answered, "answer");

    const paused = [...sockets];
    for (const one of paused) one.pause();
    const before = received.map(({ length }) => length);
    for (const one of clients) one.write("more");
    // What another one sends later has come: what was sent before would have.
    const later = connect(port, "127.0.0.1");
    later.write("later");
    await until("what was sent later came", () => received[5]?.length === 5);
    t.deepEqual(
      received.slice(0, 5).map(({ length }) => length),
      before,
    );
    for (const one of paused) one.resume();
    await until("the rest came", () => before.every((length, i) => received[i]?.length === length + 4));

    client?.end();
    await until("an ended connection is closed", () => ended.length === 1);
    for (const one of [...clients, later]) one.destroy();
    await until("all are closed", () => ended.length === 6);
    await close();
  });
}

test("on this Node, an accepted socket's handle can be handed on", async (t) => {
  const receiver = createReceiver();
  const server = createServer({ pauseOnConnect: true }, (accepted) => {
    const socket = receiver.open(accepted, () => undefined);
    t.not(socket, accepted);
    socket.destroy();
    server.close();
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  connect((server.address() as AddressInfo).port, "127.0.0.1").resume();
  await new Promise((resolve) => server.once("close", resolve));
});
