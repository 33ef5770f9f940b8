import test from "ava";
import fc from "fast-check";
import { LineError, quoted, wordsOf } from "../../cli/words.ts";

test("blanks part words, quotes and backslashes keep them together", (t) => {
  t.deepEqual(wordsOf("  set  a 1 "), ["set", "a", "1"]);
  t.deepEqual(wordsOf(`set 'a b' "c d" e\\ f`), ["set", "a b", "c d", "e f"]);
  t.deepEqual(wordsOf(`a'b c'd"e f"g`), ["ab cde fg"]);
  t.deepEqual(wordsOf(`'\\n' "\\n\\t\\"\\\\x"`), ["\\n", '\n\t"\\x']);
  t.deepEqual(wordsOf(`set a ''`), ["set", "a", ""]);
  t.deepEqual(wordsOf(""), []);
});

test("an open quote or a lonely backslash is refused", (t) => {
  for (const line of ["'a", 'set "a', "a\\"]) t.throws(() => wordsOf(line), { instanceOf: LineError });
});

test("what is quoted is read back", (t) => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" })), (words) => {
      t.deepEqual(wordsOf(words.map(quoted).join(" ")), words);
    }),
  );
});
