import { createHash } from "node:crypto";
import test from "ava";
import { connect, EdisError } from "../../client/index.ts";
import { keyBytesMax, valueBytesMax } from "../../core/limits.ts";
import { respClient } from "../support/respClient.ts";
import { testCluster } from "../support/shardInfo.ts";
import { residentBytes } from "../support/shardProcess.ts";
import { startPair, type ShardPair } from "../support/shardPair.ts";
import { until } from "../support/shardUntil.ts";

/** The largest values and keys, through every door of real processes. */
let pair: ShardPair;

test.before(async () => {
  pair = await startPair();
  pair.info.publish(pair.info.topology().shards);
});
test.after.always(async () => {
  await pair.stop();
});

const digest = (bytes: Uint8Array): string => createHash("sha1").update(bytes).digest("hex");
/** Bytes that differ everywhere. */
const patterned = (length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return bytes;
};

test.serial("64 MiB go in and out over RESP, and no byte more", async (t) => {
  const redis = await respClient(pair.writerAddress.resp);
  const value = patterned(valueBytesMax);
  const text = async (...args: (string | Buffer)[]): Promise<string> =>
    (await redis.send(args)).map((reply) => reply.toString("latin1")).join();

  t.is(await text("SET", "large", value), "+OK\r\n");
  t.is(await text("STRLEN", "large"), `:${valueBytesMax}\r\n`);
  const [reply] = await redis.send(["GET", "large"]);
  const head = `$${valueBytesMax}\r\n`.length;
  t.is(digest(reply?.subarray(head, head + valueBytesMax) ?? Buffer.alloc(0)), digest(value));
  t.is(await text("GETRANGE", "large", "-4", "-1"), `$4\r\n${value.subarray(-4).toString("latin1")}\r\n`);

  const tooLong = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
  t.is(await text("APPEND", "large", "x"), tooLong);
  t.is(await text("SETRANGE", "large", String(valueBytesMax), "x"), tooLong);
  t.is(await text("SETRANGE", "large", String(valueBytesMax - 1), "x"), `:${valueBytesMax}\r\n`);
  t.is(await text("SET", "large", value.subarray(0, valueBytesMax - 1)), "+OK\r\n");
  t.is(await text("APPEND", "large", "x"), `:${valueBytesMax}\r\n`);
  // Within MULTI and EXEC as well, and with the longest key.
  const longKey = `{large}${"k".repeat(keyBytesMax - 7)}`;
  t.is(await text("MULTI"), "+OK\r\n");
  t.is(await text("SET", longKey, value), "+QUEUED\r\n");
  t.is(await text("EXEC"), "*1\r\n+OK\r\n");
  t.is(await text("DEL", longKey), ":1\r\n");

  redis.socket.write(`*3\r\n$3\r\nSET\r\n$1\r\na\r\n$${valueBytesMax + 1}\r\n`);
  t.is(await text("PING"), "-ERR Protocol error: invalid bulk length\r\n");
  redis.close();
});

test.serial("many small changes of a large value hold a bounded amount of memory", async (t) => {
  const redis = await respClient(pair.writerAddress.resp);
  await redis.send(["SET", "grows", Buffer.alloc(32 * 1024 * 1024)]);
  let most = 0;
  const watching = setInterval(() => {
    most = Math.max(most, residentBytes(pair.writer));
  }, 5);
  // Each makes a record of the whole value: 1.25 GiB in all, of 40 lines that come at once.
  const replies = await redis.send(...Array.from({ length: 40 }, () => ["APPEND", "grows", "x"]));
  clearInterval(watching);
  t.is(replies.at(-1)?.toString(), `:${32 * 1024 * 1024 + 40}\r\n`);
  t.log(`at most ${Math.round(most / 2 ** 20)} MiB resident`);
  t.true(most < 1_000 * 2 ** 20, `${most} bytes`);
  await redis.send(["DEL", "grows"]);
  redis.close();
});

test.serial("64 MiB go in and out through the library, and reach the reader", async (t) => {
  const client = await connect({
    info: `ws://127.0.0.1:${pair.writerAddress.client}/${testCluster.cluster}`,
    timeoutMs: 30_000,
  });
  const value = patterned(valueBytesMax);
  await client.set("a", value);
  t.is(digest((await client.get("a", { consistency: "linearizable" })) ?? Buffer.alloc(0)), digest(value));
  // Others wait their turn and get it, in one batch as well.
  await client.set("b", "small");
  const results = await client.batch([
    { kind: "get", key: "a" },
    { kind: "get", key: "b" },
    { kind: "get", key: "a" },
  ]);
  t.deepEqual(
    results.map((result) => (result.kind === "value" ? result.value?.length : result.kind)),
    [valueBytesMax, 5, valueBytesMax],
  );
  const failure = await t.throwsAsync(client.set("a", Buffer.alloc(valueBytesMax + 1)), {
    instanceOf: EdisError,
  });
  t.is(failure.code, "too-large");
  t.true(failure.message.includes(String(valueBytesMax)), failure.message);
  const together = client.set("a", value, { ifEqual: value });
  t.is((await t.throwsAsync(together, { instanceOf: EdisError })).code, "too-large");
  const half = value.subarray(0, valueBytesMax / 2);
  await client.set("a", half);
  t.is(await client.set("a", half.subarray(1), { ifEqual: half }), true);
  await client.set("a", value.subarray(1));
  // Whatever the stream made of the large ones, the reader goes on with what follows.
  await client.set("b", "after");
  const reader = await respClient(pair.readerAddress.resp);
  await reader.send(["READONLY"]);
  await until(
    "the reader has it",
    async () => (await reader.send(["STRLEN", "a"])).join() === `:${valueBytesMax - 1}\r\n`,
  );
  reader.close();
  client.close();
});
