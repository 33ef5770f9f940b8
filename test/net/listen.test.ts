import { connect as connectTcp, createServer, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { WebSocket } from "ws";
import { systemClock } from "../../core/clock.ts";
import { EdisError } from "../../core/errors.ts";
import { unsentBytesHardMax } from "../../core/limits.ts";
import { encodeMessage, type Hello } from "../../core/message.ts";
import type { Connection } from "../../net/connection.ts";
import { dial, RefusedError, type DialOptions } from "../../net/dial.ts";
import { listen, NotLeaderError, type Listener, type ListenOptions } from "../../net/listen.ts";
import { silent, until } from "../support/net.ts";

const token = Buffer.alloc(32, 7);
const acceptor = { pod: "demo-write-0", incarnation: "one" };

type Opened = {
  readonly listener: Listener;
  readonly connections: Connection[];
  readonly frames: Uint8Array[];
};

const open = async (t: ExecutionContext, options: Partial<ListenOptions> = {}): Promise<Opened> => {
  const connections: Connection[] = [];
  const frames: Uint8Array[] = [];
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    logger: silent,
    self: acceptor,
    admit: ({ role }: Hello) => ({
      clusterId: "uid",
      cluster: "default/demo",
      token: role === "client" ? null : token,
    }),
    opened: (connection) => {
      connections.push(connection);
      return { message: (frame) => void frames.push(Buffer.from(frame)), closed: () => undefined };
    },
    ...options,
  });
  t.teardown(() => listener.close());
  return { listener, connections, frames };
};

const dialOptions = (port: number, options: Partial<DialOptions> = {}): DialOptions => ({
  url: `ws://127.0.0.1:${port}`,
  role: "reader",
  cluster: "uid",
  self: { pod: "demo-read-0", incarnation: "two" },
  to: "demo-write-0",
  token,
  clock: systemClock,
  logger: silent,
  signal: new AbortController().signal,
  opened: () => ({ message: () => undefined, closed: () => undefined }),
  ...options,
});

const refusal = (t: ExecutionContext, options: DialOptions): Promise<EdisError> =>
  t.throwsAsync(dial(options), { instanceOf: EdisError });

test("peers that know the token are welcomed, and frames go both ways in order", async (t) => {
  const { listener, connections, frames } = await open(t);
  const received: string[] = [];
  const connection = await dial(
    dialOptions(listener.port, {
      opened: () => ({
        message: (frame) => void received.push(Buffer.from(frame).toString()),
        closed: () => undefined,
      }),
    }),
  );
  for (const text of ["a", "b", "c"]) connection.send(Buffer.from(text));
  await until("three frames arrived", () => frames.length === 3);
  for (const text of ["d", "e"]) connections[0]?.send(Buffer.from(text));
  await until("two frames came back", () => received.length === 2);
  t.deepEqual(
    frames.map((frame) => Buffer.from(frame).toString()),
    ["a", "b", "c"],
  );
  t.deepEqual(received, ["d", "e"]);
});

test("a peer with another token, or none, is refused and counted", async (t) => {
  const { listener, connections } = await open(t);
  for (const wrong of [Buffer.alloc(32, 8), Buffer.alloc(0), null]) {
    t.is((await refusal(t, dialOptions(listener.port, { token: wrong }))).code, "bad-token");
  }
  t.is(listener.refusals.get("bad-token"), 3);
  t.is(connections.length, 0);
});

test("an acceptor that does not know the token is not trusted", async (t) => {
  const { listener } = await open(t, {
    admit: () => ({ clusterId: "uid", cluster: "default/demo", token: null }),
  });
  t.is((await refusal(t, dialOptions(listener.port))).code, "bad-token");
});

test("a proof recorded from one connection opens no other", async (t) => {
  const { listener } = await open(t);
  const sniffed: Buffer[] = [];
  const honest = new WebSocket(`ws://127.0.0.1:${listener.port}`);
  honest.on("error", () => undefined);
  t.teardown(() => {
    honest.terminate();
  });
  // What a real dialer sends is recorded by standing in the middle of its connection.
  const middle = await listenRaw(t, listener.port, sniffed);
  await dial(dialOptions(middle));
  const hello = sniffed.find((bytes) => bytes.includes("hello"));
  t.truthy(hello);
  const replay = new WebSocket(`ws://127.0.0.1:${listener.port}`);
  const answers: string[] = [];
  replay.on("message", (data: Buffer) => {
    answers.push(data.toString("latin1"));
    if (answers.length === 1 && hello !== undefined) replay.send(unmask(hello));
  });
  await until("the replay was answered", () => answers.length === 2);
  t.true(answers[1]?.includes("bad-token"));
});

/** A TCP proxy, by the port that it listens on; `carry` says how what the dialer sends gets on. */
const listenBetween = async (
  t: ExecutionContext,
  to: number,
  carry: (dialer: Socket, upstream: Socket) => void,
): Promise<number> => {
  const server = createServer((dialer) => {
    const upstream = connectTcp(to, "127.0.0.1");
    carry(dialer, upstream);
    upstream.pipe(dialer);
    for (const end of [dialer, upstream]) end.on("error", () => undefined);
    t.teardown(() => dialer.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
};

/** Keeps what the dialer sent. */
const listenRaw = (t: ExecutionContext, to: number, seen: Buffer[]): Promise<number> =>
  listenBetween(t, to, (dialer, upstream) => {
    dialer.on("data", (data) => {
      const text = data.toString("latin1");
      if (!text.startsWith("GET")) seen.push(Buffer.from(unmask(data)));
      upstream.write(data);
    });
  });

/** The payload of one masked websocket frame; other bytes as they are. */
const unmask = (frame: Buffer): Buffer => {
  if (frame[0] !== 0x82) return frame;
  const short = (frame[1] ?? 0) & 0x7f;
  const at = short === 126 ? 4 : 2;
  const mask = frame.subarray(at, at + 4);
  return Buffer.from(frame.subarray(at + 4).map((byte, i) => byte ^ (mask[i % 4] ?? 0)));
};

test("a dialer that means another pod is told so", async (t) => {
  const { listener } = await open(t);
  t.is((await refusal(t, dialOptions(listener.port, { to: "demo-write-1" }))).code, "wrong-pod");
});

test("a standby names the leader", async (t) => {
  const { listener } = await open(t, {
    admit: () => {
      throw new NotLeaderError("ws://10.0.0.9:7378");
    },
  });
  const error = await refusal(t, dialOptions(listener.port));
  t.is(error.code, "not-leader");
  t.is(error instanceof RefusedError ? error.leader : "", "ws://10.0.0.9:7378");
});

test("garbage instead of a hello closes that connection and is counted; others are served", async (t) => {
  const { listener, frames } = await open(t);
  const good = await dial(dialOptions(listener.port));
  for (const garbage of [Buffer.from("hello"), Buffer.alloc(1000, 0x81), encodeMessage({ kind: "watch" })]) {
    const socket = new WebSocket(`ws://127.0.0.1:${listener.port}`);
    socket.on("error", () => undefined);
    socket.on("open", () => {
      socket.send(garbage);
    });
    await new Promise((resolve) => socket.on("close", resolve));
  }
  t.is((listener.refusals.get("bad-message") ?? 0) + (listener.refusals.get("too-large") ?? 0), 3);
  good.send(Buffer.from("still here"));
  await until("the good peer's frame arrived", () => frames.length === 1);
});

test("more bytes than a hello needs, without a hello, cut the connection", async (t) => {
  const { listener } = await open(t);
  const socket = new WebSocket(`ws://127.0.0.1:${listener.port}`);
  socket.on("error", () => undefined);
  const closed = new Promise((resolve) => socket.on("close", resolve));
  await new Promise((resolve) => socket.on("open", resolve));
  socket.send(Buffer.alloc(100_000), { fin: false });
  await closed;
  t.true((listener.refusals.get("too-large") ?? 0) >= 1);
});

test("half-sent frames over all connections are bounded: the largest is cut", async (t) => {
  const halfReceivedBytesMax = 32 * 1024 * 1024;
  const { listener } = await open(t, { limits: { halfReceivedBytesMax } });
  const part = 3 * 1024 * 1024;
  const sockets: WebSocket[] = [];
  const count = Math.ceil(halfReceivedBytesMax / part) + 2;
  for (let i = 0; i < count; i++) {
    const socket = new WebSocket(`ws://127.0.0.1:${listener.port}`);
    socket.on("error", () => undefined);
    t.teardown(() => {
      socket.terminate();
    });
    sockets.push(socket);
    // A client needs no proof.
    await new Promise<void>((resolve) => {
      socket.once("message", () => {
        socket.once("message", () => {
          resolve();
        });
        const nonce = Buffer.alloc(32);
        const ids = { cluster: "", role: "client" as const, pod: `c${i}`, incarnation: "1", to: "" };
        socket.send(encodeMessage({ kind: "hello", protocol: 1, ...ids, nonce, proof: Buffer.alloc(0) }));
      });
    });
    socket.send(Buffer.alloc(part), { fin: false });
  }
  await until("one was cut", () => sockets.some(({ readyState }) => readyState === WebSocket.CLOSED));
  await until("the rest fits", () => listener.connections() <= Math.floor(halfReceivedBytesMax / part));
  t.true(listener.connections() >= 1);
});

test("a peer that never reads is slowed, then cut off, and this process does not grow by more than the bound", async (t) => {
  const { listener, connections } = await open(t);
  const socket = connectTcp(listener.port, "127.0.0.1");
  t.teardown(() => socket.destroy());
  const lazy = await dial(dialOptions(listener.port));
  t.true(lazy.isOpen());
  const [connection] = connections;
  const chunk = Buffer.alloc(4 * 1024 * 1024);
  let worst = 0;
  // The dialer lives in this process, so nothing is read while this loop does not yield.
  for (let i = 0; i < 200 && connection?.isOpen() === true; i++) {
    connection.send(chunk);
    worst = Math.max(worst, connection.unsentBytes());
  }
  t.false(connection?.isOpen());
  t.true(worst <= unsentBytesHardMax + 2 * chunk.length, `${worst}`);
});

test("peers that do not read hold no more than the bound in all: the one that owes most is cut off", async (t) => {
  const { listener, connections } = await open(t, { limits: { unsentBytesMax: 60 * 1024 * 1024 } });
  for (let i = 0; i < 4; i++) await dial(dialOptions(listener.port));
  t.is(connections.length, 4);
  // Nothing is read while this loop does not yield.
  for (const [i, connection] of connections.entries())
    connection.send(Buffer.alloc((i + 1) * 8 * 1024 * 1024));
  t.deepEqual(
    connections.map((connection) => connection.isOpen()),
    [true, true, true, false],
  );
  t.is(listener.refusals.get("too-busy"), 1);
});

test("what was read of a peer before it was paused is taken once it reads again, in order", async (t) => {
  const answer = Buffer.alloc(1024 * 1024 + 1);
  const taken: number[] = [];
  const { listener } = await open(t, {
    opened: (connection) => ({
      message: (frame) => {
        taken.push(frame[0] ?? 0);
        connection.send(answer);
      },
      closed: () => undefined,
    }),
  });
  const replies: number[] = [];
  const client = await dial(
    dialOptions(listener.port, {
      opened: () => ({ message: (frame) => void replies.push(frame.length), closed: () => undefined }),
    }),
  );
  for (let i = 0; i < 40; i++) client.send(Buffer.from([i]));
  await until("all were answered", () => replies.length === 40);
  t.deepEqual(
    taken,
    Array.from({ length: 40 }, (_, i) => i),
  );
  t.true(client.isOpen());
});

test("of a connection that its dialer cuts nothing more arrives, however much of it waits in the system", async (t) => {
  const { listener } = await open(t);
  const middle = await listenPaused(t, listener.port);
  const connection = await dial(dialOptions(middle.port));
  middle.pause();
  const frame = Buffer.alloc(64 * 1024);
  let sent = 0;
  // The system takes it until its buffers are full, here and at the peer.
  while (connection.unsentBytes() === 0) {
    connection.send(frame);
    sent += frame.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  const taken = sent - connection.unsentBytes();
  connection.cut();
  const { bytes, error } = await middle.resume();
  t.is(error, "ECONNRESET");
  t.true(bytes < taken, `${bytes} of ${taken} bytes arrived`);
});

/** Stops reading from its dialer, and tells what came of it afterwards, and how it ended. */
const listenPaused = async (
  t: ExecutionContext,
  to: number,
): Promise<{
  readonly port: number;
  readonly pause: () => void;
  readonly resume: () => Promise<{ readonly bytes: number; readonly error: string }>;
}> => {
  const held: Socket[] = [];
  const port = await listenBetween(t, to, (dialer, upstream) => {
    held.push(dialer);
    dialer.pipe(upstream);
  });
  return {
    port,
    pause: () => {
      for (const socket of held) socket.unpipe().pause();
    },
    resume: () =>
      new Promise((resolve) => {
        let [bytes, error] = [0, ""];
        for (const socket of held)
          socket
            .on("data", (data: Buffer) => (bytes += data.length))
            .on("error", (cause: NodeJS.ErrnoException) => (error = cause.code ?? ""))
            .on("close", () => {
              resolve({ bytes, error });
            })
            .resume();
      }),
  };
};
