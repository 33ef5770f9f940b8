import { randomBytes } from "node:crypto";
import test from "ava";
import { systemClock } from "../../core/clock.ts";
import { EdisError } from "../../core/errors.ts";
import { createLogger } from "../../core/logger.ts";
import type { Role } from "../../core/message.ts";
import { dial } from "../../net/dial.ts";
import { connectToShard, get, increment, set, textOf } from "../support/shardClient.ts";
import { shardOwnedBy, startTestInfo, testCluster } from "../support/shardInfo.ts";
import {
  addressOf,
  metric,
  readerPodName,
  startPair,
  streaming,
  writerPodName,
} from "../support/shardPair.ts";
import { startShardProcess } from "../support/shardProcess.ts";
import { until } from "../support/shardUntil.ts";

const patient = { kind: "eventual", lagMsMax: 60_000 } as const;

test.serial(
  "a writer that lost its data copies it from whoever owns its shard now, and owns it again",
  async (t) => {
    const pair = await startPair();
    t.teardown(pair.stop);
    const { info } = pair;
    const before = await connectToShard(pair.writerAddress);
    await before.ask(Array.from({ length: 1_000 }, (_, i) => set(`key:${i}`, `value ${i}`)));
    await info.reported(readerPodName, ({ version }) => version === 1_001);
    const lost = await info.registered(writerPodName);
    await pair.writer.kill();
    info.publish([shardOwnedBy(await info.registered(readerPodName), { at: 2 })], { [writerPodName]: 0 });
    await info.reported(readerPodName, ({ serving }) => serving.kind === "owner");

    const writer = startShardProcess({ role: "writer", pod: writerPodName, info: info.url });
    t.teardown(writer.kill);
    const again = await info.registered(writerPodName, lost.incarnation);
    info.replicationVia(writerPodName, addressOf(info, writerPodName).replication);
    const report = await info.reported(
      writerPodName,
      ({ serving, version }) =>
        serving.kind === "reader" && serving.state === "streaming" && version === 1_002,
    );
    t.is(report.keys, 1_000);
    const early = await connectToShard(addressOf(info, writerPodName));
    const [refused] = await early.ask([set("a", "1")], { epoch: 2 });
    t.is(textOf(refused), "error not-owner");

    info.publish([shardOwnedBy(again, { at: 3 })], { [readerPodName]: 0 });
    await info.reported(writerPodName, ({ serving }) => serving.kind === "owner" && serving.epoch === 3);
    const client = await connectToShard(addressOf(info, writerPodName));
    const [read] = await client.ask([get("key:999")], { epoch: 3 });
    t.is(textOf(read), "value 999");
    const [stale] = await client.ask([set("a", "1")], { epoch: 2 });
    t.is(textOf(stale), "error stale-epoch");
    const [written] = await client.ask([set("a", "1")], { epoch: 3 });
    t.like(written, { kind: "set", applied: true, epoch: 3, version: 1_004 });

    await info.reported(readerPodName, ({ version }) => version === 1_004);
    t.is(await metric(pair.readerAddress, "edis_shard_full_copies_taken_total"), 1);
  },
);

test.serial(
  "an owner steps down at once when a higher epoch names another, and not for an equal one",
  async (t) => {
    const pair = await startPair();
    t.teardown(pair.stop);
    const { info } = pair;
    const client = await connectToShard(pair.writerAddress);
    const other = { pod: "demo-write-9", incarnation: "other" };
    info.publish([shardOwnedBy(other, { at: 1 })]);
    await client.ask([set("a", "1")]);
    // The topology has been taken once the watcher has it; it was not obeyed.
    client.tell({ kind: "watch" });
    await until("the topology", () =>
      client.heard.some((one) => one.kind === "topology" && one.topology.shards[0]?.owner?.pod === other.pod),
    );
    const [still] = await client.ask([increment("n")]);
    t.like(still, { kind: "integer", value: 1 });

    info.publish([shardOwnedBy(other, { at: 2 })]);
    await until("the change", () =>
      client.heard.some((one) => one.kind === "change" && one.change.shards[0]?.epoch === 2),
    );
    const [refused] = await client.ask([increment("n")]);
    t.is(textOf(refused), "error not-owner");
    // Its own epoch, named once more, is not served once more.
    await info.reported(writerPodName, ({ serving }) => serving.kind === "nothing");
    const owner = await info.registered(writerPodName);
    info.publish([shardOwnedBy(owner, { at: 1 })]);
    await until("the next change", () => client.heard.filter(({ kind }) => kind === "change").length >= 2);
    const [again] = await client.ask([increment("n")]);
    t.is(textOf(again), "error not-owner");
    // A higher one is, with everything it held.
    info.publish([shardOwnedBy(owner, { at: 3 })]);
    await info.reported(writerPodName, ({ serving }) => serving.kind === "owner" && serving.epoch === 3);
    const [counted] = await client.ask([increment("n")], { epoch: 3 });
    t.like(counted, { kind: "integer", value: 2, epoch: 3 });
  },
);

test.serial(
  "an expired key is hidden at once at the reader and removed by a record of the owner",
  async (t) => {
    const pair = await startPair();
    t.teardown(pair.stop);
    const writer = await connectToShard(pair.writerAddress);
    const reader = await connectToShard(pair.readerAddress);
    await writer.ask([set("a", "1", { expiry: { kind: "in", ms: 300 } }), set("b", "2")]);
    await until(
      "the reader to have both",
      async () => textOf((await reader.ask([get("b", patient)]))[0]) === "2",
    );
    await until(
      "the key to be hidden",
      async () => textOf((await reader.ask([get("a", patient)]))[0]) === null,
    );
    await pair.info.reported(readerPodName, ({ version, keys }) => version === 4 && keys === 1);
    t.is(await metric(pair.writerAddress, "edis_shard_expired_keys_total"), 1);
  },
);

test.serial("peers with a wrong token, role or cluster are refused, and counted", async (t) => {
  const pair = await startPair();
  t.teardown(pair.stop);
  const { host, client, replication } = pair.writerAddress;
  const attempt = async (
    port: number,
    role: Role,
    {
      token = testCluster.token,
      cluster = testCluster.clusterId,
    }: { token?: Uint8Array | null; cluster?: string } = {},
  ) => {
    const error = await t.throwsAsync(
      dial({
        ...{
          url: `ws://${host}:${port}`,
          role,
          cluster,
          self: { pod: "intruder", incarnation: "1" },
          to: "",
          token,
        },
        ...{ clock: systemClock, logger: createLogger("silent", {}), signal: new AbortController().signal },
        opened: () => ({ message: () => undefined, closed: () => undefined }),
      }),
    );
    return error instanceof EdisError ? error.code : String(error);
  };
  t.is(await attempt(replication, "reader", { token: randomBytes(32) }), "bad-token");
  t.is(await attempt(replication, "writer", { token: null }), "bad-token");
  t.is(await attempt(replication, "client"), "wrong-role");
  t.is(await attempt(replication, "operator"), "wrong-role");
  t.is(await attempt(client, "reader"), "wrong-role");
  t.is(await attempt(client, "client", { token: null, cluster: "another/cluster" }), "wrong-cluster");
  const refusals = (port: string, code: string) =>
    metric(pair.writerAddress, "edis_shard_refusals_total", `{port="${port}",code="${code}"}`);
  t.is(await refusals("replication", "bad-token"), 2);
  t.is(await refusals("replication", "wrong-role"), 2);
  t.is(await refusals("client", "wrong-role"), 1);
  t.is(await refusals("client", "wrong-cluster"), 1);
});

test.serial("a process whose token is not info's is refused there", async (t) => {
  const pair = await startPair();
  t.teardown(pair.stop);
  const stranger = startShardProcess({
    role: "reader",
    pod: "demo-read-9",
    info: pair.info.url,
    token: randomBytes(32),
    env: { EDIS_LOG_LEVEL: "debug" },
  });
  t.teardown(stranger.kill);
  await until(
    "the stranger to be refused",
    () => stranger.log().includes("bad-token") || stranger.log().includes("not this cluster's"),
  );
  t.false(pair.info.sessions.has("demo-read-9"));
});

test.serial("requests, health and metrics say what a process is", async (t) => {
  const info = await startTestInfo();
  t.teardown(info.close);
  const writer = startShardProcess({ role: "writer", pod: writerPodName, info: info.url });
  t.teardown(writer.kill);
  const owner = await info.registered(writerPodName);
  const address = addressOf(info, writerPodName);
  const status = async (path: string) =>
    (await fetch(`http://${address.host}:${address.http}${path}`)).status;
  t.is(await status("/livez"), 200);
  t.is(await status("/readyz"), 503);
  const client = await connectToShard(address);
  t.is(textOf((await client.ask([set("a", "1")]))[0]), "error no-topology");
  client.tell({ kind: "watch" });

  info.publish([shardOwnedBy(null)]);
  await until("the topology", () => client.heard.some(({ kind }) => kind === "topology"));
  t.is(await status("/readyz"), 200);
  t.is(textOf((await client.ask([set("a", "1")]))[0]), "error not-owner");

  info.publish([shardOwnedBy(owner)]);
  await info.reported(writerPodName, ({ serving }) => serving.kind === "owner");
  t.is(await status("/readyz"), 200);
  const results = await client.ask([
    set("a", "1"),
    get("a"),
    set("a", "2", { condition: { kind: "ifAbsent" } }),
    increment("a", 41),
    get("a", { kind: "linearizable" }),
  ]);
  t.deepEqual(
    results.map(({ kind }) => kind),
    ["value", "value", "value", "integer", "value"].map((kind, i) => (i === 0 || i === 2 ? "set" : kind)),
  );
  t.is(textOf(results[4]), "42");
  t.is(textOf((await client.ask([get("a")], { shard: 1 }))[0]), "error not-owner");
  client.tell({ kind: "ask" });
  await until("the report", () => client.heard.some((one) => one.kind === "report" && one.report.keys === 1));
  t.is(await metric(address, "edis_shard_requests_total", '{kind="set",outcome="ok"}'), 2);
  t.is(await metric(address, "edis_shard_requests_total", '{kind="set",outcome="not-owner"}'), 1);
  t.is(await metric(address, "edis_shard_keys"), 1);
});

test.serial("a start without what it needs says which variable is wrong", async (t) => {
  const writer = startShardProcess({ role: "writer", pod: "a", info: "http://nowhere" });
  t.is(await writer.ended, 1);
  t.regex(writer.log(), /EDIS_INFO: it holds "http:\/\/nowhere", wanted are ws:/);
});

test.serial("a full copy that is taken under writes is exact", async (t) => {
  const pair = await startPair();
  t.teardown(pair.stop);
  const { info } = pair;
  const client = await connectToShard(pair.writerAddress);
  const value = new Uint8Array(100).fill(120);
  for (let from = 0; from < 100_000; from += 2_000)
    await client.ask(Array.from({ length: 2_000 }, (_, i) => set(`key:${from + i}`, value)));
  const added = startShardProcess({ role: "reader", pod: "demo-read-1", info: info.url });
  t.teardown(added.kill);
  await info.registered("demo-read-1");
  const owner = await info.registered(writerPodName);
  info.publish([shardOwnedBy(owner)], { [readerPodName]: 0, "demo-read-1": 0 });
  const state = { isCopied: false };
  const copied = streaming(info, "demo-read-1").then(() => {
    state.isCopied = true;
  });
  let last = 0;
  for (let round = 0; !state.isCopied || round < 10; round++) {
    const results = await client.ask(
      Array.from({ length: 100 }, (_, i) =>
        i % 2 === 0
          ? increment(`count:${i % 10}`)
          : set(`key:${(round * 977 + i * 31) % 100_000}`, `${round}:${i}`),
      ),
    );
    const result = results.at(-1);
    if (result?.kind === "set") last = result.version;
  }
  await copied;
  await info.reported("demo-read-1", ({ version }) => version === last);
  const reader = await connectToShard(addressOf(info, "demo-read-1"));
  for (let from = 0; from < 100_000; from += 4_000) {
    const gets = Array.from({ length: 4_000 }, (_, i) => get(`key:${from + i}`, patient));
    const [wanted, got] = await Promise.all([client.ask(gets), reader.ask(gets)]);
    t.deepEqual(got.map(textOf), wanted.map(textOf));
  }
  const counts = Array.from({ length: 5 }, (_, i) => get(`count:${i * 2}`, patient));
  t.deepEqual((await reader.ask(counts)).map(textOf), (await client.ask(counts)).map(textOf));
});
