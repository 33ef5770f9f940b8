import test, { type ExecutionContext } from "ava";
import { connectToShard, get, session, set, textOf, type ShardClient } from "../support/shardClient.ts";
import {
  metric,
  readerPodName,
  startPair,
  streaming,
  writerPodName,
  type ShardPair,
} from "../support/shardPair.ts";
import { residentBytes } from "../support/shardProcess.ts";
import { until } from "../support/shardUntil.ts";

const inPair = async (t: ExecutionContext, env: Record<string, string> = {}) => {
  const pair = await startPair(env);
  t.teardown(pair.stop);
  const [atWriter, atReader] = await Promise.all([
    connectToShard(pair.writerAddress),
    connectToShard(pair.readerAddress),
  ]);
  return { ...pair, atWriter, atReader };
};

/** Writes frames of values of one size over `keys` keys; answers the place of the last. */
const fill = async (
  client: ShardClient,
  { frames, perFrame, bytes, keys }: { frames: number; perFrame: number; bytes: number; keys: number },
) => {
  let place = { epoch: 0, version: 0 };
  for (let frame = 0; frame < frames; frame++) {
    const value = new Uint8Array(bytes).fill(frame % 256);
    const requests = Array.from({ length: perFrame }, (_, i) =>
      set(`key:${(frame * perFrame + i) % keys}`, value),
    );
    const last = (await client.ask(requests)).at(-1);
    if (last?.kind !== "set") throw new Error(`write failed: ${JSON.stringify(last)}`);
    place = last;
  }
  return place;
};

const caughtUp = async ({ info }: ShardPair, version: number): Promise<void> => {
  await info.reported(
    readerPodName,
    (report) =>
      report.serving.kind === "reader" && report.serving.state === "streaming" && report.version >= version,
  );
};

/** Every key of the writer, compared with the reader's. */
const sameValues = async (
  t: ExecutionContext,
  { atWriter, atReader }: { atWriter: ShardClient; atReader: ShardClient },
  keys: number,
) => {
  const values = async (client: ShardClient) => {
    const all: (string | null)[] = [];
    for (let from = 0; from < keys; from += 10) {
      const requests = Array.from({ length: 10 }, (_, i) =>
        get(`key:${from + i}`, { kind: "eventual", lagMsMax: 60_000 }),
      );
      all.push(...(await client.ask(requests)).map(textOf));
    }
    return all;
  };
  const [wanted, got] = await Promise.all([values(atWriter), values(atReader)]);
  t.false(wanted.includes(null));
  t.true(
    wanted.every((value, i) => value === got[i]),
    "the reader's values differ from the writer's",
  );
};

test.serial("a write is visible at the reader", async (t) => {
  const { atWriter, atReader } = await inPair(t);
  const [written] = await atWriter.ask([set("a", "1")]);
  t.like(written, { kind: "set", applied: true, epoch: 1, version: 2 });
  const [read] = await atReader.ask([get("a", session({ epoch: 1, version: 2 }))]);
  t.is(textOf(read), "1");
});

test.serial("a reader that was cut off goes on from the backlog", async (t) => {
  const pair = await inPair(t);
  const { atWriter, atReader, link } = pair;
  await fill(atWriter, { frames: 10, perFrame: 10, bytes: 100, keys: 100 });
  link.cut();
  const place = await fill(atWriter, { frames: 10, perFrame: 100, bytes: 100, keys: 100 });
  const [read] = await atReader.ask([get("key:0", session(place))]);
  t.is(textOf(read), "error behind");
  link.mend();
  await caughtUp(pair, place.version);
  await sameValues(t, pair, 100);
  t.is(await metric(pair.readerAddress, "edis_shard_full_copies_taken_total"), 1);
  t.true((await metric(pair.readerAddress, "edis_shard_resyncs_sent_total")) >= 2);
});

test.serial("a reader that was away for long goes on from its source's log", async (t) => {
  const pair = await inPair(t);
  const { atWriter, link } = pair;
  await fill(atWriter, { frames: 1, perFrame: 100, bytes: 100, keys: 100 });
  link.cut();
  const place = await fill(atWriter, { frames: 40, perFrame: 10, bytes: 50_000, keys: 100 });
  link.mend();
  await caughtUp(pair, place.version);
  await sameValues(t, pair, 100);
  t.is(await metric(pair.readerAddress, "edis_shard_full_copies_taken_total"), 1);
});

test.serial(
  "a reader that is cut off says how far it is behind, and refuses eventual reads beyond the bound",
  async (t) => {
    const { atWriter, atReader, link } = await inPair(t);
    const [written] = await atWriter.ask([set("a", "1")]);
    if (written?.kind !== "set") throw new Error("write failed");
    await atReader.ask([get("a", session(written))]);
    link.cut();
    await until("the reader to lag", async () => {
      const [bounded] = await atReader.ask([get("a", { kind: "eventual", lagMsMax: 300 })]);
      return textOf(bounded) === "error lagging";
    });
    const [patient] = await atReader.ask([get("a", { kind: "eventual", lagMsMax: 60_000 })]);
    t.is(textOf(patient), "1");
    t.true(patient?.kind === "value" && patient.lagMs > 300);
  },
);

test.serial("a reader that takes nothing does not grow its writer's memory", async (t) => {
  const pair = await inPair(t);
  const { atWriter, link, writer } = pair;
  await fill(atWriter, { frames: 100, perFrame: 10, bytes: 100_000, keys: 100 });
  const before = residentBytes(writer);
  link.stall();
  let peak = 0;
  let place = { epoch: 0, version: 0 };
  for (let i = 0; i < 40; i++) {
    place = await fill(atWriter, { frames: 10, perFrame: 10, bytes: 100_000, keys: 100 });
    peak = Math.max(peak, residentBytes(writer));
  }
  t.log(`400 MB written; resident ${mega(before)} MB before, at most ${mega(peak)} MB`);
  // What waits for one reader, the backlog, and as much again for what the collector has not taken yet.
  t.true(peak - before < 100e6, `grew by ${mega(peak - before)} MB`);
  link.flow();
  await caughtUp(pair, place.version);
  await sameValues(t, pair, 100);
});
const mega = (bytes: number): number => Math.round(bytes / 1e6);

test.serial("SIGTERM: says so, serves on, ends cleanly; its reader has everything", async (t) => {
  const pair = await inPair(t, { EDIS_DRAIN_MS: "700" });
  const { atWriter, atReader, writer, info } = pair;
  const started = performance.now();
  writer.signal("SIGTERM");
  await until("the client to hear that the writer leaves", () =>
    atWriter.heard.some(({ kind }) => kind === "leaving"),
  );
  await info.reported(writerPodName, ({ leaving }) => leaving);
  const ready = await fetch(`http://127.0.0.1:${pair.writerAddress.http}/readyz`);
  t.is(ready.status, 503);
  let acknowledged = 0;
  try {
    for (;;) {
      const [result] = await atWriter.ask([set("last", String(acknowledged + 1))]);
      if (result?.kind !== "set") break;
      acknowledged++;
    }
  } catch {
    // The connection ends at the end of the drain.
  }
  t.is(await writer.ended, 0);
  t.true(performance.now() - started < 5_000);
  t.true(acknowledged > 10);
  const [read] = await atReader.ask([get("last", { kind: "eventual", lagMsMax: 60_000 })]);
  t.true(Number(textOf(read)) >= acknowledged);
});

test.serial("a process that is told to end while info is away ends as well", async (t) => {
  const { info, reader } = await inPair(t);
  await info.close();
  reader.signal("SIGINT");
  t.is(await reader.ended, 0);
});

test.serial("with info away reads, writes and replication go on; it is found again", async (t) => {
  const { startTestInfo, shardOwnedBy } = await import("../support/shardInfo.ts");
  const pair = await inPair(t);
  const { atWriter, atReader, info } = pair;
  const owner = { ...(await info.registered(writerPodName)) };
  await info.close();
  const place = await fill(atWriter, { frames: 5, perFrame: 10, bytes: 10, keys: 50 });
  const [read] = await atReader.ask([get("key:1", session(place))]);
  t.is(read?.kind, "value");

  const again = await startTestInfo(info.port, 100);
  t.teardown(again.close);
  t.is((await again.registered(writerPodName)).incarnation, owner.incarnation);
  again.publish([shardOwnedBy(owner)], { [readerPodName]: 0 });
  await streaming(again);
});
