import test from "ava";
import { parkedBytesMax, parkedMsMax } from "../../core/limits.ts";
import { createParked } from "../../shard/parked.ts";
import { createManualClock } from "../support/shardClock.ts";

test("what waits is answered in order once it can be, and once its time is over", (t) => {
  const clock = createManualClock();
  const parked = createParked(clock);
  const answered: string[] = [];
  let isFrozen = true;
  const park = (name: string): void => {
    parked.park({
      bytes: 1,
      answer: (isLast) => {
        if (isFrozen && !isLast) return false;
        answered.push(isLast ? `${name} late` : name);
        return true;
      },
    });
  };
  park("a");
  clock.advance(parkedMsMax / 2);
  park("b");
  parked.again();
  t.deepEqual(answered, []);
  clock.advance(parkedMsMax / 2 + 30);
  t.deepEqual(answered, ["a late"]);
  isFrozen = false;
  park("c");
  parked.again();
  t.deepEqual(answered, ["a late", "b", "c"]);
  clock.advance(parkedMsMax * 2);
  t.is(answered.length, 3);
});

test("where there is no room for more, nothing waits", (t) => {
  const parked = createParked(createManualClock());
  const seen: boolean[] = [];
  const answer = (isLast: boolean): boolean => {
    seen.push(isLast);
    return isLast;
  };
  parked.park({ bytes: parkedBytesMax, answer });
  t.deepEqual(seen, []);
  parked.park({ bytes: 1, answer });
  t.deepEqual(seen, [true]);
});

test("what is answered may be followed by what has to wait again", (t) => {
  const clock = createManualClock();
  const parked = createParked(clock);
  const answered: string[] = [];
  const second = { bytes: 1, answer: (isLast: boolean) => isLast && answered.push("second") > 0 };
  parked.park({
    bytes: 1,
    answer: () => {
      answered.push("first");
      parked.park(second);
      return true;
    },
  });
  parked.again();
  t.deepEqual(answered, ["first"]);
  clock.advance(parkedMsMax + 30);
  t.deepEqual(answered, ["first", "second"]);
});
