import test from "ava";
import { checkHistory, type Promised } from "./check.ts";
import type { History, Operation } from "./history.ts";
import { checkLedger } from "./ledger.ts";
import { checkLinearizable } from "./linearizable.ts";
import { checkSessions } from "./sessions.ts";

/** Operations of one key, in ms; `?` an unknown outcome. */
const op = (
  what: Operation["op"],
  [from, to]: readonly [number, number],
  fields: Partial<Operation> = {},
): Operation => ({
  ...{ process: 1, op: what, key: "k", invokeNs: from, completeNs: to, outcome: "ok" },
  ...(what === "get" ? { level: "linearizable" as const } : {}),
  ...fields,
});
const promised: Promised = { keepsAcknowledged: true, okMin: 0, faults: ["kill"], slotsMoved: false };
const sessions = (history: History) => checkSessions(history, { byValue: true });
const kinds = (history: History): readonly string[] =>
  checkHistory(history, promised).violations.map(({ kind }) => kind);

test("writes and reads one after the other are in order", (t) => {
  const history = [
    op("set", [1, 2], { value: "a" }),
    op("get", [3, 4], { result: "a" }),
    op("incr", [5, 6], { key: "n", result: "1" }),
    op("incr", [5, 7], { key: "n", result: "2" }),
    op("get", [8, 9], { key: "n", result: "2" }),
  ];
  t.deepEqual(kinds(history), []);
});

test("a read that shows less than what was acknowledged before it is found", (t) => {
  const history = [
    op("set", [1, 2], { value: "a" }),
    op("set", [3, 4], { value: "b", process: 2 }),
    op("get", [5, 6], { result: "a", process: 3 }),
    op("get", [7, 8], { result: "b", process: 3 }),
  ];
  t.is(checkLinearizable(history).violations.length, 1);
});

test("overlapping writes may have happened either way, but not both ways", (t) => {
  const writes = [op("set", [1, 9], { value: "a" }), op("set", [1, 9], { value: "b", process: 2 })];
  const read = (result: string, at: number): Operation => op("get", [at, at + 1], { result, process: 3 });
  t.deepEqual(checkLinearizable([...writes, read("a", 10), read("a", 12)]).violations, []);
  t.deepEqual(checkLinearizable([...writes, read("b", 10), read("b", 12)]).violations, []);
  t.is(checkLinearizable([...writes, read("a", 10), read("b", 12)]).violations.length, 1);
});

test("a write of unknown outcome may have happened, later, or not at all; not twice", (t) => {
  const write = op("set", [1, 2], { value: "b", outcome: "unknown" });
  const first = op("set", [0, 1], { value: "a", process: 2 });
  const read = (result: string, at: number): Operation => op("get", [at, at + 1], { result, process: 3 });
  t.deepEqual(checkLinearizable([first, write, read("a", 5)]).violations, []);
  t.deepEqual(checkLinearizable([first, write, read("a", 5), read("b", 7)]).violations, []);
  t.is(checkLinearizable([first, write, read("b", 5), read("a", 7), read("b", 9)]).violations.length, 1);
});

test("a write that nobody knows of may be what a delete found", (t) => {
  const history = (found: string): Operation[] => [
    op("set", [1, 2], { value: "a", outcome: "unknown" }),
    op("del", [3, 4], { result: found, process: 2 }),
    op("get", [5, 6], { result: null, process: 2 }),
  ];
  t.deepEqual(kinds(history("true")), []);
  t.deepEqual(kinds(history("false")), []);
});

test("what failed was not carried out", (t) => {
  t.is(
    kinds([op("set", [1, 2], { value: "a", outcome: "fail" }), op("get", [3, 4], { result: "a" })]).length,
    2,
  );
});

test("the outcome of compare-and-set and delete is compared with the state", (t) => {
  const set = op("set", [1, 2], { value: "a" });
  t.deepEqual(
    kinds([
      set,
      op("cas", [3, 4], { expect: "a", value: "b", result: "true" }),
      op("get", [5, 6], { result: "b" }),
    ]),
    [],
  );
  t.true(
    kinds([
      set,
      op("cas", [3, 4], { expect: "x", value: "b", result: "true" }),
      op("get", [5, 6], { result: "b" }),
    ]).includes("not linearizable"),
  );
  t.deepEqual(kinds([set, op("del", [3, 4], { result: "true" }), op("get", [5, 6], { result: null })]), []);
  t.true(
    kinds([set, op("del", [3, 4], { result: "false" }), op("get", [5, 6], { result: null })]).includes(
      "not linearizable",
    ),
  );
});

test("an acknowledged write that is not there at the end is found, one that was overwritten is not missed", (t) => {
  const end = (result: string | null): Operation => op("get", [90, 91], { result });
  t.is(checkLedger([op("set", [1, 2], { value: "a" }), end(null)]).length, 1);
  t.is(
    checkLedger([op("set", [1, 2], { value: "a" }), op("set", [3, 4], { value: "b" }), end("a")]).length,
    1,
  );
  t.deepEqual(
    checkLedger([op("set", [1, 2], { value: "a" }), op("set", [3, 4], { value: "b" }), end("b")]),
    [],
  );
  t.deepEqual(
    checkLedger([op("set", [1, 5], { value: "a" }), op("set", [3, 4], { value: "b" }), end("a")]),
    [],
  );
  t.deepEqual(
    checkLedger([op("set", [1, 2], { value: "a" }), op("del", [3, 4], { outcome: "unknown" }), end(null)]),
    [],
  );
});

test("a counter lies between what was acknowledged and what may have been carried out", (t) => {
  const incr = (outcome: Operation["outcome"]): Operation => op("incr", [1, 2], { outcome });
  const end = (result: string): Operation => op("get", [90, 91], { result });
  t.deepEqual(checkLedger([incr("ok"), incr("unknown"), end("2")]), []);
  t.deepEqual(checkLedger([incr("ok"), incr("unknown"), end("1")]), []);
  t.is(checkLedger([incr("ok"), incr("unknown"), end("0")]).length, 1);
  t.is(checkLedger([incr("ok"), incr("fail"), end("2")]).length, 1);
});

test("a session read that goes back is found, by place and by value", (t) => {
  const read = (at: number, result: string, version: number): Operation =>
    op("get", [at, at + 1], { level: "session", result, epoch: 1, version });
  t.is(sessions([read(1, "a", 5), read(3, "a", 4)]).length, 1);
  t.deepEqual(sessions([read(1, "a", 4), read(3, "a", 5)]), []);
  const writes = [op("set", [1, 2], { value: "a", process: 2 }), op("set", [3, 4], { value: "b" })];
  t.is(sessions([...writes, op("get", [5, 6], { level: "session", result: "a" })]).length, 1);
  t.deepEqual(sessions([...writes, op("get", [5, 6], { level: "eventual", result: "a" })]), []);
});

test("a history that proves nothing fails", (t) => {
  t.deepEqual(
    checkHistory([], { ...promised, okMin: 1, faults: [] }).violations.map(({ kind }) => kind),
    ["proves nothing", "proves nothing"],
  );
});
