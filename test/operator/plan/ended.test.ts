import test from "ava";
import { hasEnded } from "../../../operator/plan/ended.ts";
import { podOf } from "../../support/planWorld.ts";

const none: ReadonlySet<string> = new Set();
const pod = { ...podOf("demo-write-0"), uid: "u1", deadBeforeMs: 5_000 };

test("a process is dead that started before the platform saw one of its pod end", (t) => {
  t.true(hasEnded({ uid: "u1", startedAtMs: 4_999 }, pod, none));
  t.false(hasEnded({ uid: "u1", startedAtMs: 5_000 }, pod, none));
});

test("a pod of the same name says nothing of another's process", (t) => {
  t.false(hasEnded({ uid: "u0", startedAtMs: 1 }, pod, none));
  t.false(hasEnded({ uid: "u1", startedAtMs: 1 }, undefined, none));
});

test("a process of a pod that is gone is dead only where that is said", (t) => {
  t.true(hasEnded({ uid: "u0", startedAtMs: 9_000 }, pod, new Set(["u0"])));
});

test("of a process that does not say where and when it started nothing is known", (t) => {
  t.false(hasEnded({ uid: "", startedAtMs: 1 }, { ...pod, uid: "" }, new Set([""])));
  t.false(hasEnded({ uid: "u1", startedAtMs: 0 }, pod, none));
});
