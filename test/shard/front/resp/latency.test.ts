import test from "ava";
import { createCommandLatency, familyOf } from "../../../../shard/front/resp/latency.ts";

test("each family has figures of its own, in milliseconds", (t) => {
  const latency = createCommandLatency();
  for (let i = 0; i < 99; i++) latency.record("get", 0.1);
  latency.record("get", 50);
  latency.record(familyOf("incr"), 0);
  const [get, set] = latency.figures();
  t.is(get?.family, "get");
  t.is(get?.count, 100);
  t.true(Math.abs((get?.p50Ms ?? 0) - 0.1) < 0.002);
  t.true(Math.abs((get?.maxMs ?? 0) - 50) < 0.5);
  t.true(Math.abs((get?.sumMs ?? 0) - 59.9) < 1);
  t.deepEqual(set, { family: "set", count: 0, sumMs: 0, p50Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 });
  t.is(latency.figures().at(-1)?.count, 1);
});
