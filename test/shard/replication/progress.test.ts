import test from "ava";
import { epoch, version } from "../../../core/ids.ts";
import {
  lagBehind,
  resume,
  samplesMax,
  withSample,
  type Samples,
} from "../../../shard/replication/progress.ts";

const at = (v: number) => ({ epoch: epoch(1), version: version(v) });
const source = { part: true, version: version(100), logFirst: version(51) };

test("a reader goes on from where it stands as long as the log reaches back to it", (t) => {
  t.deepEqual(resume(at(100), source), { kind: "streaming", next: version(101) });
  t.deepEqual(resume(at(50), source), { kind: "catchingUp", next: version(51) });
  t.deepEqual(resume(at(49), source), { kind: "copying" });
});

test("a reader that holds what is no part of the data takes a full copy", (t) => {
  t.deepEqual(resume(at(100), { ...source, part: false }), { kind: "copying" });
});

test("the lag in milliseconds is the age of the newest moment the reader has all of", (t) => {
  let samples: Samples = [];
  for (let i = 0; i <= 10; i++) samples = withSample(samples, version(i * 10), i * 100);
  const newest = { version: version(105), bytes: 10_500 };
  const lag = (v: number) =>
    lagBehind(newest, { version: version(v), bytes: v * 100 }, { samples, nowMs: 1_050 });
  t.deepEqual(lag(105), { versions: 0, bytes: 0, ms: 0 });
  t.deepEqual(lag(100), { versions: 5, bytes: 500, ms: 50 });
  t.deepEqual(lag(99), { versions: 6, bytes: 600, ms: 150 });
  t.deepEqual(lag(0), { versions: 105, bytes: 10_500, ms: 1_050 });
});

test("samples are bounded", (t) => {
  let samples: Samples = [];
  for (let i = 0; i < samplesMax + 50; i++) samples = withSample(samples, version(i), i);
  t.is(samples.length, samplesMax);
  t.is(samples[0]?.atMs, 50);
});
