import test from "ava";
import {
  addLongDoubles,
  formatLongDouble,
  parseLongDouble,
} from "../../../../shard/front/resp/longDouble.ts";

const sum = (a: string, b: string): string | undefined => {
  const [x, y] = [parseLongDouble(a), parseLongDouble(b)];
  if (x === undefined || y === undefined) return undefined;
  const added = addLongDoubles(x, y);
  return added === undefined ? undefined : formatLongDouble(added);
};

for (const [a, b, wanted] of [
  ["0.1", "0.2", "0.3"],
  ["10.50", "0.1", "10.6"],
  ["5.0e3", "2.0e2", "5200"],
  ["-0.1", "0.1", "0"],
  ["3", "-5", "-2"],
  ["1e17", "0.5", "100000000000000000.5"],
  ["abc", "1", undefined],
] as const) {
  test(`${a} + ${b} is ${wanted ?? "refused"}`, (t) => {
    t.is(sum(a, b), wanted);
  });
}
