import test from "ava";
import { createUnreleased } from "../../../../shard/front/resp/unreleased.ts";

test("batches are released in the order in which they ran, however many wait", (t) => {
  const unreleased = createUnreleased();
  let [added, taken] = [0, 0];
  const add = (count: number): void => {
    for (let i = 0; i < count; i++) unreleased.add(++added, added * 10);
  };
  const take = (count: number): void => {
    for (let i = 0; i < count; i++) {
      unreleased.take();
      t.is(unreleased.end(), ++taken);
      t.is(unreleased.startMs(), taken * 10);
    }
    t.is(unreleased.count(), added - taken);
  };
  // Room is made while the oldest does not lie at its beginning.
  for (const [more, fewer] of [
    [1, 1],
    [3, 2],
    [9, 5],
    [40, 45],
    [1, 1],
  ] as const) {
    add(more);
    take(fewer);
  }
  t.throws(() => {
    unreleased.take();
  });
});
