import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { epoch } from "../../core/ids.ts";
import type { Result } from "../../core/request.ts";
import type { PodRef, Shard } from "../../core/topology.ts";
import { connectToShard, get, set, textOf, type ShardClient } from "../support/shardClient.ts";
import { shardOwnedBy } from "../support/shardInfo.ts";
import {
  addressOf,
  readerPodName,
  startPair,
  streaming,
  writerPodName,
  type ShardPair,
} from "../support/shardPair.ts";
import { startShardProcess } from "../support/shardProcess.ts";
import { until } from "../support/shardUntil.ts";

// Real processes; the test says what info decides.

const linearizable = { kind: "linearizable" } as const;
const home = { [readerPodName]: 0, [writerPodName]: 0 };

const started = async (
  t: ExecutionContext,
  env: Readonly<Record<string, string>> = {},
): Promise<ShardPair> => {
  const pair = await startPair(env);
  t.teardown(pair.stop);
  return pair;
};

/** The shard as it is published now, changed. */
const changed = ({ info }: ShardPair, change: Partial<Shard>): Shard => {
  const [shard] = info.topology().shards;
  if (shard === undefined) throw new Error("no shard was published");
  return { ...shard, ...change };
};

const refOf = ({ info }: ShardPair, pod: string): PodRef => {
  const session = info.sessions.get(pod);
  if (session === undefined) throw new Error(`${pod} is not there`);
  return { pod, incarnation: session.incarnation };
};

/** The reader counts as in sync, and that is recorded. */
const inSync = async (pair: ShardPair): Promise<void> => {
  await until("the reader to be in sync", () => changed(pair, {}).inSync.includes(readerPodName));
};

const owns = async ({ info }: ShardPair, pod: string, epoch: number): Promise<void> => {
  await info.reported(pod, ({ serving }) => serving.kind === "owner" && serving.epoch === epoch);
};

const only = async (
  client: ShardClient,
  request: Parameters<ShardClient["ask"]>[0][number],
  epoch = 1,
): Promise<Result> => {
  const [result] = await client.ask([request], { epoch });
  if (result === undefined) throw new Error("no result");
  return result;
};

test.serial(
  "a follower that is fenced stops following, promises, and is an owner with all that was acknowledged",
  async (t) => {
    const pair = await started(t);
    const { info } = pair;
    await inSync(pair);
    const before = await connectToShard(pair.writerAddress);
    await only(before, set("a", "1"));
    await info.reported(readerPodName, ({ version }) => version === 2);
    const lost = refOf(pair, writerPodName);
    await pair.writer.kill();

    const fencing = changed(pair, { phase: { kind: "fencing", epoch: epoch(2) } });
    info.publish([fencing]);
    const report = await info.reported(readerPodName, ({ promised }) => promised?.epoch === 2);
    t.true((report.promised?.leftMs ?? 0) > 0, "it granted the old owner a lease just before");
    t.true((report.promised?.leftMs ?? 0) <= 2_000);

    info.publish([shardOwnedBy(refOf(pair, readerPodName), { at: 2 })], home);
    await owns(pair, readerPodName, 2);
    const client = await connectToShard(pair.readerAddress);
    t.is(textOf(await only(client, get("a", linearizable), 2)), "1");
    t.like(await only(client, set("a", "2"), 2), { kind: "set", applied: true, epoch: 2 });

    const again = startShardProcess({ role: "writer", pod: writerPodName, info: info.url });
    t.teardown(again.kill);
    await info.registered(writerPodName, lost.incarnation);
    info.replicationVia(writerPodName, addressOf(info, writerPodName).replication);
    info.publish([changed(pair, {})]);
    await streaming(info, writerPodName);
    await until("the home writer to be in sync", () => changed(pair, {}).inSync.includes(writerPodName));
  },
);

test.serial("a promise outlives the process that made it", async (t) => {
  const pair = await started(t);
  const { info } = pair;
  const pod = "demo-read-1";
  const data = mkdtempSync(join(tmpdir(), "edis-promise-"));
  const start = () => startShardProcess({ role: "reader", pod, info: info.url, env: { EDIS_DATA: data } });
  const first = start();
  await info.registered(pod);
  info.publish([changed(pair, {})], { [readerPodName]: 0, [pod]: 0 });
  await streaming(info, pod);
  const before = changed(pair, {});
  info.publish([{ ...before, phase: { kind: "fencing", epoch: epoch(7) } }]);
  const { incarnation } = await info.reported(pod, ({ promised }) => promised?.epoch === 7);
  await first.kill();
  const second = start();
  t.teardown(async () => {
    await second.kill();
    rmSync(data, { recursive: true });
  });
  await info.registered(pod, incarnation);
  // An info that has been asleep knows only of the old owner.
  info.publish([before]);
  const report = await info.reported(pod, ({ serving }) => serving.kind === "reader");
  t.like(report.promised, { epoch: 7 });
  t.like(report.serving, { state: "connecting" });
});

test.serial("an owner that is fenced steps down at once", async (t) => {
  const pair = await started(t);
  const { info } = pair;
  const fencing = changed(pair, { phase: { kind: "fencing", epoch: epoch(2) } });
  info.publish([fencing]);
  const { serving } = await info.reported(writerPodName, ({ promised }) => promised?.epoch === 2);
  t.deepEqual(serving, { kind: "nothing" });
});

test.serial(
  "an owner that hears neither info nor its readers takes no writes and answers old reads only as old",
  async (t) => {
    const pair = await started(t);
    const { info } = pair;
    await inSync(pair);
    const client = await connectToShard(pair.writerAddress);
    await only(client, set("a", "1"));
    info.does.grants = false;
    info.does.records = false;
    t.is(textOf(await only(client, get("a", linearizable))), "1", "its reader grants");
    pair.reader.signal("SIGSTOP");
    // One that comes in the last moment of a lease is answered in the next.
    const readSoon = () => Promise.race([only(client, get("a", linearizable)), sleep(500, undefined)]);
    await until("the lease to end", async () => textOf(await readSoon()) === "error no-lease");
    t.is(textOf(await only(client, set("a", "2"))), "error no-lease");
    const old = await only(client, get("a", { kind: "eventual", lagMsMax: 60_000 }));
    t.is(textOf(old), "1");
    await until("the answer to be as old as it may be", async () => {
      const [read] = await client.ask([get("a")]);
      return textOf(read) === "error lagging";
    });
    info.does.grants = true;
    await until("the lease to begin", async () => textOf(await only(client, get("a", linearizable))) === "1");
    pair.reader.signal("SIGCONT");
  },
);

test.serial(
  "in the mode inSync a write is answered when its readers have it, and refused where there are too few",
  async (t) => {
    const pair = await started(t);
    const { info } = pair;
    info.tell({ acks: "inSync", minInSync: 1 });
    await inSync(pair);
    const client = await connectToShard(pair.writerAddress);
    await until(
      "a write to be taken",
      async () => textOf(await only(client, set("a", "1"))) !== "error not-enough-in-sync",
    );
    info.does.records = false;
    pair.reader.signal("SIGSTOP");
    const waits = client.ask([set("a", "2")]);
    const other = await connectToShard(pair.writerAddress);
    const read = other.ask([get("a", linearizable)]);
    const early = await Promise.race([waits, read, new Promise((resolve) => setImmediate(resolve))]);
    t.is(early, undefined);
    pair.reader.signal("SIGCONT");
    t.is(textOf((await read)[0]), "2");
    t.like((await waits)[0], { kind: "set", applied: true });

    info.does.records = true;
    // Writes that came just before wait for a second, and end without an outcome: each may be there or not.
    await pair.reader.kill();
    await until(
      "too few to be in sync",
      async () => textOf(await only(client, set("b", "1"))) === "error not-enough-in-sync",
    );
    t.is(textOf(await only(client, get("a", linearizable))), "2");
  },
);

test.serial("a handover freezes until the topology says how it goes on: back, or to the other", async (t) => {
  const pair = await started(t);
  const { info } = pair;
  await inSync(pair);
  const client = await connectToShard(pair.writerAddress);
  const to = refOf(pair, readerPodName);
  info.publish([changed(pair, { phase: { kind: "handover", to } })]);
  const isFrozen = (report: { serving: { kind: string } }): boolean =>
    report.serving.kind === "owner" && "frozen" in report.serving && report.serving.frozen !== null;
  await info.reported(writerPodName, isFrozen);
  const aborted = client.ask([set("a", "1")]);
  info.publish([changed(pair, { phase: { kind: "stable" } })]);
  t.like((await aborted)[0], { kind: "set", applied: true, epoch: 1 });

  info.publish([changed(pair, { phase: { kind: "handover", to } })]);
  const { serving, version } = await info.reported(writerPodName, isFrozen);
  t.like(serving, { frozen: version });
  const sentOn = client.ask([set("a", "2"), get("a", linearizable)]);
  info.publish([shardOwnedBy(to, { at: 2 })], home);
  t.deepEqual((await sentOn).map(textOf), ["error not-owner", "error not-owner"]);
  await owns(pair, readerPodName, 2);
  const next = await connectToShard(pair.readerAddress);
  t.is(textOf(await only(next, get("a", linearizable), 2)), "1");
});

test.serial("a handover that takes longer than a second answers who waits", async (t) => {
  const pair = await started(t);
  await inSync(pair);
  const client = await connectToShard(pair.writerAddress);
  const to = refOf(pair, readerPodName);
  pair.info.publish([changed(pair, { phase: { kind: "handover", to } })]);
  await pair.info.reported(
    writerPodName,
    ({ serving }) => serving.kind === "owner" && serving.frozen !== null,
  );
  t.is(textOf(await only(client, set("a", "1"))), "error try-again");
});

test.serial("SIGTERM: an owner serves on until another one has taken over", async (t) => {
  const pair = await started(t, { EDIS_HANDOVER_MS: "20000" });
  const { info, writer } = pair;
  await inSync(pair);
  const client = await connectToShard(pair.writerAddress);
  writer.signal("SIGTERM");
  await info.reported(writerPodName, ({ leaving }) => leaving);
  t.like(await only(client, set("a", "1")), { kind: "set", applied: true });
  const to = refOf(pair, readerPodName);
  info.publish([changed(pair, { phase: { kind: "handover", to } })]);
  await info.reported(writerPodName, ({ serving }) => serving.kind === "owner" && serving.frozen !== null);
  info.publish([shardOwnedBy(to, { at: 2 })], home);
  t.is(await writer.ended, 0);
  await owns(pair, readerPodName, 2);
  const next = await connectToShard(pair.readerAddress);
  t.is(textOf(await only(next, get("a", linearizable), 2)), "1");
});
