import test from "ava";
import fc from "fast-check";
import { epoch, mapVersion, shardId, slot, slotCount, version } from "../../../core/ids.ts";
import { slotOf } from "../../../core/slot.ts";
import { emptyHolding, type Holding } from "../../../shard/holding.ts";
import { createJournal, type Journal } from "../../../shard/journal.ts";
import { unlimited } from "../../../shard/memory.ts";
import { isOver, nextEntries, recordsOf, walkOf } from "../../../shard/moves/outgoing.ts";
import { dropKeys, takeItems } from "../../../shard/moves/staged.ts";
import { replay } from "../../../shard/replay.ts";
import type { SlotSet } from "../../../shard/route.ts";
import { enterMap, write, type Turn } from "../../../shard/turn.ts";
import { entriesOf } from "../../support/shardLog.ts";
import { createSmallStore } from "../../support/shardStore.ts";

/** One end of a move: what it holds, and the records that it has made. */
type End = { readonly holding: Holding; readonly journal: Journal; readonly turn: Turn };

const createEnd = (id: number): End => {
  const holding = emptyHolding(shardId(id), createSmallStore());
  const journal = createJournal();
  holding.epoch = epoch(id + 1);
  const turn: Turn = {
    ...{ holding, journal, epoch: holding.epoch, wallMs: 0, isFull: false, isShort: false },
    ...{ watches: new Map(), usage: unlimited(), evicted: 0 },
  };
  return { holding, journal, turn };
};

const taken = ({ journal }: End): Uint8Array => Buffer.concat(journal.take().map(({ bytes }) => bytes));

/** Some keys share a slot. */
const keyOf = (n: number): Buffer => Buffer.from(`{${n % 20}}${n}`);
const movedSlots: SlotSet = new Uint8Array(slotCount);
for (let tag = 0; tag < 10; tag++) movedSlots[slotOf(keyOf(tag))] = 1;
const isMoved = (key: string): boolean => movedSlots[slotOf(Buffer.from(key))] === 1;

const partOf = (holding: Holding, moved: boolean): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(entriesOf(holding.store)).filter(([key]) => isMoved(key) === moved));

type Step =
  | { readonly kind: "write"; readonly keys: readonly number[]; readonly size: number }
  | { readonly kind: "delete"; readonly key: number }
  | { readonly kind: "walk"; readonly bytes: number };

const keyNumber = fc.nat(200);
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant("write" as const),
      keys: fc.array(keyNumber, { minLength: 1, maxLength: 30 }),
      size: fc.nat(200),
    }),
    fc.record({ kind: fc.constant("delete" as const), key: keyNumber }),
    fc.record({ kind: fc.constant("walk" as const), bytes: fc.nat(2_000) }),
  ),
  { maxLength: 60 },
);

test("whatever is written while slots are copied, they are the same at both ends, there and in the log of the new one", (t) => {
  fc.assert(
    fc.property(steps, steps, (before, during) => {
      const source = createEnd(0);
      const target = createEnd(1);
      let count = 0;
      const perform = (step: Step): void => {
        switch (step.kind) {
          case "write":
            for (const key of step.keys)
              write(source.turn, {
                ...{ kind: "set", key: keyOf(key), value: Buffer.from(`${++count}`.padEnd(step.size, "v")) },
                expiresAtMs: key % 3 === 0 ? 2 ** 33 + count : null,
              });
            return;
          case "delete":
            write(source.turn, { kind: "delete", key: keyOf(step.key) });
            return;
          case "walk":
            takeItems(target.turn, nextEntries(walk, step.bytes), movedSlots);
            return;
        }
      };
      const walk = walkOf(source.holding.store, movedSlots);
      for (const step of before) if (step.kind !== "walk") perform(step);
      taken(source);
      write(target.turn, { kind: "set", key: keyOf(11), value: Buffer.from("its own"), expiresAtMs: null });
      const others = partOf(target.holding, false);
      for (const step of during) perform(step);
      while (!isOver(walk)) takeItems(target.turn, nextEntries(walk, 1_000), movedSlots);
      takeItems(target.turn, recordsOf(taken(source), movedSlots), movedSlots);

      t.deepEqual(partOf(target.holding, true), partOf(source.holding, true));
      t.deepEqual(partOf(target.holding, false), others);
      const copy = createEnd(1);
      const records = taken(target);
      t.deepEqual(replay(copy.holding, records), { end: records.length, problem: null });
      t.deepEqual(entriesOf(copy.holding.store), entriesOf(target.holding.store));
      t.is(copy.holding.bytes, target.holding.bytes);
    }),
    { numRuns: 200 },
  );
});

test("a frame of entries is not much larger than it may be, however large the keys of a slot are together", (t) => {
  const { turn, holding } = createEnd(0);
  for (let n = 0; n < 300; n++) {
    const value = Buffer.alloc(n % 50 === 0 ? 50_000 : 3_000);
    write(turn, { kind: "set", key: Buffer.from(`{0}${n}`), value, expiresAtMs: null });
  }
  const walk = walkOf(holding.store, movedSlots);
  const target = createEnd(1);
  let frames = 0;
  for (; !isOver(walk); frames++) {
    const frame = nextEntries(walk, 20_000);
    t.true(frame.length < 42_000 || frame.length < 20_000 + 50_100, `${frame.length} bytes`);
    takeItems(target.turn, frame, movedSlots);
  }
  t.true(frames > 30);
  t.deepEqual(entriesOf(target.holding.store), entriesOf(holding.store));
});

test("records of other slots are left out; where all are of these slots they are the very bytes", (t) => {
  const { turn, ...end } = createEnd(0);
  for (let n = 0; n < 10; n++)
    write(turn, { kind: "set", key: keyOf(n), value: Buffer.from(String(n)), expiresAtMs: null });
  const all = taken({ turn, ...end });
  t.is(recordsOf(all, movedSlots), all);
  t.is(recordsOf(all, new Uint8Array(slotCount)).length, 0);
});

test("what a shard records of itself, and keys of other slots, are not taken", (t) => {
  const source = createEnd(0);
  const target = createEnd(1);
  enterMap(source.turn, mapVersion(2));
  t.throws(() => {
    takeItems(target.turn, taken(source), movedSlots);
  });
  write(source.turn, { kind: "set", key: keyOf(11), value: Buffer.from(""), expiresAtMs: null });
  t.throws(() => {
    takeItems(target.turn, taken(source), movedSlots);
  });
  t.is(target.holding.version, version(0));
});

test("keys of slots are dropped a turn's share at a time, each slot at once where that is possible; never of its own slots", (t) => {
  const end = createEnd(0);
  const { turn, holding } = end;
  holding.slots = new Uint8Array(slotCount).fill(1);
  for (let n = 0; n < 200; n++)
    write(turn, { kind: "set", key: keyOf(n), value: Buffer.from("v"), expiresAtMs: null });
  for (let n = 0; n < 9_000; n++)
    write(turn, { kind: "set", key: Buffer.from(`{large}${n}`), value: Buffer.from("v"), expiresAtMs: null });
  const large = slotOf(Buffer.from("large"));
  const dropped = movedSlots.slice();
  dropped[large] = 1;
  taken(end);
  const start = holding.version;
  t.true(dropKeys(turn, dropped));
  t.is(holding.version, start, "they are its own");

  holding.slots = holding.slots.map((_, i) => (dropped[i] === 1 ? 0 : 1));
  let turns = 1;
  for (; !dropKeys(turn, dropped); turns++) t.true(turns < 100);
  t.true(turns > 2 && turns < 10, `${turns} turns`);
  t.is(holding.store.slotKeys(large), 0);
  t.is(holding.store.keys(), 100);
  const copy = createEnd(0);
  for (let n = 0; n < 200; n++)
    write(copy.turn, { kind: "set", key: keyOf(n), value: Buffer.from("v"), expiresAtMs: null });
  copy.holding.version = start;
  replay(copy.holding, taken(end));
  t.deepEqual(entriesOf(copy.holding.store), entriesOf(holding.store));
  t.is(holding.store.slotKeys(slot(large)), 0);
});
