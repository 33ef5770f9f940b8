import anyTest, { type TestFn } from "ava";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { connect } from "../../client/index.ts";
import { testCluster } from "../support/shardInfo.ts";
import { startPair, type ShardPair } from "../support/shardPair.ts";

type World = { pair: ShardPair; env: Record<string, string> };
const test = anyTest as TestFn<World>;
const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

type Ran = { readonly code: number | null; readonly out: string; readonly err: string };

/** Runs the command as a shell would, with pipes for its input and output. */
const edis = async (
  env: Readonly<Record<string, string>>,
  words: readonly string[],
  input: string | Uint8Array = "",
): Promise<Ran> => {
  const child = spawn(process.execPath, [main, ...words], { env, stdio: ["pipe", "pipe", "pipe"] });
  const texts = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (texts.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (texts.err += text));
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...texts };
};

test.before(async (t) => {
  const pair = await startPair();
  // Once more, now that the reader serves.
  pair.info.publish(pair.info.topology().shards);
  t.context = {
    pair,
    env: { EDIS_INFO: `ws://127.0.0.1:${pair.writerAddress.client}`, EDIS_CLUSTER: testCluster.cluster },
  };
});
test.after.always(async (t) => {
  await t.context.pair.stop();
});

const linearizable = ["--consistency", "linearizable"];

test("set, get, del and incr say what they did, by text and by exit code", async (t) => {
  const { env } = t.context;
  t.deepEqual(await edis(env, ["set", "a", "1"]), { code: 0, out: "OK\n", err: "" });
  t.deepEqual(await edis(env, ["get", "a", ...linearizable]), { code: 0, out: "1\n", err: "" });
  t.deepEqual(await edis(env, [...linearizable, "get", "nothing"]), { code: 1, out: "\n", err: "" });
  t.deepEqual(await edis(env, ["incr", "a", "-5"]), { code: 0, out: "-4\n", err: "" });
  t.deepEqual(await edis(env, ["set", "a", "2", "--if-absent"]), {
    code: 1,
    out: "not set: the condition does not hold\n",
    err: "",
  });
  t.is((await edis(env, ["set", "a", "2", "--if-equal", "-4", "--ttl", "1h"])).code, 0);
  t.deepEqual(await edis(env, ["del", "a", "nothing"]), { code: 0, out: "1\n", err: "" });
  t.is((await edis(env, ["del", "a"])).code, 1);
  t.deepEqual(await edis(env, ["mset", "m1", "x", "m2", "y"]), { code: 0, out: "2\n", err: "" });
  t.deepEqual(await edis(env, ["mget", "m1", "m2", ...linearizable]), { code: 0, out: "x\ny\n", err: "" });
});

test("bytes go in by standard input and come out as they are", async (t) => {
  const { env } = t.context;
  const bytes = Buffer.from([0, 255, 10, 13, 27]);
  t.is((await edis(env, ["set", "bytes", "-"], bytes)).code, 0);
  const client = await connect({ info: env["EDIS_INFO"] ?? "", cluster: testCluster.cluster });
  t.deepEqual(await client.get("bytes", { consistency: "linearizable" }), bytes);
  client.close();
  const { out } = await edis(env, ["get", "bytes", "--output", "json", ...linearizable]);
  const shown = JSON.parse(out) as { value: string; encoding: string };
  t.is(shown.encoding, "base64");
  t.deepEqual(Buffer.from(shown.value, "base64"), bytes);
});

test("with --output json results and errors are objects", async (t) => {
  const { env } = t.context;
  const json = async (...words: string[]): Promise<unknown> =>
    JSON.parse((await edis(env, [...words, "--output", "json"])).out);
  t.deepEqual(await json("set", "j", "x"), { key: "j", applied: true });
  const got = (await json("get", "j", ...linearizable)) as Record<string, unknown>;
  t.deepEqual([got["key"], got["value"], got["epoch"], got["lagMs"]], ["j", "x", 1, 0]);
  t.deepEqual(await json("del", "j"), { deleted: 1 });
  t.deepEqual(await json("incr", "j", "3"), { key: "j", value: 3 });
  const { topology } = (await json("topology")) as { topology: { cluster: string } };
  t.is(topology.cluster, testCluster.cluster);
  const failed = await edis({}, ["--info", "ws://127.0.0.1:1", "--output", "json", "get", "a"]);
  t.is((JSON.parse(failed.err) as { error: { code: string } }).error.code, "unreachable");
});

test("errors say what is wrong and what to do next, in two lines", async (t) => {
  const { env } = t.context;
  await edis(env, ["set", "word", "x"]);
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [["get"], 2, /^edis: missing required argument 'key'\n +See: edis help\n$/],
    [["gett", "a"], 2, /^edis: unknown command 'gett'\n +See: edis help\n$/],
    [["incr", "word"], 2, /^edis: .+\n +Only integers can be counted/],
    [["incr", "n", "x"], 2, /Wanted is an integer/],
    [["set", "a", "1", "--ttl", "soon"], 2, /Wanted is 500ms, 10s/],
    [["mset", "a"], 2, /odd number/],
    [["get", "a", "--info", "ws://127.0.0.1:1"], 3, /^edis: Cannot reach .+\n +Is a cluster running at/],
    [["get", "a", "--info", "nonsense"], 2, /^edis: Cannot connect to "nonsense": wanted is ws:/],
    [["get", "a", "--cluster", "default/other"], 3, /^edis: .+\n +Name the cluster: --cluster/],
  ];
  for (const [words, code, message] of cases) {
    const ran = await edis(env, words);
    t.is(ran.code, code, words.join(" "));
    t.regex(ran.err, message);
    t.is(ran.out, "");
  }
});

test("a prompt on a pipe runs line after line and ends with the worst exit code", async (t) => {
  const { env } = t.context;
  const lines = `# a comment
set 'two words' "a \\"quoted\\"\\tvalue"
get 'two words' --consistency linearizable
incr piped 2

incr piped
`;
  t.deepEqual(await edis(env, [], lines), { code: 0, out: 'OK\na "quoted"\tvalue\n2\n3\n', err: "" });
  const failing = await edis(env, [], "get nothing\nset 'open\nnonsense\ndel piped\nexit\nincr never\n");
  t.is(failing.code, 2);
  t.is(failing.out, "\n1\n");
  t.regex(failing.err, /a ' is not closed[^]*unknown command 'nonsense'/);
  t.is((await edis(env, ["get", "never", ...linearizable])).code, 1);
  t.regex((await edis(env, [], "help\n")).out, /incr \[options\] <key> \[by\]|incr <key> \[by\]/);
});

test("topology is a table, ping asks every owner, and neither needs info", async (t) => {
  const { env } = t.context;
  await edis(env, ["set", "counted", "1"]);
  const { code, out } = await edis(env, ["topology"]);
  t.is(code, 0);
  const [heading, row, blank, summary] = out.split("\n");
  t.regex(heading ?? "", /^SHARD +SLOTS +COUNT +EPOCH +OWNER +READERS +LAG +KEYS$/);
  t.regex(row ?? "", /^0 +0-16383 +16384 +1 +demo-write-0 +demo-read-0 +\d+ ms +[1-9]\d*$/);
  t.is(blank, "");
  t.regex(summary ?? "", /^default\/demo: 1 shards, 2 of 2 pods serving/);
  t.deepEqual(await edis(env, ["ping"]), { code: 0, out: "default/demo: 1 of 1 owners answer\n", err: "" });
});

test("in a shard's pod the own shard stands in for an info that is away", async (t) => {
  const { pair } = t.context;
  const env = {
    EDIS_INFO: "ws://127.0.0.1:1",
    EDIS_CLUSTER: testCluster.cluster,
    EDIS_POD: "demo-write-0",
    EDIS_CLIENT_PORT: String(pair.writerAddress.client),
  };
  t.is((await edis(env, ["set", "pod", "1"])).code, 0);
});
