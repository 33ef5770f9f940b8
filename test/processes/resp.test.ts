import test from "ava";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { commands } from "../../shard/front/resp/commands/table.ts";
import { randomFrom, type Random } from "../support/random.ts";
import { encodeCommand, respClient, type RespClient } from "../support/respClient.ts";
import { startPair, type ShardPair } from "../support/shardPair.ts";
import { shardOwnedBy } from "../support/shardInfo.ts";
import { until } from "../support/shardUntil.ts";

/** Redis's protocol at a real owner and a real reader. */
let pair: ShardPair;
let owner: RespClient;
let reader: RespClient;

test.before(async () => {
  pair = await startPair();
  owner = await respClient(pair.writerAddress.resp);
  reader = await respClient(pair.readerAddress.resp);
});
test.after.always(async () => {
  await pair.stop();
});

const ask = async (client: RespClient, ...commands: readonly (readonly string[])[]): Promise<string[]> =>
  (await client.send(...commands)).map((reply) => reply.toString("latin1"));

test.serial("what is written at the owner is read at the reader, after READONLY", async (t) => {
  t.deepEqual(await ask(owner, ["SET", "a", "1"], ["GET", "a"]), ["+OK\r\n", "$1\r\n1\r\n"]);
  const moved = `-MOVED 15495 127.0.0.1:${pair.writerAddress.resp}\r\n`;
  t.deepEqual(await ask(reader, ["GET", "a"], ["SET", "a", "2"], ["READONLY"]), [moved, moved, "+OK\r\n"]);
  await until("the reader has it", async () => (await ask(reader, ["GET", "a"]))[0] === "$1\r\n1\r\n");
  t.deepEqual(await ask(reader, ["SET", "a", "2"], ["READWRITE"], ["GET", "a"]), [moved, "+OK\r\n", moved]);
  t.deepEqual(await ask(reader, ["FLUSHALL"]), [
    "-READONLY You can't write against a read only replica.\r\n",
  ]);
});

test.serial("BGSAVE writes a snapshot, at an owner and at a reader", async (t) => {
  for (const [client, { data }] of [
    [owner, pair.writer],
    [reader, pair.reader],
  ] as const) {
    const snapshots = (): number =>
      readdirSync(join(data, "shard-0")).filter((name) => name.endsWith(".snap")).length;
    const before = snapshots();
    t.deepEqual(await ask(client, ["BGSAVE", "SOON"], ["BGSAVE"]), [
      "-ERR syntax error\r\n",
      "+Background saving started\r\n",
    ]);
    await until("it is written", async () => {
      const [info = ""] = await ask(client, ["INFO", "persistence"]);
      return info.includes("rdb_bgsave_in_progress:0");
    });
    t.is(snapshots(), Math.min(2, before + 1));
  }
});

test.serial("keys of several slots are refused, and so is their transaction", async (t) => {
  t.deepEqual(await ask(owner, ["MGET", "a", "b"]), [
    "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
  ]);
  const [, , , executed] = await ask(owner, ["MULTI"], ["SET", "a", "1"], ["SET", "b", "1"], ["EXEC"]);
  t.is(executed, "-CROSSSLOT Keys in request don't hash to the same slot\r\n");
});

test.serial("a transaction whose key another client wrote is not carried out", async (t) => {
  const other = await respClient(pair.writerAddress.resp);
  await ask(owner, ["SET", "w", "1"], ["WATCH", "w"]);
  await ask(other, ["SET", "w", "2"]);
  t.deepEqual(await ask(owner, ["MULTI"], ["SET", "w", "3"], ["EXEC"]), [
    "+OK\r\n",
    "+QUEUED\r\n",
    "*-1\r\n",
  ]);
  t.deepEqual(await ask(owner, ["WATCH", "w"], ["SET", "w", "3"], ["MULTI"], ["EXEC"], ["GET", "w"]), [
    "+OK\r\n",
    "+OK\r\n",
    "+OK\r\n",
    "*-1\r\n",
    "$1\r\n3\r\n",
  ]);
  other.close();
});

test.serial("a transaction is carried out where what was done to its key changed nothing", async (t) => {
  const carriedOut = ["+OK\r\n", "+QUEUED\r\n", "*1\r\n+PONG\r\n"];
  const transaction = [["MULTI"], ["PING"], ["EXEC"]];
  await ask(owner, ["SET", "w", "a"], ["WATCH", "w"]);
  t.deepEqual(await ask(owner, ["SETBIT", "w", "1", "1"], ["SETBIT", "w", "0", "0"], ...transaction), [
    ...[":1\r\n", ":0\r\n"],
    ...carriedOut,
  ]);
  // It had expired before it was watched: that it is removed now is nothing new.
  await ask(owner, ["SET", "w", "a", "PXAT", "1"], ["WATCH", "w"]);
  t.deepEqual(await ask(owner, ["DEL", "w"], ["GETDEL", "w"], ...transaction), [
    ...[":0\r\n", "$-1\r\n"],
    ...carriedOut,
  ]);
});

/** A command of a plain form or nearly so, with keys that share a tag. */
const nearlyPlain = (random: Random, tag: string): string[] => {
  const key = (): string => `{${tag}}${random.below(4)}`;
  const value = (): string =>
    random.pick(["1", "41", "x", "", "-7", "007", "999999999999999", "v".repeat(200)]);
  const keys = Array.from({ length: random.below(4) }, key);
  const name = random.pick([
    "get",
    "GET",
    "Set",
    "set",
    "setex",
    "del",
    "unlink",
    "exists",
    "mget",
    "mset",
    "incr",
    "decr",
    "ttl",
  ]);
  switch (name.toLowerCase()) {
    case "set":
      return [name, key(), value(), ...random.pick([[], [], [], ["KEEPTTL"], ["oops"]])];
    case "setex":
      return [name, key(), random.pick(["1000", "0", "x", "-1"]), value()];
    case "mset":
      return [name, ...keys.flatMap((each) => [each, value()]), ...random.pick([[], [], ["odd"]])];
    case "del":
    case "unlink":
    case "exists":
    case "mget":
      return [name, ...keys];
    default:
      return [name, ...random.pick([[key()], [key()], [key()], keys])];
  }
};

test.serial("a pipeline of plain commands is answered as each of them is in a transaction", async (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    await ask(owner, ["FLUSHALL"]);
    const plain = Array.from({ length: 150 }, () => ["GET", ""]);
    const queued = plain.map(() => ["GET", ""]);
    const [random, same] = [randomFrom(seed), randomFrom(seed)];
    for (let i = 0; i < plain.length; i++) {
      plain[i] = nearlyPlain(random, "p");
      queued[i] = nearlyPlain(same, "q");
    }
    const replies = await ask(owner, ...plain);
    const executed = await ask(owner, ...queued.flatMap((args) => [["MULTI"], args, ["EXEC"]]));
    for (const [i, args] of plain.entries()) {
      const asked = executed[i * 3 + 1] ?? "";
      const reply = asked === "+QUEUED\r\n" ? (executed[i * 3 + 2] ?? "").replace("*1\r\n", "") : asked;
      // Some milliseconds lie between the two.
      const [a, b] = [replies[i] ?? "", reply].map((text) => text.replace(/^:(?:1000|99\d)\r/, ":soon\r"));
      t.is(a?.replaceAll("{p}", "{q}"), b, `seed ${seed}, ${JSON.stringify(args)}`);
    }
  }
});

test.serial("the cluster is shown with the owner as master and the reader as its replica", async (t) => {
  const [id = "", nodes = "", slots = "", info = ""] = await ask(
    owner,
    ["CLUSTER", "MYID"],
    ["CLUSTER", "NODES"],
    ["CLUSTER", "SLOTS"],
    ["CLUSTER", "INFO"],
  );
  const own = id.split("\r\n")[1] ?? "";
  t.regex(own, /^[0-9a-f]{40}$/);
  t.regex(nodes, new RegExp(`${own} 127.0.0.1:${pair.writerAddress.resp}@\\d+ myself,master - .* 0-16383`));
  t.regex(nodes, new RegExp(`127.0.0.1:${pair.readerAddress.resp}@\\d+ slave(,handshake)? ${own} `));
  t.regex(slots, /^\*1\r\n\*[34]\r\n:0\r\n:16383\r\n\*4\r\n\$9\r\n127.0.0.1\r\n/);
  t.regex(info, /cluster_state:ok/);
});

test.serial("SCAN finds every key that is there all the time, while others come and go", async (t) => {
  await ask(owner, ["FLUSHALL"]);
  const keys = Array.from({ length: 500 }, (_, i) => `k${i}`);
  await ask(owner, ...keys.map((key) => ["SET", key, "v"]));
  const found = new Set<string>();
  let cursor = "0";
  do {
    const [reply = ""] = await ask(owner, ["SCAN", cursor, "COUNT", "17"], ["SET", `x${found.size}`, "v"]);
    const words = reply.split("\r\n");
    cursor = words[2] ?? "0";
    for (const word of words.slice(4)) if (/^k\d/.test(word)) found.add(word);
  } while (cursor !== "0");
  t.is(found.size, keys.length);
});

test.serial(
  "a client that asks for much and does not read costs little, and others are served",
  async (t) => {
    const greedy = await respClient(pair.writerAddress.resp);
    await ask(owner, ["SET", "large", "x".repeat(1_000_000)]);
    greedy.socket.pause();
    const asked = greedy.send(...Array.from({ length: 2_000 }, () => ["GET", "large"]));
    asked.catch(() => undefined);
    for (let i = 0; i < 50; i++) t.is((await ask(owner, ["PING"]))[0], "+PONG\r\n");
    const [memory = ""] = await ask(owner, ["INFO", "memory"]);
    const resident = Number(/used_memory_rss:(\d+)/.exec(memory)?.[1]);
    t.true(resident < 400 * 1024 * 1024, `${resident} bytes`);
    greedy.close();
  },
);

test.serial("a protocol error is answered, then the connection ends", async (t) => {
  const broken = await respClient(pair.writerAddress.resp);
  const ended = new Promise((resolve) => broken.socket.once("close", resolve));
  let answer = "";
  broken.socket.on("data", (chunk) => (answer += chunk.toString()));
  broken.socket.write("*1\r\n:1\r\n");
  await ended;
  t.is(answer, "-ERR Protocol error: expected '$', got ':'\r\n");
});

test.serial("mutated commands harm nobody", async (t) => {
  const random = randomFrom(7);
  for (let round = 0; round < 40; round++) {
    const hostile = connect(pair.writerAddress.resp, "127.0.0.1");
    const ended = new Promise((resolve) => hostile.once("close", resolve));
    hostile.on("error", () => undefined);
    hostile.resume();
    const bytes = Buffer.concat(Array.from({ length: 100 }, () => encodeCommand(hostileCommand(random))));
    // Some come through whole: what their arguments say is odd enough.
    for (let i = 0; i < round % 4; i++) bytes[random.below(bytes.length)] = random.below(256);
    hostile.end(bytes);
    await ended;
  }
  t.is((await ask(owner, ["PING"]))[0], "+PONG\r\n");
});

const hostileCommand = (random: Random): readonly string[] => {
  const name = random.pick([...commands.values()]);
  const words = name.name.split("|");
  const sub = name.subcommands === undefined ? [] : [random.pick([...name.subcommands.keys()])];
  const args = Array.from({ length: random.below(6) }, () =>
    random.pick([
      "a",
      "",
      "-1",
      "0",
      "1",
      "99999999999999999999",
      "\xff\x00",
      "*",
      "EX",
      "TYPE",
      "__proto__",
    ]),
  );
  return name.name === "client" ? ["ping"] : [...words, ...sub, ...args];
};

test.serial("an owner that is replaced sends its clients on", async (t) => {
  const session = await pair.info.registered("demo-read-0");
  pair.info.publish([shardOwnedBy(session, { at: 2 })]);
  await until("moved", async () =>
    ((await ask(owner, ["SET", "a", "9"]))[0] ?? "").startsWith(
      `-MOVED 15495 127.0.0.1:${pair.readerAddress.resp}`,
    ),
  );
  t.pass();
});
