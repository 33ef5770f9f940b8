import { connect as connectTcp, type Socket } from "node:net";
import test from "ava";
import { connect } from "../../client/index.ts";
import { respClient } from "../support/respClient.ts";
import { testCluster } from "../support/shardInfo.ts";
import { startPair, type ShardPair } from "../support/shardPair.ts";
import { residentBytes } from "../support/shardProcess.ts";
import { until } from "../support/shardUntil.ts";

/** Those who hold connections and give nothing, or little, at a real process; others are served meanwhile. */

// EDIS_IDLE_CONNECTIONS=10000 is the long run; its figures stand in docs/guarantees.md.
const idle = Number(process.env["EDIS_IDLE_CONNECTIONS"] ?? "1000");
let pair: ShardPair;

test.before(async () => {
  pair = await startPair();
  pair.info.publish(pair.info.topology().shards);
});
test.after.always(async () => {
  await pair.stop();
});

const open = async (port: number): Promise<Socket> => {
  const socket = connectTcp({ host: "127.0.0.1", port, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => undefined);
  return socket;
};

const openMany = async (port: number, count: number): Promise<Socket[]> => {
  const sockets: Socket[] = [];
  while (sockets.length < count)
    sockets.push(
      ...(await Promise.all(Array.from({ length: Math.min(100, count - sockets.length) }, () => open(port)))),
    );
  return sockets;
};

/** Both doors answer. */
const isServed = async (name: string): Promise<boolean> => {
  const redis = await respClient(pair.writerAddress.resp);
  const client = await connect({
    info: `ws://127.0.0.1:${pair.writerAddress.client}/${testCluster.cluster}`,
  });
  await redis.send(["SET", name, "served"]);
  const value = await client.getText(name, { consistency: "linearizable" });
  redis.close();
  client.close();
  return value === "served";
};

test.serial("idle connections cost little, and others are served", async (t) => {
  t.timeout(120_000);
  const before = residentBytes(pair.writer);
  const sockets = await openMany(pair.writerAddress.resp, idle);
  for (const socket of sockets) socket.write("PING\r\n");
  t.true(await isServed("idle"));
  const after = residentBytes(pair.writer);
  t.log(
    `${idle} idle connections: ${Math.round((after - before) / 1e6)} MB more resident, ${Math.round(after / 1e6)} MB in all`,
  );
  // 16 KiB each, and room for what the garbage collector has not got round to.
  t.true(after - before < idle * 16 * 1024 + 64e6, `${after - before}`);
  t.true(sockets.every((socket) => !socket.destroyed));
  for (const socket of sockets) socket.destroy();
});

test.serial(
  "commands that announce much and bring little hold little, however many; others are served",
  async (t) => {
    const before = residentBytes(pair.writer);
    const sockets = await openMany(pair.writerAddress.resp, 300);
    for (const [i, socket] of sockets.entries())
      socket.write(
        i % 3 === 0
          ? "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108864\r\nsome of it"
          : i % 3 === 1
            ? "*1048576\r\n$3\r\nDEL\r\n"
            : "SET half a li",
      );
    t.true(await isServed("half"));
    t.true(residentBytes(pair.writer) - before < 100e6);
    for (const socket of sockets) socket.destroy();
  },
);

test.serial(
  "halves of large commands on many connections are bounded in all; others are served",
  async (t) => {
    t.timeout(60_000);
    const before = residentBytes(pair.writer);
    const part = Buffer.alloc(16 * 1024 * 1024);
    const sockets = await openMany(pair.writerAddress.resp, 20);
    for (const socket of sockets) {
      socket.write("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108864\r\n");
      socket.write(part);
    }
    await until("some were cut", () => sockets.some((socket) => socket.destroyed || socket.readableEnded));
    t.true(await isServed("halves"));
    // Four largest commands, each in a buffer of up to twice its size.
    t.true(residentBytes(pair.writer) - before < 900e6, `${residentBytes(pair.writer) - before}`);
    for (const socket of sockets) socket.destroy();
  },
);

test.serial("who asks for much and does not read is bounded in all; others are served", async (t) => {
  t.timeout(60_000);
  const redis = await respClient(pair.writerAddress.resp);
  await redis.send(["SET", "large", Buffer.alloc(16 * 1024 * 1024)]);
  redis.close();
  const before = residentBytes(pair.writer);
  const sockets = await openMany(pair.writerAddress.resp, 20);
  for (const socket of sockets) {
    socket.pause();
    socket.write("GET large\r\n");
  }
  t.true(await isServed("lazy"));
  t.true(residentBytes(pair.writer) - before < 900e6, `${residentBytes(pair.writer) - before}`);
  for (const socket of sockets) socket.destroy();
});

test.serial("a command that comes byte by byte is answered", async (t) => {
  const redis = await respClient(pair.writerAddress.resp);
  const command = Buffer.from("*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$5\r\nvalue\r\n");
  const replies = redis.send(["PING"]);
  t.is((await replies).join(), "+PONG\r\n");
  for (let at = 0; at < command.length - 1; at++)
    await new Promise((resolve) => redis.socket.write(command.subarray(at, at + 1), resolve));
  t.true(await isServed("meanwhile"));
  const answered = new Promise<Buffer>((resolve) => redis.socket.once("data", resolve));
  redis.socket.write(command.subarray(command.length - 1));
  t.is((await answered).toString(), "+OK\r\n");
  redis.close();
});
