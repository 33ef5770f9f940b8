import test from "ava";
import { upScreen, type UpState } from "../../cli/upScreen.ts";

const pod = { pid: 7, restarts: 0, state: "serving" as const, lagMs: null };
const state: UpState = {
  clusters: [
    {
      cluster: "default/demo",
      moves: [],
      conditions: [
        {
          type: "Ready",
          status: "False",
          reason: "SlotsNotServed",
          message: "8192 of 16384 slots are not served",
        },
        { type: "Degraded", status: "True", reason: "Restoring", message: "shard 1: demo-write-1 copies" },
      ],
      shards: [
        {
          ...{ id: 0, epoch: 1, slots: 8192, ranges: "0-8191", change: null, keys: 1234 },
          owner: { ...pod, pod: "demo-write-0" },
          readers: [{ ...pod, pod: "demo-read-0", lagMs: 3 }],
        },
        {
          ...{
            id: 1,
            epoch: 4,
            slots: 8192,
            ranges: "8192-16383",
            change: "being handed over to demo-read-1",
            keys: 0,
          },
          owner: { ...pod, pod: "demo-write-1", state: "copying" },
          readers: [{ ...pod, pod: "demo-read-1", state: "starting", lagMs: 9 }],
        },
      ],
      others: [{ ...pod, pod: "demo-read-2", state: "leaving" }],
    },
  ],
  problem: "cluster.yaml:7:12: spec.readers is 0",
  events: [
    { type: "Warning", reason: "ProcessEnded", message: "it ended", cluster: "default/demo", atMs: 0 },
  ],
  hints: ["Next: npx edis set a 1"],
};

test("a frame shows shards, pods, what is wrong, what to type next and what happened", (t) => {
  const lines = upScreen(state, { columns: 200, rows: 40 });
  t.deepEqual(lines.slice(0, -1), [
    "default/demo  not ready: 8192 of 16384 slots are not served",
    "! Restoring: shard 1: demo-write-1 copies",
    "",
    "shard  slots       epoch  keys   writer                                                    readers",
    "0      0-8191      1      1,234  demo-write-0 (pid 7)                                      demo-read-0 (3 ms)",
    "1      8192-16383  4      0      demo-write-1 (copying), being handed over to demo-read-1  demo-read-1 (starting)",
    "without a shard: demo-read-2 (leaving)",
    "",
    "! cluster.yaml:7:12: spec.readers is 0",
    "",
    "Next: npx edis set a 1",
    "",
  ]);
  t.regex(lines.at(-1) ?? "", /^\d\d:\d\d:\d\d ! default\/demo ProcessEnded: it ended$/);
});

test("a frame never has more lines or columns than the terminal", (t) => {
  for (const [columns, rows] of [
    [20, 5],
    [40, 12],
    [80, 2],
  ] as const) {
    const many = { ...state, events: Array.from({ length: 50 }, () => state.events).flat() };
    const lines = upScreen(many, { columns, rows });
    t.true(lines.length < rows);
    t.true(lines.every((line) => line.length <= columns));
  }
});
