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
  t.deepEqual(step(state, { kind: "cleared" }), [{ kind: "ask" }]);
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
  t.deepEqual(step(state, { kind: "connected" }), [{ kind: "ask" }]);
  t.deepEqual(step(state, { kind: "disconnected" }), [], "nothing came of it");
  t.deepEqual(step(state, { kind: "connected" }), [{ kind: "ask" }]);
  message(state, importing(10));
  t.deepEqual(step(state, { kind: "disconnected" }), [{ kind: "clear" }]);
  t.deepEqual(step(state, { kind: "connected" }), []);
  t.deepEqual(step(state, { kind: "cleared" }), [{ kind: "ask" }]);
});

test("whatever comes in whatever order, it says that it holds only what was sent after a whole copy on one connection", (t) => {
  const at = fc.nat(6).map(version);
  const event = fc.oneof(
    fc.constantFrom({ kind: "cleared" } as const, { kind: "connected" } as const, { kind: "items" } as const),
    fc.constant({ kind: "disconnected" } as const),
    at.map((one) => ({ kind: "message", message: importing(one) }) as const),
    at.map((one) => ({ kind: "message", message: sent(one) }) as const),
    at.map((one) => ({ kind: "message", message: { kind: "imported", version: one } }) as const),
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
      let isWhole = false;
      for (const one of story) {
        if (one === "safe") {
          if (confirmed !== null) step(state, { kind: "safe", through: version(confirmed) });
          continue;
        }
        const { until } = state;
        const effects = step(state, one);
        if (one.kind === "disconnected") {
          confirmed = null;
          isWhole = false;
        }
        for (const effect of effects) {
          if (effect.kind !== "confirm") continue;
          t.true(until !== null && effect.through >= until);
          confirmed = effect.through;
          isWhole = true;
        }
        if (state.holds === null) continue;
        held++;
        t.true(isWhole && state.phase === "following");
      }
    }),
    { numRuns: 500 },
  );
  t.true(held > 100, "the interesting case comes");
});
