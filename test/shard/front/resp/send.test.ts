import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { createSend } from "../../../../shard/front/resp/send.ts";

const ok = Buffer.from("+OK\r\n");

/** Both ends of a connection. */
const pair = async (t: ExecutionContext): Promise<{ readonly near: Socket; readonly far: Socket }> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has a port");
  const far = connect({ host: "127.0.0.1", port: address.port });
  const [near] = (await once(server, "connection")) as [Socket];
  t.teardown(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return { near, far };
};

test("what is sent arrives whole and in order, also where the system does not take all of it at once", async (t) => {
  const { near, far } = await pair(t);
  const send = createSend(near);
  far.pause();
  const sent: Buffer[] = [];
  for (const count of [1, 100, 40_000_000, 5, 3_000_000, 7])
    sent.push(Buffer.alloc(count, `these are ${count} bytes `));
  for (const bytes of sent) send(bytes, 0, bytes.length);
  t.true(near.writableLength > 0);
  const wanted = Buffer.concat(sent);
  const got: Buffer[] = [];
  let length = 0;
  for await (const chunk of far as AsyncIterable<Buffer>) {
    got.push(chunk);
    length += chunk.length;
    if (length >= wanted.length) break;
  }
  t.true(Buffer.concat(got).equals(wanted));
});

test("sending to who is gone throws nothing: the socket says it", async (t) => {
  const { near, far } = await pair(t);
  const send = createSend(near);
  const closed = new Promise((resolve) => near.once("close", resolve));
  near.on("error", () => undefined);
  far.resetAndDestroy();
  // Until the reset is here the system may still take them.
  while (!near.destroyed) {
    send(ok, 0, ok.length);
    await new Promise(setImmediate);
  }
  await closed;
  send(ok, 0, ok.length);
  t.true(near.destroyed);
});

test("nothing is sent before what waits", async (t) => {
  const { near, far } = await pair(t);
  const send = createSend(near);
  near.cork();
  near.write("first ");
  send(Buffer.from("the second one"), 4, 10);
  near.uncork();
  const [got] = (await once(far, "data")) as [Buffer];
  t.is(got.toString(), "first second");
});
