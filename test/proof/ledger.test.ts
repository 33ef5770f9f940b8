import test from "ava";
import { acknowledged, judge, leastOf, lostOf, newKey, refused, type Key, type Kind } from "./ledger.ts";

/** A key whose numbers up to this one were acknowledged. */
const written = (kind: Kind, upTo: number): Key => {
  const key = newKey("k", kind);
  for (let n = 1; n <= upTo; n++) {
    key.sent = n;
    acknowledged(key, kind === "counter" ? n : true, n);
  }
  return key;
};
const reading = (level: "linearizable" | "session" | "eventual", fields = {}) => ({
  ...{ level, seen: 0, nowMs: 0, lagMsMax: 2_000 },
  ...fields,
});

test("an increment that goes on from less than what was acknowledged shows that it was lost", (t) => {
  const key = written("counter", 3);
  key.sent = 4;
  t.regex(acknowledged(key, 3, 9) ?? "", /became 3 by one more, though 3 was acknowledged/);
  t.true(key.isClosed);
  t.is(key.acked, 3);
});

test("a compare-and-set that finds another value than the one acknowledged shows that it was lost", (t) => {
  const key = written("swapped", 3);
  key.sent = 4;
  t.regex(acknowledged(key, false, 9) ?? "", /did not hold 3/);
});

test("writes that are carried out one after the other prove nothing wrong", (t) => {
  for (const kind of ["counter", "swapped", "plain"] as const) {
    const key = written(kind, 3);
    t.false(key.isClosed);
    t.is(key.acked, 3);
    t.is(lostOf(key, 3), null);
  }
});

test("what is there at the end lies between what was acknowledged and what was sent", (t) => {
  const key = written("plain", 3);
  t.regex(lostOf(key, 2) ?? "", /acknowledged 3, sent 3, there is 2/);
  key.sent = 4;
  t.is(lostOf(key, 4), null);
  refused(key);
  t.regex(lostOf(key, 4) ?? "", /sent 3, there is 4/);
});

test("a linearizable read brings what was acknowledged before it, and what another such read has brought", (t) => {
  const key = written("plain", 3);
  key.sent = 5;
  t.is(leastOf(key, reading("linearizable")), 3);
  t.is(judge(key, { level: "linearizable", found: 4, least: 3 }), null);
  t.is(leastOf(key, reading("linearizable")), 4);
  t.regex(judge(key, { level: "linearizable", found: 3, least: 4 }) ?? "", /may not be below 4/);
  t.regex(judge(key, { level: "linearizable", found: 6, least: 4 }) ?? "", /nobody wrote more than 5/);
});

test("a session read brings what its session has met with, an eventual one what is older than the lag allows", (t) => {
  const key = written("plain", 3);
  t.is(leastOf(key, reading("session", { seen: 2 })), 2);
  t.is(leastOf(key, reading("eventual", { nowMs: 2_003 })), 0);
  t.is(leastOf(key, reading("eventual", { nowMs: 2_004 })), 3);
});

test("a write of unknown outcome may show at any later time, and stays once it was shown", (t) => {
  const key = written("plain", 3);
  key.sent = 4;
  key.isClosed = true;
  const read = (found: number): string | null => {
    const level = "linearizable";
    return judge(key, { level, found, least: leastOf(key, reading(level)) });
  };
  t.is(read(3), null);
  t.is(lostOf(key, 3), null);
  t.is(read(3), null);
  t.is(read(4), null);
  t.regex(read(3) ?? "", /may not be below 4/);
  t.is(lostOf(key, 4), null);
});
