import test from "ava";
import { abortWith } from "../../core/abort.ts";

test("a controller is aborted with a signal, for its reason, also where that was so before", (t) => {
  const [outer, before, after] = [new AbortController(), new AbortController(), new AbortController()];
  abortWith(before, outer.signal);
  outer.abort("over");
  abortWith(after, outer.signal);
  t.is(before.signal.reason, "over");
  t.is(after.signal.reason, "over");
});

test("a controller that was released is not", (t) => {
  const [outer, inner] = [new AbortController(), new AbortController()];
  abortWith(inner, outer.signal)();
  outer.abort();
  t.false(inner.signal.aborted);
});
