import test from "ava";
import { respClient, type RespClient } from "../support/respClient.ts";
import { metric, startPair, type ShardPair } from "../support/shardPair.ts";
import { until } from "../support/shardUntil.ts";

/** What a shard may hold, and what is said of it, at a real owner and a real reader. */
let pair: ShardPair;
let owner: RespClient;
let reader: RespClient;

test.before(async () => {
  pair = await startPair();
  owner = await respClient(pair.writerAddress.resp);
  reader = await respClient(pair.readerAddress.resp);
  await ask(reader, ["READONLY"]);
});
test.after.always(async () => {
  await pair.stop();
});

const ask = async (client: RespClient, ...commands: readonly (readonly string[])[]): Promise<string[]> =>
  (await client.send(...commands)).map((reply) => reply.toString("latin1"));
const one = async (client: RespClient, ...command: readonly string[]): Promise<string> =>
  (await ask(client, command))[0] ?? "";
const info = async (client: RespClient, field: string): Promise<string> =>
  new RegExp(`\r\n${field}:([^\r]*)\r\n`).exec(await one(client, "INFO"))?.[1] ?? "missing";
const figure = async (client: RespClient, field: string): Promise<number> =>
  Number(await info(client, field));

const MiB = 1024 * 1024;
const value = "x".repeat(1_000);
const fill = async (from: number, count: number, client = owner): Promise<string[]> => {
  const replies: string[] = [];
  for (let i = from; i < from + count; i += 500)
    replies.push(
      ...(await ask(client, ...Array.from({ length: 500 }, (_, n) => ["SET", `key:${i + n}`, value]))),
    );
  return replies;
};
const oom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

test.serial(
  "a maximum is followed without a restart; what may grow is refused at it, the rest goes on",
  async (t) => {
    t.is(await one(owner, "CONFIG", "GET", "maxmemory"), "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
    await fill(0, 3_000);
    pair.info.tell({ memoryMaxBytes: 3 * MiB });
    await until("the maximum is known", async () => (await figure(owner, "maxmemory")) === 3 * MiB);
    t.true((await figure(owner, "used_memory")) > 3 * MiB);
    const growing = [
      ...[
        ["SET", "a", "1"],
        ["SETEX", "a", "9", "1"],
        ["MSET", "a", "1"],
        ["APPEND", "a", "1"],
        ["INCR", "n"],
      ],
      ...[
        ["SETBIT", "a", "1", "1"],
        ["COPY", "{a}1", "{a}2"],
        ["SET", "a", "1", "EX", "10"],
      ],
    ];
    for (const command of growing) t.is(await one(owner, ...command), oom, command.join(" "));
    t.is(await one(owner, "GET", "key:1"), `$1000\r\n${value}\r\n`);
    t.is(await one(owner, "EXPIRE", "key:1", "100"), ":1\r\n");
    t.deepEqual(await ask(owner, ["MULTI"], ["SET", "a", "1"], ["EXEC"]), [
      "+OK\r\n",
      oom,
      "-EXECABORT Transaction discarded because of previous errors.\r\n",
    ]);
    for (let i = 0; (await figure(owner, "used_memory")) > 3 * MiB; i += 100)
      await ask(owner, ...Array.from({ length: 100 }, (_, n) => ["DEL", `key:${i + n}`]));
    t.is(await one(owner, "SET", "a", "1"), "+OK\r\n");
    t.is(await figure(owner, "evicted_keys"), 0);
  },
);

test.serial(
  "with eviction writes go on at the maximum, and the reader holds what its owner does",
  async (t) => {
    pair.info.tell({ memoryMaxBytes: 2 * MiB, eviction: "allkeys-lru" });
    await until("it is below the maximum", async () => (await figure(owner, "used_memory")) <= 2 * MiB);
    t.is(
      await one(owner, "CONFIG", "GET", "maxmemory-policy"),
      "*2\r\n$16\r\nmaxmemory-policy\r\n$11\r\nallkeys-lru\r\n",
    );
    const replies = await fill(10_000, 5_000);
    t.true(replies.every((reply) => reply === "+OK\r\n"));
    t.true((await figure(owner, "used_memory")) < 2 * MiB + 4_096);
    t.true((await figure(owner, "evicted_keys")) > 5_000);
    t.is(await one(owner, "WAIT", "1", "5000"), ":1\r\n");
    // The owner may evict some more between two questions.
    await until(
      "both hold as much",
      async () => (await one(reader, "DBSIZE")) === (await one(owner, "DBSIZE")),
    );
    t.is(await figure(reader, "evicted_keys"), 0);
  },
);

test.serial("what is a volatile policy's to evict is only what expires", async (t) => {
  await one(owner, "FLUSHALL");
  pair.info.tell({ memoryMaxBytes: 2 * MiB, eviction: "volatile-ttl" });
  await until("the policy is known", async () => (await info(owner, "maxmemory_policy")) === "volatile-ttl");
  await fill(0, 500);
  const temporary = Array.from({ length: 2_000 }, (_, n) => [
    "SET",
    `temporary:${n}`,
    value,
    "EX",
    String(1_000 + n),
  ]);
  t.true((await ask(owner, ...temporary)).every((reply) => reply === "+OK\r\n"));
  t.is(await one(owner, "EXISTS", "key:0"), ":1\r\n");
  t.is(await one(owner, "EXISTS", "temporary:0"), ":0\r\n");
  t.is(await one(owner, "EXISTS", "temporary:1999"), ":1\r\n");
  t.regex(await one(owner, "INFO", "keyspace"), /db0:keys=\d+,expires=\d+\r\n/);
  const [, keys = "0", expires = "0"] =
    /keys=(\d+),expires=(\d+)/.exec(await one(owner, "INFO", "keyspace")) ?? [];
  t.is(Number(keys) - Number(expires), 500);
  pair.info.tell({ memoryMaxBytes: null, eviction: "noeviction" });
  await until("there is no maximum", async () => (await figure(owner, "maxmemory")) === 0);
});

test.serial(
  "FLUSHALL of many keys is done in steps, answered when it is done, and others are served meanwhile",
  async (t) => {
    await fill(0, 20_000);
    const other = await respClient(pair.writerAddress.resp);
    const flushed = ask(owner, ["FLUSHALL"], ["DBSIZE"], ["SET", "after", "1"], ["DBSIZE"]);
    const during = await one(other, "PING");
    t.is(during, "+PONG\r\n");
    t.deepEqual(await flushed, ["+OK\r\n", ":0\r\n", "+OK\r\n", ":1\r\n"]);
    t.deepEqual(await ask(owner, ["MULTI"], ["FLUSHDB"], ["DBSIZE"], ["EXEC"]), [
      ...["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n+OK\r\n:0\r\n"],
    ]);
    // One that leaves does not stop it.
    await fill(0, 20_000);
    const leaving = await respClient(pair.writerAddress.resp);
    leaving.send(["FLUSHALL"]).catch(() => undefined);
    await until("it has begun", async () => (await one(owner, "DBSIZE")) !== ":20000\r\n");
    leaving.close();
    await until("all keys are gone", async () => (await one(owner, "DBSIZE")) === ":0\r\n");
    t.is(await one(owner, "WAIT", "1", "5000"), ":1\r\n");
    t.is(await one(reader, "DBSIZE"), ":0\r\n");
    other.close();
  },
);

test.serial(
  "WAIT waits for as many readers as hold the write, or for its time; other clients go on",
  async (t) => {
    t.is(await one(owner, "WAIT", "0", "0"), ":1\r\n");
    t.deepEqual(await ask(owner, ["SET", "w", "1"], ["WAIT", "1", "0"], ["GET", "w"]), [
      "+OK\r\n",
      ":1\r\n",
      "$1\r\n1\r\n",
    ]);
    t.is(await one(reader, "GET", "w"), "$1\r\n1\r\n");
    pair.link.cut();
    await until("the reader is gone", async () => (await info(owner, "connected_slaves")) === "0");
    const before = performance.now();
    t.deepEqual(await ask(owner, ["SET", "w", "2"], ["WAIT", "1", "50"], ["GET", "w"]), [
      "+OK\r\n",
      ":0\r\n",
      "$1\r\n2\r\n",
    ]);
    t.true(performance.now() - before >= 49);
    const waiting = ask(owner, ["SET", "w", "3"], ["WAIT", "1", "0"]);
    const other = await respClient(pair.writerAddress.resp);
    await until("it waits", async () => (await info(other, "blocked_clients")) === "1");
    t.regex(await one(other, "CLIENT", "LIST"), / flags=b .* cmd=wait /);
    pair.link.mend();
    t.deepEqual(await waiting, ["+OK\r\n", ":1\r\n"]);
    t.deepEqual(await ask(owner, ["MULTI"], ["WAIT", "5", "0"], ["EXEC"]), [
      "+OK\r\n",
      "+QUEUED\r\n",
      "*1\r\n:1\r\n",
    ]);
    t.regex(await one(reader, "WAIT", "0", "0"), /^-ERR WAIT cannot be used with replica instances/);
    // One that asks on while it waits is read no further, and answered in order.
    const many = Array.from({ length: 5_000 }, (_, n) => ["SET", `many:${n}`, value]);
    const replies = await ask(other, ["WAIT", "9", "200"], ...many, ["DBSIZE"]);
    t.is(replies[0], ":1\r\n");
    t.is(replies.at(-1), ":5001\r\n");
    other.close();
  },
);

test.serial("the figures are true", async (t) => {
  await one(owner, "FLUSHALL");
  await one(owner, "CONFIG", "RESETSTAT");
  await ask(
    owner,
    ["SET", "a", "1"],
    ["SET", "b", "1", "EX", "100"],
    ["GET", "a"],
    ["GET", "none"],
    ["MGET", "a"],
    ["BOGUS"],
  );
  t.is(await info(owner, "keyspace_hits"), "2");
  t.is(await info(owner, "keyspace_misses"), "1");
  t.is(await info(owner, "total_error_replies"), "1");
  t.is(await info(owner, "db0"), "keys=2,expires=1");
  t.true((await figure(owner, "used_memory_rss")) > 30 * MiB);
  t.true((await figure(owner, "used_memory_peak")) > 5 * MiB);
  t.is(await info(owner, "used_memory_dataset"), "4");
  t.regex(await info(owner, "slave0"), /^ip=127\.0\.0\.1,port=\d+,state=online,offset=\d+,lag=\d+$/);
  t.is(await info(reader, "master_port"), String(pair.writerAddress.resp));
  t.is(await info(reader, "role"), "slave");
  const shown = (name: string, labels = ""): Promise<number> =>
    metric(pair.writerAddress, `edis_shard_${name}`, labels);
  t.is(await shown("keyspace_hits_total", '{protocol="resp"}'), 2);
  t.is(await shown("resp_calls_total", '{command="get"}'), 2);
  t.is(await shown("resp_clients"), 1);
  t.is(await shown("memory_max_bytes"), 0);
  t.is(await shown("memory_used_bytes"), await figure(owner, "used_memory"));
  t.is(await shown("expiring_keys"), 1);
  t.true((await shown("resp_latency_ms", '{family="set",quantile="0.99"}')) > 0);
  t.true((await shown("resp_input_bytes_total")) > 100 && (await shown("resp_output_bytes_total")) > 100);
  t.true((await figure(owner, "total_net_input_bytes")) > 100);
  t.regex(await one(owner, "MEMORY", "USAGE", "a"), /^:(2[4-9]|[3-9]\d)\r\n$/);
  t.is(await one(owner, "MEMORY", "USAGE", "none"), "$-1\r\n");
  t.regex(await one(owner, "MEMORY", "STATS"), /keys\.count\r\n:2\r\n/);
  t.regex(await one(owner, "MEMORY", "DOCTOR"), /Nothing stands out: 0\.0 MiB of data/);
  t.is(await one(owner, "CLUSTER", "COUNTKEYSINSLOT", "15495"), ":1\r\n");
  t.is(await one(owner, "CLUSTER", "GETKEYSINSLOT", "15495", "10"), "*1\r\n$1\r\na\r\n");
  t.is(await one(owner, "CLUSTER", "GETKEYSINSLOT", "16384", "1"), "-ERR Invalid slot or number of keys\r\n");
});

test.serial("what the ShardCluster says is changed there, and CONFIG SET says so", async (t) => {
  for (const [name, field] of [
    ["maxmemory", "spec.memory.max"],
    ["maxmemory-policy", "spec.memory.eviction"],
    ["appendfsync", "spec.durability.fsync"],
  ] as const)
    t.is(
      await one(owner, "CONFIG", "SET", name, "1"),
      `-ERR CONFIG SET failed (possibly related to argument '${name}') - set ${field} of the ShardCluster\r\n`,
    );
  t.is(await one(owner, "CONFIG", "GET", "appendfsync"), "*2\r\n$11\r\nappendfsync\r\n$8\r\neverysec\r\n");
  pair.info.tell({ fsync: "always" });
  await until("the mode is known", async () =>
    (await one(owner, "CONFIG", "GET", "appendfsync")).includes("always"),
  );
});
