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
    const [second] = (await clients[1]?.ask([get(key, { kind: "linearizable" })], { shard: 1 })) ?? [];
    t.is(textOf(second), "waited");
    close();
  },
);
