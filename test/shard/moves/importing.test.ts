import test from "ava";
import fc from "fast-check";
import { epoch, version } from "../../../core/ids.ts";
import type { ToTarget } from "../../../core/message.ts";
import { newImport, step, type ImportEffect, type Importing } from "../../../shard/moves/importing.ts";

const importing = (at: number): ToTarget => ({
  ...{ kind: "importing", epoch: epoch(1), version: version(at), keys: 1, bytes: 1 },
});
const sent = (at: number, newest = at): ToTarget => ({
  ...{ kind: "sent", version: version(at), newest: version(newest) },
});
const message = (state: Importing, one: ToTarget): readonly ImportEffect[] =>
  step(state, { kind: "message", message: one });

test("slots are asked for once nothing is left of them, follow once everything up to the end of the copy is here", (t) => {
  const state = newImport();
  t.deepEqual(step(state, { kind: "connected" }), []);
  t.deepEqual(step(state, { kind: "cleared" }), [{ kind: "ask", after: version(0) }]);
  t.deepEqual(message(state, importing(10)), []);
  t.is(state.phase, "copying");
  t.deepEqual(step(state, { kind: "items" }), [{ kind: "write" }]);
  t.deepEqual(message(state, sent(11)), []);
  t.deepEqual(message(state, { kind: "imported", version: version(20) }), []);
  t.deepEqual(message(state, sent(19, 30)), []);
  t.is(state.phase, "copying");
  t.deepEqual(message(state, sent(20, 30)), [{ kind: "confirm", through: version(20) }]);
  t.like(state, { phase: "following", taken: 20, newest: 30, holds: null });
  step(state, { kind: "safe", through: version(20) });
  t.is(state.holds, version(20));
});

test("what a lost connection brought is deleted before it is asked for again", (t) => {
  const state = newImport();
  step(state, { kind: "cleared" });
  t.deepEqual(step(state, { kind: "connected" }), [{ kind: "ask", after: version(0) }]);
  t.deepEqual(step(state, { kind: "disconnected" }), [], "nothing came of it");
  t.deepEqual(step(state, { kind: "connected" }), [{ kind: "ask", after: version(0) }]);
  message(state, importing(10));
  t.deepEqual(step(state, { kind: "disconnected" }), [{ kind: "clear" }]);
  t.deepEqual(step(state, { kind: "connected" }), []);
  t.deepEqual(step(state, { kind: "cleared" }), [{ kind: "ask", after: version(0) }]);
});

test("what is whole stays, and is gone on with behind what was taken", (t) => {
  const state = newImport();
  step(state, { kind: "cleared" });
  step(state, { kind: "connected" });
  message(state, importing(10));
  message(state, { kind: "imported", version: version(20) });
  message(state, sent(25));
  step(state, { kind: "safe", through: version(25) });
  t.deepEqual(step(state, { kind: "disconnected" }), []);
  t.like(state, { phase: "connecting", holds: 25 });
  t.deepEqual(step(state, { kind: "connected" }), [{ kind: "ask", after: version(25) }]);
  t.is(message(state, importing(30))[0]?.kind, "reconnect", "it cannot begin anew");
  t.deepEqual(message(state, { kind: "resumed", version: version(25) }), []);
  t.deepEqual(step(state, { kind: "items" }), [{ kind: "write" }]);
  t.deepEqual(message(state, sent(27)), [{ kind: "confirm", through: version(27) }]);
});

test("whatever comes in whatever order, it says that it holds only what was sent after a whole copy, and deletes nothing of that", (t) => {
  const at = fc.nat(6).map(version);
  const event = fc.oneof(
    fc.constantFrom({ kind: "cleared" } as const, { kind: "connected" } as const, { kind: "items" } as const),
    fc.constant({ kind: "disconnected" } as const),
    at.map((one) => ({ kind: "message", message: importing(one) }) as const),
    at.map((one) => ({ kind: "message", message: sent(one) }) as const),
    at.map((one) => ({ kind: "message", message: { kind: "imported", version: one } }) as const),
    at.map((one) => ({ kind: "message", message: { kind: "resumed", version: one } }) as const),
    fc.constant("safe" as const),
  );
  const attempt = fc
    .tuple(at, at, at)
    .map(([begin, end, last]) => [
      ...[{ kind: "connected" } as const, { kind: "cleared" } as const],
      ...[{ kind: "message", message: importing(begin) } as const, { kind: "items" } as const],
      { kind: "message", message: { kind: "imported", version: end } } as const,
      ...[{ kind: "message", message: sent(last) } as const, "safe" as const],
    ]);
  const events = fc
    .array(
      fc.oneof(
        event.map((one) => [one]),
        attempt,
      ),
      { maxLength: 30 },
    )
    .map((parts) => parts.flat());
  let held = 0;
  fc.assert(
    fc.property(events, (story) => {
      const state = newImport();
      let confirmed: number | null = null;
      for (const one of story) {
        if (one === "safe") {
          if (confirmed !== null) step(state, { kind: "safe", through: version(confirmed) });
          continue;
        }
        const { until, holds } = state;
        for (const effect of step(state, one)) {
          if (effect.kind === "confirm") {
            t.true(until !== null && effect.through >= until);
            confirmed = effect.through;
          }
          // Whoever heard that it is here may give it over.
          if (effect.kind === "clear") t.is(holds, null);
        }
        if (holds !== null) t.not(state.holds, null);
        if (state.holds !== null) held++;
      }
    }),
    { numRuns: 500 },
  );
  t.true(held > 100, "the interesting case comes");
});
