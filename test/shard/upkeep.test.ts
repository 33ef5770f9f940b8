import test from "ava";
import { keepExpiring } from "../../shard/upkeep.ts";
import { createManualClock } from "../support/shardClock.ts";

test("however long keys go on expiring, each turn of the event loop removes one step of them", (t) => {
  const clock = createManualClock();
  let steps = 0;
  let left = 1_000;
  keepExpiring(clock, () => {
    steps++;
    return { isMore: --left > 0 };
  });
  const perTurn: number[] = [];
  for (let i = 0; i < 100; i++) {
    // Time goes on meanwhile: it is looked again whether there is something to do.
    clock.advance(50);
    steps = 0;
    clock.turn();
    perTurn.push(steps);
  }
  t.deepEqual(new Set(perTurn), new Set([1]));
});

test("what has ended is begun again when more expires", (t) => {
  const clock = createManualClock();
  let steps = 0;
  keepExpiring(clock, () => {
    steps++;
    return { isMore: false };
  });
  clock.advance(50);
  clock.turn();
  clock.advance(50);
  t.is(steps, 2);
});
