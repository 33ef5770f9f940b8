import test from "ava";
import fc from "fast-check";
import { epoch, shardId, version } from "../../core/ids.ts";
import type { Record } from "../../core/record.ts";
import type { Condition, Expiry, Request, Result } from "../../core/request.ts";
import { emptyHolding, type Holding } from "../../shard/holding.ts";
import { createJournal } from "../../shard/journal.ts";
import { apply } from "../../shard/store/store.ts";
import { write } from "../../shard/turn.ts";
import { watch } from "../../shard/watches.ts";
import { activate, step, type Batch, type Writer, type WriterEffect } from "../../shard/writer.ts";
import { takenRecords } from "../support/shardRecords.ts";
import { createSmallStore } from "../support/shardStore.ts";
import { bytesOf, stringOf } from "../support/shardBytes.ts";
import { get, increment, remove, session, set, textOf } from "../support/shardClient.ts";

/** A writer whose epoch's own record, version 1, is durable. */
const createWriter = (): Writer<number> => begun(emptyHolding(shardId(0), createSmallStore()), 1);
const begun = (holding: Holding, e: number): Writer<number> => {
  const writer = activate<number>(holding, epoch(e), { journal: createJournal(), isFull: false });
  step(writer, { kind: "durable", through: holding.version });
  writer.journal.take();
  return writer;
};
const taken = ({ journal }: Writer<number>): readonly Record[] => takenRecords(journal);

const ask = (
  writer: Writer<number>,
  requests: readonly Request[],
  wallMs = 1_000,
): readonly WriterEffect<number>[] =>
  step(writer, { kind: "requests", to: 1, requests, refused: [], wallMs });

/** The results of a frame once everything is durable. */
const answers = (writer: Writer<number>, requests: readonly Request[], wallMs = 1_000): readonly Result[] => {
  const effects = [
    ...ask(writer, requests, wallMs),
    ...step(writer, { kind: "durable", through: writer.holding.version }),
  ];
  const reply = effects.findLast((effect) => effect.kind === "reply");
  if (reply?.kind !== "reply") throw new Error("no reply");
  return reply.results;
};

test("a write is answered only once it is durable, and so is a read that saw it", (t) => {
  const writer = createWriter();
  t.deepEqual(
    ask(writer, [set("a", "1")]).map(({ kind }) => kind),
    ["written"],
  );
  t.deepEqual(
    step(writer, { kind: "requests", to: 2, requests: [get("a")], refused: [], wallMs: 1_000 }),
    [],
  );
  const effects = step(writer, { kind: "durable", through: version(2) });
  t.deepEqual(
    effects.map((effect) => (effect.kind === "reply" ? [effect.to, effect.results[0]?.kind] : effect.kind)),
    [
      [1, "set"],
      [2, "value"],
    ],
  );
});

test("only what is durable is answered", (t) => {
  const writer = createWriter();
  ask(writer, [set("a", "1")]);
  ask(writer, [set("a", "2")]);
  t.is(step(writer, { kind: "durable", through: version(2) }).length, 1);
  t.is(step(writer, { kind: "durable", through: version(3) }).length, 1);
});

test("stepping down leaves no answer open, and none that says it was done", (t) => {
  const writer = createWriter();
  ask(writer, [set("a", "1"), get("a")]);
  const [effect] = step(writer, { kind: "stepDown" });
  t.true(effect?.kind === "reply");
  if (effect?.kind === "reply")
    t.deepEqual(effect.results.map(textOf), ["error outcome-unknown", "error outcome-unknown"]);
});

test("answers of a batch go out once what it wrote is durable, and a batch that only reads waits for what it saw", (t) => {
  const writer = createWriter();
  const released: string[] = [];
  const batch = (name: string, run: Batch["run"]): Batch => ({
    run,
    release: (isDurable) => released.push(`${name} ${isDurable ? "durable" : "unknown"}`),
  });
  const perform = (effects: readonly WriterEffect<number>[]): void => {
    for (const effect of effects) if (effect.kind === "release") effect.batch.release(effect.isDurable);
  };
  const put = batch("put", (turn) => {
    write(turn, { kind: "set", key: bytesOf("a"), value: bytesOf("1"), expiresAtMs: null });
  });
  const look = batch("look", () => undefined);
  perform(step(writer, { kind: "execute", batch: put, wallMs: 1 }));
  perform(step(writer, { kind: "execute", batch: look, wallMs: 1 }));
  t.deepEqual(released, []);
  perform(step(writer, { kind: "durable", through: version(2) }));
  t.deepEqual(released, ["put durable", "look durable"]);
  perform(step(writer, { kind: "execute", batch: put, wallMs: 1 }));
  perform(step(writer, { kind: "stepDown" }));
  t.deepEqual(released.slice(2), ["put unknown"]);
});

test("who watches a key hears of every write to it, whoever writes, and of the end of the epoch", (t) => {
  const writer = createWriter();
  const [first, second] = [{ touched: false }, { touched: false }];
  watch(writer.watches, bytesOf("a"), first);
  watch(writer.watches, bytesOf("b"), second);
  ask(writer, [get("a"), set("c", "1")]);
  t.false(first.touched);
  ask(writer, [set("a", "1")]);
  t.deepEqual([first.touched, second.touched], [true, false]);
  step(writer, { kind: "stepDown" });
  t.true(second.touched);
});

test("a refused request of a frame is not carried out; the others are", (t) => {
  const writer = createWriter();
  const refusal = { kind: "error", code: "not-owner", message: "elsewhere" } as const;
  step(writer, {
    kind: "requests",
    to: 1,
    requests: [set("a", "1"), set("b", "2")],
    refused: [refusal, null],
    wallMs: 0,
  });
  t.deepEqual(answers(writer, [get("a"), get("b")]).map(textOf), [null, "2"]);
});

test("conditions decide on what is there now", (t) => {
  const writer = createWriter();
  const applied = (condition: Condition, value: string): boolean | undefined => {
    const [result] = answers(writer, [set("a", value, { condition })]);
    return result?.kind === "set" ? result.applied : undefined;
  };
  t.false(applied({ kind: "ifPresent" }, "1"));
  t.false(applied({ kind: "ifEqual", value: bytesOf("") }, "1"));
  t.true(applied({ kind: "ifAbsent" }, "1"));
  t.false(applied({ kind: "ifAbsent" }, "2"));
  t.true(applied({ kind: "ifPresent" }, "3"));
  t.false(applied({ kind: "ifEqual", value: bytesOf("4") }, "5"));
  t.true(applied({ kind: "ifEqual", value: bytesOf("3") }, "5"));
  t.is(writer.holding.version, version(4), "what was not applied is no record");
});

test("an expired key is not there: not for reads, conditions, increments or deletes", (t) => {
  const expired = (request: Request): Result | undefined => {
    const writer = createWriter();
    answers(writer, [set("a", "7", { expiry: { kind: "in", ms: 500 } })], 1_000);
    t.is(textOf(answers(writer, [get("a")], 1_499)[0]), "7");
    return answers(writer, [request], 1_500)[0];
  };
  t.is(textOf(expired(get("a"))), null);
  t.like(expired(set("a", "1", { condition: { kind: "ifAbsent" } })), { applied: true });
  t.like(expired(set("a", "1", { condition: { kind: "ifPresent" } })), { applied: false });
  t.like(expired(increment("a")), { value: 1 });
  t.like(expired(remove("a")), { existed: false, version: version(3) });
});

test("keep keeps the expiry, never takes it away, at sets the instant", (t) => {
  const writer = createWriter();
  const expiryAfter = (expiry: Expiry): number | null | undefined => {
    answers(writer, [set("a", "1", { expiry })], 1_000);
    return writer.holding.store.expiryOf(bytesOf("a"));
  };
  t.is(expiryAfter({ kind: "keep" }), null);
  t.is(expiryAfter({ kind: "in", ms: 500 }), 1_500);
  t.is(expiryAfter({ kind: "keep" }), 1_500);
  t.is(expiryAfter({ kind: "at", ms: 9_000 }), 9_000);
  answers(writer, [increment("a")], 1_000);
  t.is(writer.holding.store.expiryOf(bytesOf("a")), 9_000);
  t.is(expiryAfter({ kind: "never" }), null);
  const [tooFar] = answers(writer, [set("a", "1", { expiry: { kind: "in", ms: Number.MAX_SAFE_INTEGER } })]);
  t.is(textOf(tooFar), "error out-of-range");
});

test("expired keys leave by delete records", (t) => {
  const writer = createWriter();
  answers(writer, [set("a", "1", { expiry: { kind: "in", ms: 500 } }), set("b", "2")], 1_000);
  t.deepEqual(step(writer, { kind: "expire", wallMs: 1_499 }), []);
  taken(writer);
  t.deepEqual(step(writer, { kind: "expire", wallMs: 1_500 }), [{ kind: "written" }]);
  t.deepEqual(
    taken(writer).map(({ version: v, operation }) => [v, operation.kind, stringOf(operation.key)]),
    [[version(4), "delete", "a"]],
  );
  t.is(writer.holding.store.keys(), 1);
});

test("increment takes decimal integers of 53 bits and nothing else", (t) => {
  const incremented = (value: string, by: number): unknown => {
    const writer = createWriter();
    const [, result] = answers(writer, [set("a", value), increment("a", by)]);
    return result?.kind === "integer" ? result.value : textOf(result);
  };
  t.is(incremented("41", 1), 42);
  t.is(incremented("-5", -3), -8);
  t.is(incremented("0", 0), 0);
  for (const value of ["", " 1", "1 ", "01", "-0", "+1", "1.0", "1e3", "0x1", "a", "9".repeat(30), "é"])
    t.is(incremented(value, 1), "error not-an-integer", value);
  t.is(incremented(String(Number.MAX_SAFE_INTEGER), 1), "error out-of-range");
  t.is(incremented(String(-Number.MAX_SAFE_INTEGER), -1), "error out-of-range");
  t.is(incremented("9007199254740993", -10), "error out-of-range");
  t.is(incremented(String(Number.MAX_SAFE_INTEGER - 1), 1), Number.MAX_SAFE_INTEGER);
});

test("a session that has seen more than this owner has is sent elsewhere", (t) => {
  const writer = createWriter();
  answers(writer, [set("a", "1")]);
  const read = (e: number, v: number) =>
    textOf(answers(writer, [get("a", session({ epoch: e, version: v }))])[0]);
  t.is(read(1, 2), "1");
  t.is(read(0, 99), "1", "an earlier epoch ended before this one began");
  t.is(read(1, 3), "error behind");
  t.is(read(2, 0), "error behind");
});

test("values beyond what fits into a frame of replies are refused, one by one", (t) => {
  const writer = createWriter();
  answers(writer, [set("a", new Uint8Array(1024 * 1024))]);
  const kinds = answers(writer, [get("a"), get("a"), get("a"), get("a"), get("b")]).map((result) =>
    result.kind === "error" ? result.code : result.kind,
  );
  t.deepEqual(kinds, ["value", "value", "value", "too-large", "value"]);
});

test("a single value goes into a frame of replies however large it is; what comes with it has to be asked for again", (t) => {
  const writer = createWriter();
  answers(writer, [set("a", new Uint8Array(5 * 1024 * 1024)), set("b", "1")]);
  const kinds = answers(writer, [get("a"), get("b"), get("a")]).map((result) =>
    result.kind === "error" ? result.code : result.kind,
  );
  t.deepEqual(kinds, ["value", "too-large", "too-large"]);
});

test("a full volume refuses writes, cuts off what waits for it, and lets reads and expiries of others be", (t) => {
  const writer = createWriter();
  answers(writer, [set("a", "1", { expiry: { kind: "in", ms: 500 } })]);
  ask(writer, [set("a", "2")]);
  const cut = step(writer, { kind: "room", isThere: false });
  t.deepEqual(
    cut.map((effect) => effect.kind === "reply" && effect.results.map(textOf)),
    [["error outcome-unknown"]],
  );
  const [reply] = ask(writer, [set("b", "1"), remove("a"), increment("c", 1), get("a")]);
  t.deepEqual(reply?.kind === "reply" && reply.results.map(textOf), [
    ...["error disk-full", "error disk-full", "error disk-full"],
    "2",
  ]);
  t.deepEqual(step(writer, { kind: "expire", wallMs: 9_999 }), []);
  step(writer, { kind: "room", isThere: true });
  t.is(textOf(answers(writer, [set("b", "1")])[0]), textOf(answers(createWriter(), [set("b", "1")])[0]));
});

test("an epoch goes on where the last one ended; without a complete copy it begins with nothing", (t) => {
  const first = createWriter();
  answers(first, [set("a", "1"), set("b", "2")]);
  const second = begun(first.holding, 4);
  t.deepEqual(second.holding.history, [
    { epoch: epoch(1), startVersion: version(0) },
    { epoch: epoch(4), startVersion: version(3) },
  ]);
  t.like(answers(second, [set("a", "3")])[0], { epoch: epoch(4), version: version(5) });

  second.holding.complete = false;
  const third = begun(second.holding, 5);
  t.deepEqual(third.holding.history, [{ epoch: epoch(5), startVersion: version(0) }]);
  t.is(third.holding.store.keys(), 0);
});

const key = fc.constantFrom("a", "b", "c");
const value = fc.constantFrom("", "1", "2", "x");
const request: fc.Arbitrary<Request> = fc.oneof(
  key.map((k) => get(k)),
  key.map((k) => remove(k)),
  fc.tuple(key, fc.integer({ min: -3, max: 3 })).map(([k, by]) => increment(k, by)),
  fc
    .tuple(
      key,
      value,
      fc.oneof(
        fc.constantFrom<Condition>({ kind: "always" }, { kind: "ifAbsent" }, { kind: "ifPresent" }),
        value.map((v): Condition => ({ kind: "ifEqual", value: bytesOf(v) })),
      ),
      fc.oneof(
        fc.constantFrom<Expiry>({ kind: "never" }, { kind: "keep" }),
        fc.integer({ min: 1, max: 20 }).map((ms): Expiry => ({ kind: "in", ms })),
        fc.integer({ min: 1, max: 120 }).map((ms): Expiry => ({ kind: "at", ms })),
      ),
    )
    .map(([k, v, condition, expiry]) => set(k, v, { condition, expiry })),
);

/** The dumb second implementation: a map, no records, no versions. */
const createModel = () => {
  const map = new Map<string, { value: string; at: number }>();
  return (request: Request, now: number): unknown => {
    for (const [k, { at }] of map) if (at <= now) map.delete(k);
    const name = stringOf(request.key) ?? "";
    const held = map.get(name);
    switch (request.kind) {
      case "get":
        return held?.value ?? null;
      case "delete":
        return map.delete(name);
      case "increment": {
        const n = Number(held?.value === undefined ? "0" : held.value === "" ? NaN : held.value);
        if (Number.isNaN(n)) return "error not-an-integer";
        map.set(name, { value: String(n + request.by), at: held?.at ?? Infinity });
        return n + request.by;
      }
      case "set": {
        const { condition, expiry } = request;
        if (condition.kind === "ifAbsent" && held !== undefined) return false;
        if (condition.kind === "ifPresent" && held === undefined) return false;
        if (condition.kind === "ifEqual" && held?.value !== stringOf(condition.value)) return false;
        const at = { never: Infinity, keep: held?.at ?? Infinity, in: 0, at: 0 }[expiry.kind];
        const ms = expiry.kind === "in" ? now + expiry.ms : expiry.kind === "at" ? expiry.ms : at;
        map.set(name, { value: stringOf(request.value) ?? "", at: ms });
        return true;
      }
    }
  };
};
const plain = (result: Result | undefined): unknown => {
  switch (result?.kind) {
    case "set":
      return result.applied;
    case "deleted":
      return result.existed;
    case "integer":
      return result.value;
    case "value":
    case "error":
    case undefined:
      return textOf(result);
  }
};

test("a writer answers as a plain map does, and its records alone make the same store", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ request, laterMs: fc.nat(8), expires: fc.boolean() }), { maxLength: 80 }),
      (script) => {
        const writer = createWriter();
        const model = createModel();
        const replayed = createSmallStore();
        let now = 1;
        const effects: WriterEffect<number>[] = [];
        for (const { request: one, laterMs, expires } of script) {
          now += laterMs;
          if (expires) effects.push(...step(writer, { kind: "expire", wallMs: now }));
          effects.push(...ask(writer, [one], now));
          const [reply] = [
            ...step(writer, { kind: "durable", through: writer.holding.version }),
            ...effects.slice(-1),
          ].filter((effect) => effect.kind === "reply");
          t.deepEqual(plain(reply?.results[0]), model(one, now));
        }
        let last = 1;
        for (const record of taken(writer)) {
          t.is(record.version, version(++last));
          apply(replayed, record.operation);
        }
        t.is(writer.holding.version, version(last));
        for (const k of ["a", "b", "c"])
          t.deepEqual(replayed.get(bytesOf(k)), writer.holding.store.get(bytesOf(k)));
      },
    ),
    { numRuns: 300 },
  );
});

const gated = () => {
  const gate = { leftMs: 1_000, isShort: false };
  const holding = emptyHolding(shardId(0), createSmallStore());
  const writer = activate<number>(holding, epoch(1), {
    ...{ journal: createJournal(), isFull: false },
    gate: {
      leaseLeftMs: () => gate.leftMs,
      ageMs: () => Math.max(0, -gate.leftMs),
      isShort: () => gate.isShort,
    },
  });
  step(writer, { kind: "durable", through: holding.version });
  const asking = (to: number, requests: readonly Request[]): readonly WriterEffect<number>[] =>
    step(writer, { kind: "requests", to, requests, refused: [], wallMs: 1_000, lagMsMax: 500 });
  const durable = (): readonly WriterEffect<number>[] =>
    step(writer, { kind: "durable", through: writer.holding.version });
  return { gate, writer, asking, durable };
};
const answered = (
  effects: readonly WriterEffect<number>[],
): readonly (readonly [number, ...(string | null)[]])[] =>
  effects.flatMap((effect) =>
    effect.kind === "reply" ? [[effect.to, ...effect.results.map(textOf)] as const] : [],
  );

test("what is durable waits for the next lease, and is unknown where the owner steps down before", (t) => {
  const { gate, writer, asking, durable } = gated();
  asking(1, [set("a", "1")]);
  gate.leftMs = -1;
  t.deepEqual(durable(), []);
  gate.leftMs = 10;
  t.deepEqual(answered(step(writer, { kind: "durable", through: writer.durable })).length, 1);

  asking(2, [set("a", "2")]);
  gate.leftMs = 0;
  t.deepEqual(durable(), []);
  t.deepEqual(answered(step(writer, { kind: "stepDown" })), [[2, "error outcome-unknown"]]);
});

test("without a lease only answers go that bear their age", (t) => {
  const { gate, asking } = gated();
  gate.leftMs = -400;
  t.deepEqual(answered(asking(1, [get("a")])), [[1, null]]);
  t.deepEqual(asking(2, [get("a", { kind: "linearizable" })]), []);
  gate.leftMs = -501;
  t.deepEqual(answered(asking(3, [get("a"), get("a", { kind: "eventual", lagMsMax: 1_000 })])), [
    [3, "error lagging", null],
  ]);
});

test("while too few are in sync writes are refused, those under way wait, and reads go on", (t) => {
  const { gate, writer, asking, durable } = gated();
  asking(1, [set("a", "1")]);
  gate.isShort = true;
  t.deepEqual(durable(), []);
  t.deepEqual(answered(asking(2, [get("a", { kind: "linearizable" })])), [[2, "1"]]);
  t.deepEqual(answered(asking(3, [set("a", "2"), remove("a"), increment("b")])), [
    [3, ...Array<string>(3).fill("error not-enough-in-sync")],
  ]);
  gate.isShort = false;
  t.is(answered(step(writer, { kind: "durable", through: writer.durable })).length, 1);

  asking(4, [set("a", "4")]);
  gate.isShort = true;
  durable();
  t.deepEqual(answered(step(writer, { kind: "short" })), [[4, "error outcome-unknown"]]);
});

test("what a newcomer in sync lacks waits for it, though it was durable before it came", (t) => {
  const { gate, writer, asking, durable } = gated();
  const before = writer.durable;
  asking(1, [set("a", "1")]);
  gate.isShort = true;
  t.deepEqual(durable(), []);
  gate.isShort = false;
  t.deepEqual(step(writer, { kind: "durable", through: before }), []);
  t.deepEqual(asking(2, [get("a", { kind: "linearizable" })]), []);
  t.deepEqual(answered(durable()), [
    [1, "a set result"],
    [2, "1"],
  ]);
});

test("batches of one client are let go in their order, whatever each of them waits for", (t) => {
  const { gate, writer, durable } = gated();
  const released: string[] = [];
  let isReading = false;
  const batchOf = (name: string): Batch => ({
    run: (turn) => {
      if (name === "writes" && !isReading)
        write(turn, { kind: "set", key: bytesOf("a"), value: bytesOf("1"), expiresAtMs: null });
    },
    release: () => released.push(name),
  });
  const play = (effects: readonly WriterEffect<number>[]): void => {
    for (const effect of effects) if (effect.kind === "release") effect.batch.release(effect.isDurable);
  };
  const execute = (batch: Batch): void => {
    play(step(writer, { kind: "execute", batch, wallMs: 1_000 }));
  };
  const writes = batchOf("writes");
  const other = batchOf("other");
  execute(writes);
  gate.isShort = true;
  play(durable());
  // The same client reads, and another one does.
  isReading = true;
  execute(writes);
  execute(other);
  t.deepEqual(released, ["other"]);
  gate.isShort = false;
  play(step(writer, { kind: "durable", through: writer.durable }));
  t.deepEqual(released, ["other", "writes", "writes"]);
});

test("a batch that came without a lease is answered: all that needs one was refused in it", (t) => {
  const { gate, writer } = gated();
  gate.leftMs = -1;
  let isReleased = false;
  const batch: Batch = { run: () => undefined, release: () => (isReleased = true) };
  for (const effect of step(writer, { kind: "execute", batch, wallMs: 1_000 }))
    if (effect.kind === "release") effect.batch.release(true);
  t.true(isReleased);
});
