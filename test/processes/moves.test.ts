import test from "ava";
import { connectToShard, get, set, textOf } from "../support/shardClient.ts";
import {
  connectToBoth,
  firstWriter,
  freezeAll,
  isLower,
  lowerHalf,
  moveAll,
  secondReader,
  secondWriter,
  startMoveWorld,
} from "../support/shardMove.ts";
import { respClient } from "../support/respClient.ts";
import { until } from "../support/shardUntil.ts";

const keys = Array.from({ length: 3_000 }, (_, i) => `key:${i}`);
const lower = keys.filter(isLower);

const filled = async (world: Awaited<ReturnType<typeof startMoveWorld>>): Promise<void> => {
  const client = await connectToShard(world.address(firstWriter));
  await client.ask(keys.map((key) => set(key, `first ${key}`)));
  client.close();
};

test.serial(
  "slots move while their keys are written; nothing is lost, and the source keeps none of them",
  async (t) => {
    const world = await startMoveWorld({ readers: [secondReader] });
    t.teardown(world.stop);
    await filled(world);
    const client = await connectToBoth(world);
    const expected = new Map(keys.map((key) => [key, `first ${key}`]));
    let isOver = false;
    let count = 0;
    const write = async (seed: number): Promise<void> => {
      for (let i = seed; !isOver; i = (i * 31 + 7) % keys.length) {
        const key = keys[i] ?? "";
        const value = `value ${++count}`;
        // Each key is written by one of them only.
        if (i % 4 !== seed % 4) continue;
        await client.set(key, value);
        expected.set(key, value);
      }
    };
    const writers = [0, 1, 2, 3].map(write);
    await moveAll(world);
    await until("writes to go on at both", () => count > 20_000);
    isOver = true;
    await Promise.all(writers);
    for (const key of keys) t.is(await client.get(key), expected.get(key) ?? null, key);

    const first = await world.info.reported(
      firstWriter,
      (report) => report.keys === keys.length - lower.length,
    );
    t.is(first.serving.kind, "owner");
    await world.info.reported(secondWriter, (report) => report.keys === lower.length);
    // The reader has them by the log of its own shard.
    const reader = await connectToShard(world.address(secondReader));
    await world.info.reported(secondReader, (report) => report.keys === lower.length);
    const [read] = await reader.ask([get(lower[0] ?? "", { kind: "eventual", lagMsMax: 60_000 })], {
      shard: 1,
    });
    t.is(textOf(read), expected.get(lower[0] ?? "") ?? null);
    client.close();
  },
);

test.serial(
  "a frozen slot takes no writes and answers no reads of its owner, until the move ends",
  async (t) => {
    const world = await startMoveWorld();
    t.teardown(world.stop);
    await filled(world);
    const { clients, close } = await connectToBoth(world);
    const [first] = clients;
    if (first === undefined) throw new Error("there is a client");
    const [key = ""] = lower;
    const upper = keys.find((one) => !isLower(one)) ?? "";
    world.begin(lowerHalf);
    await freezeAll(world);
    // Of other slots nothing waits, nor what needs no owner.
    const [other] = await first.ask([set(upper, "other")]);
    t.is(other?.kind, "set");
    const [eventual] = await first.ask([get(key)]);
    t.is(textOf(eventual), `first ${key}`);
    // A second is over.
    const [late] = await first.ask([set(key, "late")]);
    t.is(textOf(late), "error try-again");
    const [read] = await first.ask([get(key, { kind: "linearizable" })]);
    t.is(textOf(read), "error try-again");

    const waiting = first.ask([set(key, "waited")]);
    await first.ask([set(upper, "again")]);
    world.abort();
    const [done] = await waiting;
    t.like(done, { kind: "set", applied: true });
    await world.info.reported(secondWriter, (report) => report.keys === 0);

    world.begin(lowerHalf);
    await freezeAll(world);
    const gone = first.ask([set(key, "gone")]);
    await first.ask([set(upper, "once more")]);
    world.commit();
    t.is(textOf((await gone)[0]), "error not-owner");
    const readThere = async (): Promise<string | null> => {
      const [result] = (await clients[1]?.ask([get(key, { kind: "linearizable" })], { shard: 1 })) ?? [];
      return textOf(result);
    };
    // Each hears of it by itself.
    await until("it is known there", async () => (await readThere()) !== "error not-owner");
    t.is(await readThere(), "waited");
    close();
  },
);

test.serial("Redis clients wait at a frozen slot, in order, then are sent on or served", async (t) => {
  const world = await startMoveWorld();
  t.teardown(world.stop);
  await filled(world);
  const { resp } = world.address(firstWriter);
  const [key = "", same = ""] = lower;
  const upper = keys.find((one) => !isLower(one)) ?? "";
  const client = await respClient(resp);
  const other = await respClient(resp);
  const transaction = await respClient(resp);
  t.teardown(() => {
    for (const one of [client, other, transaction]) one.close();
  });
  const text = async (asked: Promise<readonly Buffer[]>): Promise<string> =>
    Buffer.concat([...(await asked)]).toString();
  world.begin(lowerHalf);
  await freezeAll(world);
  t.is(await text(other.send(["SET", upper, "1"])), "+OK\r\n");
  t.is(await text(other.send(["READONLY"], ["GET", key])), `+OK\r\n$${key.length + 6}\r\nfirst ${key}\r\n`);
  t.is(await text(other.send(["READWRITE"])), "+OK\r\n");
  // A second is over; what stood behind it is carried out.
  t.is(
    await text(client.send(["SET", key, "2"], ["GET", upper])),
    "-TRYAGAIN The slot is changing hands; try again in a moment\r\n$1\r\n1\r\n",
  );
  t.is(await text(transaction.send(["MULTI"])), "+OK\r\n");

  const all = await respClient(resp);
  const emptied = text(all.send(["MULTI"], ["SET", upper, "1"], ["DBSIZE"], ["EXEC"]));
  t.regex(await emptied, /^\+OK\r\n\+QUEUED\r\n\+QUEUED\r\n\*2\r\n\+OK\r\n:/);
  const waiting = text(client.send(["SET", key, "3"], ["APPEND", key, "4"], ["GET", key], ["GET", upper]));
  const oneMore = text(transaction.send(["INCR", `{${same}}n`], ["EXEC"]));
  const probe = await respClient(resp);
  await text(probe.send(["PING"]));
  world.abort();
  t.is(await waiting, "+OK\r\n:2\r\n$2\r\n34\r\n$1\r\n1\r\n");
  t.is(await oneMore, "+QUEUED\r\n*1\r\n:1\r\n");

  world.begin(lowerHalf);
  await freezeAll(world);
  const flushed = text(other.send(["FLUSHALL"], ["GET", key]));
  const inTransaction = text(all.send(["MULTI"], ["FLUSHALL"], ["EXEC"]));
  await text(probe.send(["PING"]));
  world.abort();
  t.is(await inTransaction, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
  t.is(await flushed, "+OK\r\n$-1\r\n");
  t.is(await text(probe.send(["SET", key, "5"], ["SET", same, "6"], ["DBSIZE"])), "+OK\r\n+OK\r\n:2\r\n");

  world.begin(lowerHalf);
  await freezeAll(world);
  const second = world.address(secondWriter);
  const there = await respClient(second.resp);
  // What is on its way is not seen.
  t.is(await text(there.send(["DBSIZE"], ["RANDOMKEY"])), ":0\r\n$-1\r\n");
  t.is(await text(there.send(["KEYS", "*"], ["SCAN", "0"])), "*0\r\n*2\r\n$1\r\n0\r\n*0\r\n");
  const moved = text(client.send(["GET", key]));
  await text(probe.send(["PING"]));
  world.commit();
  t.regex(await moved, new RegExp(`^-MOVED [0-9]+ 127.0.0.1:${second.resp}\r\n$`));
  // Each hears of it by itself.
  await until("it is known there", async () => (await text(there.send(["DBSIZE"]))) === ":2\r\n");
  t.is(await text(there.send(["GET", key])), "$1\r\n5\r\n");
  t.is(await text(probe.send(["DBSIZE"])), ":0\r\n");
  for (const one of [probe, there, all]) one.close();
});

test.serial(
  "a move that ends in the middle leaves nothing behind; the next one brings everything",
  async (t) => {
    const world = await startMoveWorld();
    t.teardown(world.stop);
    await filled(world);
    // Slowly, so that the move is in the middle.
    world.info.tell({ moveBytesPerSecondMax: 64 * 1024 });
    world.begin(lowerHalf);
    await world.said(secondWriter, (move) => move.kind === "target" && move.keys > 0);
    world.abort();
    await world.info.reported(secondWriter, (report) => report.keys === 0);
    world.info.tell({ moveBytesPerSecondMax: 0 });
    await moveAll(world);
    await world.info.reported(secondWriter, (report) => report.keys === lower.length);
    await world.info.reported(firstWriter, (report) => report.keys === keys.length - lower.length);
    t.is(world.info.sessions.get(secondWriter)?.report?.keys, lower.length);
  },
);

test.serial("a target or a source that is killed ends the move; nothing is lost", async (t) => {
  const world = await startMoveWorld();
  t.teardown(world.stop);
  await filled(world);
  for (const [id, pod] of [firstWriter, secondWriter].entries()) {
    world.info.tell({ moveBytesPerSecondMax: 64 * 1024 });
    world.begin(lowerHalf);
    await world.said(secondWriter, (move) => move.kind === "target" && move.keys > 0);
    await world.restart(id);
    // It lies on the volume, and the one that goes on without a move deletes it.
    await world.info.reported(secondWriter, (report) => report.keys === 0);
    await world.info.reported(firstWriter, (report) => report.keys === keys.length);
    t.is(world.info.sessions.get(pod)?.report?.serving.kind, "owner");
  }
  world.info.tell({ moveBytesPerSecondMax: 0 });
  world.begin(lowerHalf);
  await world.said(secondWriter, (move) => move.kind === "target" && move.holds !== null);
  await freezeAll(world);
  // The topology gives them over while neither hears of it.
  for (const pod of [firstWriter, secondWriter]) await world.processes.get(pod)?.kill();
  world.commit();
  await Promise.all([world.restart(0), world.restart(1)]);
  await world.info.reported(firstWriter, (report) => report.keys === keys.length - lower.length);
  await world.info.reported(secondWriter, (report) => report.keys === lower.length);
  const client = await connectToBoth(world);
  for (const key of keys) t.is(await client.get(key), `first ${key}`);
  client.close();
});

test.serial(
  "a reader answers nothing of slots that have come until its log says that they have",
  async (t) => {
    const world = await startMoveWorld({ readers: [secondReader], proxied: true });
    t.teardown(world.stop);
    await filled(world);
    world.begin(lowerHalf);
    await world.said(secondWriter, (move) => move.kind === "target" && move.holds !== null);
    await freezeAll(world);
    await world.info.reported(secondReader, (report) => report.keys === lower.length);
    const reader = await connectToShard(world.address(secondReader));
    const [key = ""] = lower;
    const patient = { kind: "eventual", lagMsMax: 60_000 } as const;
    const read = async (): Promise<string | null> =>
      textOf((await reader.ask([get(key, patient)], { shard: 1 }))[0]);
    t.is(await read(), "error not-owner");
    // The topology reaches it, the record of the map does not.
    world.link?.stall();
    world.commit();
    await until("the topology to be here", async () => (await read()) !== "error not-owner");
    t.is(await read(), "error not-serving");
    world.link?.flow();
    await until("the record to be here", async () => (await read()) === `first ${key}`);
    reader.close();
  },
);

test.serial("a shard without room takes no slots, says why, and goes on once there is", async (t) => {
  const world = await startMoveWorld();
  t.teardown(world.stop);
  await filled(world);
  world.info.tell({ memoryMaxBytes: 16 * 1024 * 1024 });
  const filler = await connectToShard(world.address(firstWriter));
  const large = "v".repeat(256 * 1024);
  for (const key of lower.slice(0, 40)) await filler.ask([set(key, large)]);
  world.info.tell({ memoryMaxBytes: 4 * 1024 * 1024 });
  world.begin(lowerHalf);
  const stuck = await world.said(secondWriter, (move) => move.kind === "target" && move.problem !== null);
  t.regex(stuck.kind === "target" ? (stuck.problem ?? "") : "", /as much as it may/);
  world.info.tell({ memoryMaxBytes: null });
  await freezeAll(world);
  world.commit();
  await world.info.reported(secondWriter, (report) => report.keys === lower.length);
  filler.close();
});

test.serial("slots are held only once all who are in sync have them", async (t) => {
  const world = await startMoveWorld({ readers: [secondReader], proxied: true });
  t.teardown(world.stop);
  await filled(world);
  await world.info.reported(
    secondWriter,
    ({ serving }) => serving.kind === "owner" && serving.sync.members.includes(secondReader),
  );
  // Whoever falls behind would be left out of the set: not here.
  world.info.does.records = false;
  world.link?.stall();
  world.begin(lowerHalf);
  await world.said(secondWriter, (move) => move.kind === "target" && move.state === "following");
  const { seq } = await world.info.reported(secondWriter, () => true);
  await world.info.reported(secondWriter, (report) => report.seq > seq + 4);
  const waiting = await world.said(secondWriter, () => true);
  t.like(waiting, { state: "following", keys: lower.length, holds: null });
  world.link?.flow();
  await freezeAll(world);
  world.commit();
  await world.info.reported(secondReader, (report) => report.keys === lower.length);
});
