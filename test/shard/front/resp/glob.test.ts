import test from "ava";
import { matches } from "../../../../shard/front/resp/glob.ts";

for (const [pattern, text, wanted] of [
  ["*", "", true],
  ["a*c", "abbc", true],
  ["a*c", "abbd", false],
  ["h?llo", "hello", true],
  ["h[ae]llo", "hallo", true],
  ["h[^e]llo", "hello", false],
  ["h[a-b]llo", "hbllo", true],
  ["h\\*llo", "h*llo", true],
  ["h\\*llo", "hello", false],
  ["*a*b*", "xxaxxbxx", true],
  ["", "a", false],
] as const) {
  test(`${pattern} ${wanted ? "matches" : "does not match"} ${text}`, (t) => {
    t.is(matches(Buffer.from(pattern), Buffer.from(text)), wanted);
  });
}

test("many stars take no more than pattern times text", (t) => {
  t.false(matches(Buffer.from(`${"a*".repeat(500)}b`), Buffer.from("a".repeat(20_000))));
});
