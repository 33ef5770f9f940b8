import anyTest, { type TestFn } from "ava";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { connect, type Client, type ConnectOptions } from "../../client/index.ts";
import { EdisError } from "../../core/errors.ts";
import { testCluster, shardOwnedBy } from "../support/shardInfo.ts";
import { readerPodName, startPair, streaming, writerPodName, type ShardPair } from "../support/shardPair.ts";
import { startShardProcess } from "../support/shardProcess.ts";
import { until } from "../support/shardUntil.ts";

type World = { readonly ends: (() => unknown)[] };
const test = anyTest as TestFn<World>;
test.beforeEach((t) => {
  t.context = { ends: [] };
});
test.afterEach.always(async (t) => {
  for (const end of t.context.ends.reverse()) await end();
});

const urlOf = (pair: ShardPair): string =>
  `ws://127.0.0.1:${pair.writerAddress.client}/${testCluster.cluster}`;

/** A writer, a reader, and a client that found them through the writer: info plays no part. */
const start = async (
  { context }: { readonly context: World },
  options: Partial<ConnectOptions> = {},
): Promise<{ readonly pair: ShardPair; readonly client: Client }> => {
  const pair = await startPair();
  context.ends.push(pair.stop);
  const client = await connect({ info: urlOf(pair), ...options });
  context.ends.push(client.close);
  return { pair, client };
};

test("what is written is read, at every level of consistency", async (t) => {
  const { client } = await start(t);
  t.is(await client.get("a"), null);
  t.true(await client.set("a", "1"));
  t.is(await client.getText("a", { consistency: "session" }), "1");
  t.is(await client.getText("a", { consistency: "linearizable" }), "1");
  await until("the reader has it", async () => (await client.getText("a")) === "1");

  t.false(await client.set("a", "2", { ifAbsent: true }));
  t.false(await client.set("a", "2", { ifEqual: "0" }));
  t.true(await client.set("a", "2", { ifEqual: "1" }));
  t.is(await client.increment("a", 40), 42);
  t.true(await client.delete("a"));
  t.false(await client.delete("a"));
  t.true(await client.set("a", "x", { expiresInMs: 50 }));
  await until("it expires", async () => (await client.get("a", { consistency: "linearizable" })) === null);

  const error = await t.throwsAsync(
    client.set("b", "x").then(async () => client.increment("b")),
    {
      instanceOf: EdisError,
    },
  );
  t.is(error.code, "not-an-integer");
});

test("a session reads its own writes at the reader, and another process goes on from its token", async (t) => {
  const { pair, client } = await start(t, { consistency: "session" });
  for (let i = 0; i < 200; i++) {
    await client.set("counter", String(i));
    t.is(await client.getText("counter"), String(i));
  }
  const next = await connect({ info: urlOf(pair), consistency: "session", session: client.token() });
  t.context.ends.push(next.close);
  t.is(await next.getText("counter"), "199");
  const report = await client.report(readerPodName);
  t.is(report.serving.kind, "reader");
});

test("a batch of large values comes back whole", async (t) => {
  const { client } = await start(t);
  const value = Buffer.alloc(1024 * 1024, 7);
  const keys = Array.from({ length: 12 }, (_, i) => `large ${i}`);
  const written = await client.batch(keys.map((key) => ({ kind: "set", key, value })));
  t.true(written.every(({ kind }) => kind === "set"));
  const read = await client.batch(keys.map((key) => ({ kind: "get", key, consistency: "session" })));
  t.true(
    read.every((result) => result.kind === "value" && result.value !== null && value.equals(result.value)),
  );
});

test("reads go on while the reader is killed, and come back to it", async (t) => {
  const { pair, client } = await start(t);
  await client.set("a", "1");
  await until("the reader has it", async () => (await client.getText("a")) === "1");
  let reads = 0;
  const ending = new AbortController();
  const reading = (async (): Promise<void> => {
    while (!ending.signal.aborted) {
      t.is(await client.getText("a"), "1");
      reads++;
    }
  })();
  await until("reads are under way", () => reads > 100);
  const killed = pair.info.sessions.get(readerPodName)?.incarnation;
  await pair.reader.kill();
  const before = reads;
  await until("reads go on", () => reads > before + 100);
  const again = startShardProcess({ role: "reader", pod: readerPodName, info: pair.info.url });
  t.context.ends.push(again.kill);
  await pair.info.registered(readerPodName, killed);
  pair.info.publish(pair.info.topology().shards);
  await streaming(pair.info);
  await until("the reader answers", async () => (await client.getEntry("a")).value !== null);
  ending.abort();
  await reading;
});

test("a writer that comes back in a new epoch takes writes again; none is applied twice", async (t) => {
  const { pair, client } = await start(t, { timeoutMs: 20_000 });
  // Applied increments by the epoch they were applied in; errors that do not say.
  const applied = new Map<number, number>();
  let unknown = 0;
  const ending = new AbortController();
  const writing = (async (): Promise<void> => {
    while (!ending.signal.aborted) {
      const [result] = await client.batch([{ kind: "increment", key: "n" }]);
      if (result?.kind === "integer")
        applied.set(result.place.epoch, (applied.get(result.place.epoch) ?? 0) + 1);
      else if (result?.kind === "error" && result.error.code === "outcome-unknown") unknown++;
      else throw new Error(`Unexpected result ${JSON.stringify(result)}`);
    }
  })();
  await until("writes are under way", () => (applied.get(1) ?? 0) > 100);
  const killed = pair.info.sessions.get(writerPodName)?.incarnation;
  await pair.writer.kill();
  const again = startShardProcess({ role: "writer", pod: writerPodName, info: pair.info.url });
  t.context.ends.push(again.kill);
  const owner = await pair.info.registered(writerPodName, killed);
  pair.info.publish([shardOwnedBy(owner, { at: 2 })]);
  await until("writes go on", () => (applied.get(2) ?? 0) > 100);
  ending.abort();
  await writing;
  // This writer kept nothing: what it holds are the writes since it came back, each once.
  t.is(await client.increment("n", 0), applied.get(2) ?? 0);
  t.true(unknown <= 1);
});

test("with info gone reads and writes go on, and a new client finds the cluster at a reader", async (t) => {
  const { pair, client } = await start(t);
  await pair.info.close();
  await client.set("a", "1");
  const other = await connect({
    info: ["ws://127.0.0.1:1", `ws://127.0.0.1:${pair.readerAddress.client}`],
    cluster: testCluster.cluster,
  });
  t.context.ends.push(other.close);
  t.is(await other.getText("a", { consistency: "linearizable" }), "1");
});

test("a process that has closed its client ends by itself", async (t) => {
  const { pair } = await start(t);
  const index = fileURLToPath(new URL("../../client/index.ts", import.meta.url));
  const program = `
    import { connect } from ${JSON.stringify(index)};
    const client = await connect({ info: ${JSON.stringify(urlOf(pair))} });
    await client.set("a", "1");
    process.stdout.write(await client.getText("a", { consistency: "session" }));
    client.close();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  const [code] = (await once(child, "exit")) as [number | null];
  clearTimeout(timer);
  t.is(code, 0);
  t.is(output, "1");
});
