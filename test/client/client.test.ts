import anyTest, { type TestFn } from "ava";
import { encode } from "../../core/cbor.ts";
import { systemClock } from "../../core/clock.ts";
import { EdisError, type ErrorCode } from "../../core/errors.ts";
import { epoch, revision } from "../../core/ids.ts";
import { encodeMessage } from "../../core/message.ts";
import { encodeReplies } from "../../core/requestEncoder.ts";
import { connect, type Client, type ConnectOptions } from "../../client/index.ts";
import { until } from "../support/net.ts";
import { answer, at, obliging, refusing, startScripted, type ScriptedCluster } from "./scripted.ts";

type World = { readonly ends: (() => unknown)[] };
const test = anyTest as TestFn<World>;
test.beforeEach((t) => {
  t.context = { ends: [] };
});
test.afterEach.always(async (t) => {
  for (const end of t.context.ends.reverse()) await end();
});

type Start = { readonly readers?: number; readonly options?: Partial<ConnectOptions> };
const start = async (
  { context }: { readonly context: World },
  { readers = 2, options = {} }: Start = {},
): Promise<{ readonly cluster: ScriptedCluster; readonly client: Client }> => {
  const cluster = await startScripted(readers);
  context.ends.push(cluster.close);
  const client = await connect({ info: cluster.pod("demo-write-0").url, ...options });
  context.ends.push(client.close);
  return { cluster, client };
};

const codeOf = async (call: Promise<unknown>): Promise<ErrorCode | "no error"> =>
  call.then(
    () => "no error" as const,
    (error: unknown) => {
      if (error instanceof EdisError) return error.code;
      throw error;
    },
  );
const count = (cluster: ScriptedCluster, pod: string): number =>
  cluster.pod(pod).asked.reduce((sum, { requests }) => sum + requests.length, 0);

test("every call gives its result", async (t) => {
  const { client } = await start(t);
  t.deepEqual(await client.get("a"), Buffer.from("value"));
  t.is(await client.getText("a"), "value");
  t.deepEqual(await client.getEntry("a"), { value: Buffer.from("value"), place: at(1, 1), lagMs: 3 });
  t.true(await client.set("a", new Uint8Array([1, 2]), { ifAbsent: true, expiresInMs: 5 }));
  t.true(await client.delete("a"));
  t.is(await client.increment("a", 7), 7);
  t.is(await client.increment("a"), 1);
  t.deepEqual(await client.batch([]), []);
  t.deepEqual(
    await client.batch([
      { kind: "get", key: "a" },
      { kind: "set", key: "b", value: "1" },
      { kind: "delete", key: "c" },
      { kind: "increment", key: "d", by: -2 },
    ]),
    [
      { kind: "value", value: Buffer.from("value"), place: at(1, 1), lagMs: 3 },
      { kind: "set", applied: true, place: at(1, 1) },
      { kind: "deleted", existed: true, place: at(1, 1) },
      { kind: "integer", value: -2, place: at(1, 1) },
    ],
  );
});

test("writes and linearizable reads go to the owner, other reads to the readers in turn", async (t) => {
  const { cluster, client } = await start(t);
  for (let i = 0; i < 10; i++) await client.get(`key ${i}`);
  t.deepEqual([count(cluster, "demo-read-0"), count(cluster, "demo-read-1")], [5, 5]);
  t.is(count(cluster, "demo-write-0"), 0);
  await client.set("a", "1");
  await client.get("a", { consistency: "linearizable" });
  t.is(count(cluster, "demo-write-0"), 2);
});

test("calls of one turn share a frame", async (t) => {
  const { cluster, client } = await start(t, { readers: 0 });
  await client.get("warm");
  cluster.pod("demo-write-0").asked.length = 0;
  await Promise.all(Array.from({ length: 500 }, async (_, i) => client.increment(`n${i}`)));
  t.is(cluster.pod("demo-write-0").asked.length, 1);
  await Promise.all(Array.from({ length: 12 }, async (_, i) => client.set(`n${i}`, Buffer.alloc(100_000))));
  t.deepEqual(
    cluster
      .pod("demo-write-0")
      .asked.slice(1)
      .map(({ requests }) => requests.length),
    [2, 2, 2, 2, 2, 2],
  );
});

test("a reader that lags is passed over and left out for a while", async (t) => {
  let nowMs = 1_000;
  const clock = { ...systemClock, nowMs: () => nowMs };
  const { cluster, client } = await start(t, { options: { clock, random: () => 0 } });
  cluster.pod("demo-read-0").script = refusing("lagging");
  for (let i = 0; i < 6; i++) t.is(await client.getText("a"), "value");
  t.is(count(cluster, "demo-read-0"), 1);
  nowMs += 101;
  cluster.pod("demo-read-0").script = obliging;
  for (let i = 0; i < 6; i++) await client.get("a");
  t.is(count(cluster, "demo-read-0"), 4);
});

test("where no reader is in bounds the owner answers", async (t) => {
  const { cluster, client } = await start(t);
  for (const name of ["demo-read-0", "demo-read-1"]) cluster.pod(name).script = refusing("lagging");
  t.is(await client.getText("a"), "value");
  t.is(count(cluster, "demo-write-0"), 1);
});

test("a session read carries the place of the session, and goes to the owner where the reader is behind", async (t) => {
  const { cluster, client } = await start(t, { options: { consistency: "session" } });
  cluster.pod("demo-write-0").script = ({ requests }) => requests.map((r) => answer(r, "new", at(1, 42)));
  for (const name of ["demo-read-0", "demo-read-1"]) cluster.pod(name).script = refusing("behind");
  await client.set("a", "new");
  t.is(await client.getText("a"), "new");
  const asked = [...cluster.pod("demo-read-0").asked, ...cluster.pod("demo-read-1").asked];
  t.is(asked.length, 1);
  t.deepEqual(asked[0]?.requests[0], {
    kind: "get",
    key: Buffer.from("a"),
    read: { kind: "session", ...at(1, 42) },
  });
  t.is(client.token(), "1;uid-1;0.1.42");
});

test("a session goes on elsewhere from its token", async (t) => {
  const { cluster, client } = await start(t, { readers: 1 });
  const other = client.session("1;uid-1;0.3.9");
  await other.get("a", { consistency: "session" });
  t.deepEqual(cluster.pod("demo-read-0").asked[0]?.requests, [
    { kind: "get", key: Buffer.from("a"), read: { kind: "session", ...at(3, 9) } },
  ]);
  t.is(client.token(), "1;uid-1;");
  t.throws(() => client.session("1;uid-2;0.3.9"), { instanceOf: EdisError });
});

test("a stale epoch is answered by a newer topology and another try", async (t) => {
  const { cluster, client } = await start(t);
  const owner = cluster.pod("demo-write-0");
  owner.script = (frame) => {
    if (frame.epoch === 2) return obliging(frame);
    return refusing("stale-epoch")(frame);
  };
  const writing = client.set("a", "1");
  await until("it was refused once", () => owner.asked.length > 0);
  cluster.publish(({ shards }) => ({ shards: shards.map((shard) => ({ ...shard, epoch: epoch(2) })) }));
  t.true(await writing);
  t.is(client.topology().revision, revision(2));
});

test("who is to own next is connected to before anything is sent there", async (t) => {
  const { cluster, client } = await start(t);
  const next = cluster.pod("demo-read-0");
  const handingOver = (): void => {
    const { pod, incarnation } = next.member;
    cluster.publish(({ shards }) => ({
      shards: shards.map((shard) => ({ ...shard, phase: { kind: "handover", to: { pod, incarnation } } })),
    }));
  };
  t.true(await client.set("a", "1"));
  handingOver();
  await until("it is connected", () => next.connections.size === 1);
  t.is(next.asked.length, 0);
});

test("what was certainly not applied is tried again until the time is over", async (t) => {
  let stoppedMs: number | undefined;
  const clock = { ...systemClock, nowMs: () => stoppedMs ?? systemClock.nowMs() };
  const { cluster, client } = await start(t, { options: { clock, timeoutMs: 30_000 } });
  const owner = cluster.pod("demo-write-0");
  for (const code of ["try-again", "not-owner", "not-serving", "too-busy"] as const) {
    let left = 3;
    owner.script = (frame) => (left-- > 0 ? refusing(code)(frame) : obliging(frame));
    t.true(await client.set("a", "1"), code);

    // Time stands still, so that the second try waits until the time is over.
    stoppedMs = systemClock.nowMs();
    owner.asked.length = 0;
    owner.script = (frame) => (frame.requests[0]?.kind === "set" ? refusing(code)(frame) : obliging(frame));
    const writing = t.throwsAsync(client.set("a", "1"), { instanceOf: EdisError });
    // Answered behind the refusal, on the same connection.
    await until("the write was refused", () => owner.asked.length === 1);
    await client.get("a", { consistency: "linearizable" });
    stoppedMs += 30_000;
    const error = await writing;
    t.is(error.code, code);
    t.regex(error.message, /^Cannot set "a" within 30000 ms: scripted/);
    stoppedMs = undefined;
  }
});

test("a write whose answer is lost is not sent again: its outcome is unknown", async (t) => {
  let aheadMs = 0;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
  const { cluster, client } = await start(t, { options: { clock, timeoutMs: 30_000 } });
  const owner = cluster.pod("demo-write-0");
  owner.script = () => "cut";
  t.is(await codeOf(client.increment("n")), "outcome-unknown");
  t.is(count(cluster, "demo-write-0"), 1);
  owner.script = () => "nothing";
  const writing = codeOf(client.increment("n"));
  await until("it was sent", () => count(cluster, "demo-write-0") === 2);
  aheadMs += 30_000;
  t.is(await writing, "outcome-unknown");
  owner.script = obliging;
  t.is(await client.increment("n"), 1);
  t.is(count(cluster, "demo-write-0"), 3);
});

test("a read whose connection breaks goes to another pod", async (t) => {
  const { cluster, client } = await start(t);
  cluster.pod("demo-read-0").script = () => "cut";
  cluster.pod("demo-read-1").script = () => "cut";
  for (let i = 0; i < 4; i++) t.is(await client.getText("a"), "value");
});

test("a reader that stays silent is passed over within the time", async (t) => {
  const { cluster, client } = await start(t, { readers: 1 });
  cluster.pod("demo-read-0").script = () => "nothing";
  t.is(await client.getText("a"), "value");
  t.is(count(cluster, "demo-write-0"), 1);
});

test("a pod that says it ends is asked nothing new, and what is under way is answered", async (t) => {
  const { cluster, client } = await start(t, { readers: 1 });
  const reader = cluster.pod("demo-read-0");
  let asked = 0;
  reader.script = ({ id, requests }) => {
    asked = id;
    return requests.length > 0 ? "nothing" : [];
  };
  const reading = client.getText("a");
  await until("the read is under way", () => asked > 0);
  const [connection] = reader.connections;
  connection?.send(encodeMessage({ kind: "leaving" }));
  connection?.send(
    encodeReplies({
      id: asked,
      results: [{ kind: "value", value: Buffer.from("late"), ...at(1, 1), lagMs: 0 }],
    }),
  );
  t.is(await reading, "late");
  for (let i = 0; i < 3; i++) t.is(await client.getText("a"), "value");
  t.is(count(cluster, "demo-read-0"), 1);
});

test("with the sources of the topology gone the client goes on, and finds another", async (t) => {
  const { cluster, client } = await start(t);
  const other = await startScripted(0);
  t.context.ends.push(other.close);
  await cluster.pod("demo-write-0").close();
  for (let i = 0; i < 4; i++) t.is(await client.getText("a"), "value");
  const [owner] = other.pods;
  if (owner === undefined) throw new Error("no pod");
  const member = { ...owner.member, incarnation: "start-2" };
  let seen = 0;
  client.watch(() => seen++);
  cluster.publish(({ shards, members }) => ({
    shards: shards.map((shard) => ({
      ...shard,
      epoch: epoch(2),
      owner: { pod: member.pod, incarnation: "start-2" },
    })),
    members: [member, ...members.filter(({ home }) => home === "reader")],
  }));
  t.true(await client.set("a", "1"));
  t.is(seen, 1);
  t.is(count(other, "demo-write-0"), 1);
});

test("a value that found no room in the frame of replies is asked for by itself", async (t) => {
  const { cluster, client } = await start(t, { readers: 0 });
  cluster.pod("demo-write-0").script = (frame) =>
    frame.requests.length > 1 ? refusing("too-large")(frame) : obliging(frame);
  t.deepEqual(await Promise.all(["a", "b", "c"].map(async (key) => client.getText(key))), [
    "value",
    "value",
    "value",
  ]);
  t.deepEqual(
    cluster.pod("demo-write-0").asked.map(({ requests }) => requests.length),
    [3, 1, 1, 1],
  );
});

test("a caller can give up", async (t) => {
  const { cluster, client } = await start(t);
  cluster.pod("demo-write-0").script = () => "nothing";
  t.is(await codeOf(client.set("a", "1", { signal: AbortSignal.abort() })), "aborted");
  t.is(count(cluster, "demo-write-0"), 0);
  const giving = new AbortController();
  const call = client.set("a", "1", { signal: giving.signal });
  await until("it was sent", () => count(cluster, "demo-write-0") === 1);
  giving.abort(new Error("enough"));
  const error = await t.throwsAsync(call, { instanceOf: EdisError });
  t.is(error.code, "aborted");
  t.is((error.cause as Error).message, "enough");
  t.regex(error.message, /may have been applied/);
});

test("closing rejects what is under way", async (t) => {
  const { cluster, client } = await start(t);
  cluster.pod("demo-write-0").script = () => "nothing";
  for (const name of ["demo-read-0", "demo-read-1"]) cluster.pod(name).script = () => "nothing";
  const calls = Promise.all([codeOf(client.set("a", "1")), codeOf(client.get("a"))]);
  await until("the write was sent", () => count(cluster, "demo-write-0") === 1);
  client.close();
  t.deepEqual(await calls, ["outcome-unknown", "closed"]);
  t.is(await codeOf(client.get("a")), "closed");
});

test("wrong arguments are refused before anything is sent", async (t) => {
  const { cluster, client } = await start(t);
  t.is(await codeOf(client.get("")), "bad-argument");
  t.is(await codeOf(client.get("k".repeat(65_537))), "too-large");
  t.is(await codeOf(client.set("a", Buffer.alloc(64 * 1024 * 1024 + 1))), "too-large");
  t.is(await codeOf(client.set("a", 1 as unknown as string)), "bad-argument");
  t.is(await codeOf(client.set("a", "1", { ifAbsent: true, ifEqual: "2" })), "bad-argument");
  t.is(await codeOf(client.set("a", "1", { expiresInMs: 1, expiresAt: 5 })), "bad-argument");
  t.is(await codeOf(client.set("a", "1", { expiresInMs: 0 })), "bad-argument");
  t.is(await codeOf(client.increment("a", 0.5)), "bad-argument");
  t.is(await codeOf(client.get("a", { timeoutMs: Number.NaN })), "bad-argument");
  t.is(await codeOf(client.get("a", { consistency: "eventually" as "eventual" })), "bad-argument");
  t.is(cluster.pods.flatMap(({ asked }) => asked).length, 0);
});

test("garbage from a pod costs its connection, never the client", async (t) => {
  const { cluster, client } = await start(t, { readers: 1 });
  const reader = cluster.pod("demo-read-0");
  const owner = cluster.pod("demo-write-0");
  const value = answer({ kind: "get", key: Buffer.from("a"), read: { kind: "linearizable" } });
  const garbage = [
    Buffer.alloc(0),
    Buffer.from("not cbor at all"),
    Buffer.from("9f9f9f", "hex"),
    encode({ kind: "no such kind" }),
    encode([1]),
    encodeReplies({ id: 4_000_000, results: [value] }),
    Buffer.alloc(100_000, 0x81),
  ];
  for (const bytes of garbage) {
    reader.script = () => bytes;
    t.is(await client.getText("a"), "value", bytes.subarray(0, 20).toString("hex"));
    owner.script = () => bytes;
    t.is(await codeOf(client.increment("n")), "outcome-unknown");
    owner.script = obliging;
  }
  owner.script = ({ id }) => encodeReplies({ id, results: [value, value] });
  t.is(await codeOf(client.set("a", "1")), "outcome-unknown");
  owner.script = ({ id }) => encodeReplies({ id, results: [value] });
  t.is(await codeOf(client.set("a", "1")), "outcome-unknown");
  owner.script = obliging;
  t.true(await client.set("a", "1"));
});

test("connecting says what is wrong", async (t) => {
  const cluster = await startScripted(0);
  t.context.ends.push(cluster.close);
  t.is(await codeOf(connect({ info: "http://127.0.0.1:1" })), "bad-argument");
  t.is(await codeOf(connect({ info: "nonsense" })), "bad-argument");
  t.is(await codeOf(connect({ info: [] })), "bad-argument");
  t.is(await codeOf(connect({ info: "ws://127.0.0.1:1/only-one-part" })), "bad-argument");
  t.is(await codeOf(connect({ info: "ws://127.0.0.1:1", connectMs: 0 })), "unreachable");
  t.is(await codeOf(connect({ info: "ws://127.0.0.1:1", connectMs: 200 })), "unreachable");
  t.is(await codeOf(connect({ info: "ws://127.0.0.1:1", signal: AbortSignal.timeout(50) })), "aborted");
  const client = await connect({
    info: ["ws://127.0.0.1:1", `${cluster.pod("demo-write-0").url}/default/demo`],
  });
  t.is(client.topology().cluster, "default/demo");
  client.close();
});
