import test from "ava";
import { systemClock } from "../../core/clock.ts";
import { createQueue, type Queue, type QueueOptions } from "../../operator/queue.ts";
import { until } from "../support/net.ts";

const queueOf = (work: QueueOptions["work"], failed: QueueOptions["failed"] = () => undefined): Queue =>
  createQueue({
    work,
    failed,
    clock: systemClock,
    random: () => 0,
    restMs: 5,
    concurrencyMax: 2,
    backoff: { firstMs: 20, maxMs: 1_000 },
  });

test("one key is worked on by one at a time, and once more for all that came meanwhile", async (t) => {
  let now = 0;
  let most = 0;
  let runs = 0;
  const gate: (() => void)[] = [];
  const queue = queueOf(async () => {
    runs++;
    most = Math.max(most, ++now);
    await new Promise<void>((resolve) => gate.push(resolve));
    now--;
    return null;
  });
  queue.add("a");
  await until("it runs", () => gate.length === 1);
  for (let i = 0; i < 10; i++) queue.add("a");
  gate[0]?.();
  await until("it runs again", () => gate.length === 2);
  gate[1]?.();
  await systemClock.sleep(30);
  t.deepEqual([runs, most], [2, 1]);
  await queue.stop();
});

test("keys run beside each other, up to the maximum", async (t) => {
  let now = 0;
  let most = 0;
  let runs = 0;
  const queue = queueOf(async () => {
    most = Math.max(most, ++now);
    await systemClock.sleep(10);
    now--;
    runs++;
    return null;
  });
  for (const key of ["a", "b", "c", "d", "e"]) queue.add(key);
  await until("all ran", () => runs === 5);
  t.is(most, 2);
  await queue.stop();
});

test("what fails is repeated after a wait that grows and that nobody shortens; success forgets it", async (t) => {
  const atMs: number[] = [];
  const tries: number[] = [];
  const queue = queueOf(
    async () => {
      atMs.push(systemClock.nowMs());
      if (atMs.length < 4) throw new Error("not yet");
      return Promise.resolve(null);
    },
    (_, __, tried) => tries.push(tried),
  );
  queue.add("a");
  await until("it succeeded", () => {
    queue.add("a");
    return atMs.length >= 4;
  });
  t.deepEqual(tries, [1, 2, 3]);
  const waits = atMs.slice(1, 4).map((at, i) => at - (atMs[i] ?? 0));
  t.true(
    waits.every((wait, i) => wait >= 20 * 2 ** i - 1),
    waits.join(" "),
  );
  await queue.stop();
});

test("work that asks for it is done again by itself; a stopped queue begins nothing and waits for what runs", async (t) => {
  let runs = 0;
  let ended = 0;
  const queue = queueOf(async () => {
    runs++;
    await systemClock.sleep(20);
    ended++;
    return 1;
  });
  queue.add("a");
  await until("it ran three times", () => runs === 3);
  await queue.stop();
  t.is(ended, runs);
  queue.add("b");
  await systemClock.sleep(30);
  t.is(runs, ended);
});
