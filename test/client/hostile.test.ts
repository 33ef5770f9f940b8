import anyTest, { type TestFn } from "ava";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { WebSocketServer } from "ws";
import { connect } from "../../client/index.ts";
import { encode } from "../../core/cbor.ts";
import { EdisError } from "../../core/errors.ts";
import { hostileFrame, randomFrom } from "../support/hostile.ts";
import { until } from "../support/net.ts";
import { startScripted } from "./scripted.ts";

type World = { readonly ends: (() => unknown)[] };
const test = anyTest as TestFn<World>;
test.beforeEach((t) => {
  t.context = { ends: [] };
});
test.afterEach.always(async (t) => {
  for (const end of t.context.ends.reverse()) await end();
});

type Tcp = { readonly port: number; readonly close: () => void };

/** A plain port; 0 takes any free one. */
const tcpServer = async (serve: (socket: Socket) => void, port = 0): Promise<Tcp> => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
};

test("a server that is no Edis is an error with a code, whatever it sends", async (t) => {
  const scripts: Readonly<Record<string, (socket: Socket) => void>> = {
    "closes at once": (socket) => socket.destroy(),
    "speaks something else": (socket) => socket.end("220 mail.example.org ESMTP\r\n"),
    "is a web server": (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    "says nothing": () => undefined,
  };
  for (const [name, script] of Object.entries(scripts)) {
    const { port, close } = await tcpServer(script);
    const error = await t.throwsAsync(connect({ info: `ws://127.0.0.1:${port}`, connectMs: 0 }), {
      instanceOf: EdisError,
    });
    t.is(error.code, "unreachable", name);
    close();
  }
});

test("garbage instead of a challenge, a welcome or a topology is an error with a code", async (t) => {
  const random = randomFrom(7);
  const challenge = encode({ kind: "challenge", nonce: new Uint8Array(32) });
  const welcome = encode({
    kind: "welcome",
    ...{ protocol: 1, clusterId: "c", cluster: "default/demo", pod: "p", incarnation: "i" },
    proof: new Uint8Array(0),
  });
  for (const good of [[], [challenge], [challenge, welcome]]) {
    for (let round = 0; round < 40; round++) {
      const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
      await new Promise((resolve) => server.on("listening", resolve));
      server.on("connection", (socket) => {
        socket.on("error", () => undefined);
        // The frames of a sound server first, each after the client has said something; then nonsense.
        const frames = [...good, hostileFrame(random), Buffer.from("end"), Buffer.from([0xa1])];
        socket.send(frames.shift() ?? "");
        socket.on("message", () => {
          for (const frame of frames.splice(0, good.length > 1 && frames.length > 3 ? 1 : 3))
            socket.send(frame);
        });
      });
      const { port } = server.address() as { port: number };
      const error = await t.throwsAsync(connect({ info: `ws://127.0.0.1:${port}`, connectMs: 0 }), {
        instanceOf: EdisError,
      });
      t.true(error.next !== "unknown");
      for (const socket of server.clients) socket.terminate();
      server.close();
    }
  }
});

test("a client whose cluster is gone does not dial hotly", async (t) => {
  const cluster = await startScripted(1);
  const [owner] = cluster.pods;
  if (owner === undefined) throw new Error("no pod");
  const client = await connect({ info: owner.url });
  t.context.ends.push(client.close);
  await cluster.close();
  let dials = 0;
  const closing = await tcpServer((socket) => {
    dials++;
    socket.destroy();
  }, owner.member.address.client);
  t.context.ends.push(closing.close);
  await until("it looks for the cluster", () => dials > 2);
  const before = dials;
  const start = performance.now();
  await until("a second is over", () => performance.now() - start > 1_000);
  // In each round the url that was given and the member with the same address are tried; rounds slow down to one in 2 s.
  t.true(dials - before < 20, `${dials - before} dials in a second`);
});

test("another pod at a known address is noticed, and what was asked goes to the right one", async (t) => {
  const cluster = await startScripted(2);
  t.context.ends.push(cluster.close);
  const client = await connect({ info: cluster.pod("demo-write-0").url });
  t.context.ends.push(client.close);
  const stranger = cluster.pod("demo-read-1").member.address;
  // The topology is late: it still says that demo-read-0 is where demo-read-1 listens now.
  cluster.publish(({ members }) => ({
    members: members.map((member) =>
      member.pod === "demo-read-0" ? { ...member, incarnation: "late", address: stranger } : member,
    ),
  }));
  await until("the late topology has come", () => client.topology().revision === 2);
  for (let i = 0; i < 4; i++) t.is(await client.getText("a"), "value");
  t.is(cluster.pod("demo-read-0").asked.length, 0);
});
