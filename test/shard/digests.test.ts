import test from "ava";
import { systemClock } from "../../core/clock.ts";
import { epoch, shardId, slot, slotCount, version } from "../../core/ids.ts";
import { digestBytesPerSlot, digestsMax } from "../../core/limits.ts";
import type { ToTool } from "../../core/message.ts";
import { slotOf } from "../../core/slot.ts";
import type { DigestAsked } from "../../core/tools.ts";
import { createDigests, type Digests } from "../../shard/digests.ts";
import { emptyHolding, type Holding } from "../../shard/holding.ts";
import { createSegmentStore } from "../../shard/store/segmentStore.ts";

const holdingOf = (seed: number): Holding => ({
  ...emptyHolding(shardId(0), createSegmentStore({ seed: { low: seed, high: seed + 1 } })),
  ...{ epoch: epoch(2), version: version(10), complete: true },
});
const key = (i: number): Uint8Array => Buffer.from(`key:${i}`);
const fill = ({ store }: Holding, count: number, bytes = 100): void => {
  for (let i = 0; i < count; i++) store.set(key(i), Buffer.alloc(bytes, i), i % 3 === 0 ? 2e12 + i : null);
};
const all: DigestAsked = { kind: "digest", id: 7, slots: [[slot(0), slot(slotCount - 1)]], after: null };

const digestsOf = (holding: () => Holding | null): Digests =>
  createDigests({ clock: systemClock, holding, topology: () => undefined });
const ask = async (digests: Digests, asked: Partial<DigestAsked> = {}, isWanted = true): Promise<ToTool> =>
  new Promise((answer) => {
    digests.ask({ asked: { ...all, ...asked }, isWanted: () => isWanted, answer });
  });

test("two stores that hold the same say the same, slot by slot; one that holds something else differs in its slot alone", async (t) => {
  const [one, other] = [holdingOf(1), holdingOf(99)];
  fill(one, 3_000);
  for (let i = 2_999; i >= 0; i--) other.store.set(key(i), Buffer.from("before"), null);
  fill(other, 3_000);
  const [first, second] = await Promise.all([ask(digestsOf(() => one)), ask(digestsOf(() => other))]);
  if (first.kind !== "digested" || second.kind !== "digested") throw new Error("no answer");
  t.deepEqual([first.id, first.from, first.to, first.strays], [
    7,
    first.to,
    { epoch: 2, version: 10 },
    0,
  ] as never);
  t.is(first.slots.length, slotCount * digestBytesPerSlot);
  t.true(Buffer.from(first.slots).equals(second.slots));
  other.store.set(key(5), Buffer.alloc(100, 6), null);
  const third = await ask(digestsOf(() => other));
  if (third.kind !== "digested") throw new Error("no answer");
  const differing = Array.from({ length: slotCount }, (_, s) => s).filter((s) => {
    const at = s * digestBytesPerSlot;
    const of = (told: Uint8Array): Buffer => Buffer.from(told.subarray(at, at + digestBytesPerSlot));
    return !of(first.slots).equals(of(third.slots));
  });
  t.deepEqual(differing, [slotOf(key(5))] as never);
});

test("it works in small steps: others have their turn meanwhile, and see what is written meanwhile", async (t) => {
  const holding = holdingOf(1);
  fill(holding, 20_000, 400);
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns++;
    holding.version = version(holding.version + 1);
    if (!isOver) systemClock.soon(count);
  };
  count();
  const answer = await ask(digestsOf(() => holding));
  isOver = true;
  t.true(turns > 20, `${turns} turns for 8 MB`);
  if (answer.kind !== "digested") throw new Error("no answer");
  t.true(answer.to.version - answer.from.version >= turns - 2);
});

test("keys of slots of others are strays, and are not told of as if they were its own", async (t) => {
  const holding = holdingOf(1);
  fill(holding, 100);
  const lost = slotOf(key(3));
  holding.slots = holding.slots.map((own, s) => (s === lost ? 0 : own));
  const foreign = await ask(digestsOf(() => holding));
  t.is(foreign.kind === "unanswered" ? foreign.code : "", "not-owner");
  const none = await ask(
    digestsOf(() => holding),
    { slots: [] },
  );
  t.is(none.kind === "digested" ? none.strays : -1, holding.store.slotKeys(lost));
});

test("a place is waited for; a copy that is not whole, one that is replaced meanwhile, and too many questions are refused", async (t) => {
  let holding: Holding | null = holdingOf(1);
  const digests = digestsOf(() => holding);
  const code = (answer: ToTool): string => (answer.kind === "unanswered" ? answer.code : answer.kind);
  const waited = ask(digests, { after: { epoch: epoch(2), version: version(12) } });
  const behind = holding;
  systemClock.after(30, () => {
    behind.version = version(12);
  });
  t.is(code(await waited), "digested");
  t.is(code(await ask(digests, { after: { epoch: epoch(3), version: version(1) } })), "behind");
  fill(holding, 20_000);
  const replaced = ask(digests);
  systemClock.soon(() => {
    holding = holdingOf(2);
  });
  t.is(code(await replaced), "not-serving");
  holding = null;
  t.is(code(await ask(digests)), "not-serving");
  holding = holdingOf(3);
  const many = await Promise.all(Array.from({ length: digestsMax + 2 }, () => ask(digests)));
  t.deepEqual(many.map(code).filter((said) => said === "too-busy").length, 1);
});
