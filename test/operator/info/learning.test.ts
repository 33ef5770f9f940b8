import test from "ava";
import type { Clock } from "../../../core/clock.ts";
import { systemClock } from "../../../core/clock.ts";
import { epoch, mapVersion, shardId, slot, term, version } from "../../../core/ids.ts";
import type { Topology } from "../../../core/topology.ts";
import { createNews, type News } from "../../../operator/info/news.ts";
import type { Ownership, Session } from "../../../operator/plan/model.ts";
import { usualSettings } from "../../../core/settings.ts";
import { registerFields, reportFields, shardFields, ownershipFields } from "../../support/fields.ts";

const announced = { lagMsMax: 2000, settings: usualSettings };

/** A clock that stands until it is told to go on. */
const standing = (): { readonly clock: Clock; readonly go: (ms: number) => void } => {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    clock: {
      ...systemClock,
      nowMs: () => now,
      after: (ms, run) => {
        const timer = { at: now + ms, run };
        timers.add(timer);
        return () => timers.delete(timer);
      },
    },
    go: (ms) => {
      const end = now + ms;
      for (;;) {
        const next = [...timers].sort((a, b) => a.at - b.at).find(({ at }) => at <= end);
        if (next === undefined) break;
        timers.delete(next);
        now = next.at;
        next.run();
      }
      now = end;
    },
  };
};

const ownership: Ownership = {
  clusterId: "id",
  mapVersion: mapVersion(1),
  shards: [
    {
      id: shardId(0),
      epoch: epoch(3),
      owner: { pod: "demo-write-0", incarnation: "a" },
      ...shardFields,
      slots: [[slot(0), slot(16383)]],
    },
  ],
  assignments: [{ pod: "demo-read-0", shard: shardId(0) }],
  ...ownershipFields,
};
const session = (pod: string, incarnation = "a"): Session => {
  const home = pod.includes("write") ? ("writer" as const) : ("reader" as const);
  const report = {
    ...{ pod, incarnation, home, leaving: false, version: version(1), keys: 0, bytes: 0, readers: [] },
    ...{ ...reportFields, serving: { kind: "nothing" as const }, held: null },
  };
  const address = { host: "h", client: 1, replication: 2, http: 3, resp: 4 };
  return {
    pod,
    incarnation,
    registered: { home, address, node: "", zone: "", ...registerFields },
    report,
    ...{ ageMs: 0, silentMs: 0, slotSizes: null },
  };
};

const setUp = (): { news: News; told: Topology[]; there: Session[]; go: (ms: number) => void } => {
  const { clock, go } = standing();
  const told: Topology[] = [];
  const there: Session[] = [];
  const news = createNews({
    ...{ clusterId: "id", cluster: "n/demo", term: term(1), clock },
    sessions: () => there,
    tell: (topology) => told.push(topology),
  });
  return { news, told, there, go };
};
const podsOf = (topology: Topology | undefined): string[] => topology?.members.map(({ pod }) => pod) ?? [];

test("a new leader tells nothing until it has heard of the owner and the readers", (t) => {
  const { news, told, there, go } = setUp();
  news.publish(ownership, announced);
  there.push(session("demo-read-0"));
  news.soon();
  go(1_000);
  t.is(told.length, 0);
  there.push(session("demo-write-0"));
  news.soon();
  go(50);
  t.deepEqual(podsOf(told[0]), ["demo-read-0", "demo-write-0"]);
});

test("it waits longer for an owner than for a reader, and for neither for ever", (t) => {
  const withOwner = setUp();
  withOwner.there.push(session("demo-write-0"));
  withOwner.news.publish(ownership, announced);
  withOwner.go(1_900);
  t.is(withOwner.told.length, 0);
  withOwner.go(200);
  t.deepEqual(podsOf(withOwner.told[0]), ["demo-write-0"]);

  const alone = setUp();
  alone.news.publish(ownership, announced);
  alone.go(7_900);
  t.is(alone.told.length, 0);
  alone.go(200);
  t.deepEqual(podsOf(alone.told[0]), []);
});

test("an owner's pod that is another process now is not waited for", (t) => {
  const { news, told, there } = setUp();
  there.push(session("demo-write-0", "b"), session("demo-read-0"));
  news.publish(ownership, announced);
  t.is(told.length, 1);
});

test("once it has told something it tells every loss at once", (t) => {
  const { news, told, there, go } = setUp();
  there.push(session("demo-write-0"), session("demo-read-0"));
  news.publish(ownership, announced);
  there.shift();
  news.soon();
  go(50);
  t.deepEqual(podsOf(told[1]), ["demo-read-0"]);
});
