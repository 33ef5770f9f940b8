import test from "ava";
import fc from "fast-check";
import { epoch, version, type Version } from "../../core/ids.ts";
import { journalBatchBytesMax } from "../../core/limits.ts";
import { createJournal, type Journal } from "../../shard/journal.ts";
import type { Batch } from "../../shard/log/log.ts";

const key = Buffer.from("key");

/** A journal that counts versions, and what was taken from it, with a copy of what it was then. */
const startJournal = (): {
  readonly journal: Journal;
  readonly add: (bytes: number) => void;
  readonly take: () => readonly Batch[];
  readonly newest: () => Version;
} => {
  const journal = createJournal();
  let newest = version(0);
  return {
    journal,
    add: (bytes) => {
      newest = version(newest + 1);
      journal.add(epoch(1), newest, {
        kind: "set",
        key,
        value: Buffer.alloc(bytes, newest),
        expiresAtMs: null,
      });
    },
    take: journal.take,
    newest: () => newest,
  };
};

test("what nobody needs any more is written over", (t) => {
  const { journal, add, take, newest } = startJournal();
  add(100);
  const [before] = take();
  journal.reuse(newest());
  add(100);
  const [after] = take();
  t.is(after?.bytes.buffer, before?.bytes.buffer);
  t.is(after?.bytes.byteOffset, before?.bytes.byteOffset);
});

test("what somebody may need for longer is left alone for good", (t) => {
  const { journal, add, take, newest } = startJournal();
  add(100);
  const [before] = take();
  const copy = Buffer.from(before?.bytes ?? []);
  journal.leave();
  journal.reuse(newest());
  for (let i = 0; i < 10; i++) {
    add(journalBatchBytesMax / 4);
    take();
    journal.reuse(newest());
  }
  t.deepEqual(Buffer.from(before?.bytes ?? []), copy);
});

test("the memory of a large record is not kept", (t) => {
  const { journal, add, take, newest } = startJournal();
  add(journalBatchBytesMax * 2);
  take();
  journal.reuse(newest());
  add(100);
  const [batch] = take();
  t.is(batch?.bytes.buffer.byteLength, journalBatchBytesMax);
});

test("bytes that were taken stay as they are until their version may be written over", (t) => {
  const steps = fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant("add" as const), bytes: fc.nat(journalBatchBytesMax) }),
      },
      { weight: 4, arbitrary: fc.constant({ kind: "take" as const }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("reuse" as const), behind: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.constant({ kind: "leave" as const }) },
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const { journal, add, take, newest } = startJournal();
      let held: { readonly batch: Batch; readonly copy: Buffer; readonly isLeft: boolean }[] = [];
      const takeAll = (): void => {
        for (const batch of take()) held.push({ batch, copy: Buffer.from(batch.bytes), isLeft: false });
      };
      for (const step of all) {
        if (step.kind === "add") add(step.bytes);
        else {
          takeAll();
          if (step.kind === "leave") {
            journal.leave();
            held = held.map((one) => ({ ...one, isLeft: true }));
          } else if (step.kind === "reuse") {
            const through = version(Math.max(0, newest() - step.behind));
            journal.reuse(through);
            held = held.filter(({ batch, isLeft }) => isLeft || batch.last > through);
          }
        }
        for (const { batch, copy } of held) t.true(copy.equals(batch.bytes));
      }
    }),
    { numRuns: 200 },
  );
});
