import test from "ava";
import fc from "fast-check";
import { epoch, mapVersion, shardId } from "../../../core/ids.ts";
import type { Shard } from "../../../core/topology.ts";
import type { Pod, Session } from "../../../operator/plan/model.ts";
import { restartOrder, shardsAtOnce } from "../../../operator/plan/restartOrder.ts";
import { planRollout, type RolloutInput, type RolloutPlan } from "../../../operator/plan/rollout.ts";
import { readerPod, writerPod } from "../../../operator/shardCluster.ts";
import {
  owning,
  podOf,
  reading,
  sessionOf,
  type Serving,
  type SessionFields,
} from "../../support/planWorld.ts";

/** The session of a process that does not know what its pod is called. */
const unnamed = (pod: string, fields: SessionFields = {}): Session => sessionOf(pod, { ...fields, uid: "" });

/** A cluster at rest, whose pods a test changes one by one. */
type World = {
  readonly shards: Shard[];
  readonly pods: Map<string, Pod>;
  readonly sessions: Map<string, Session>;
  readonly outdated: Set<string>;
  readonly assignments: RolloutInput["assignments"];
  readonly ephemeral: boolean;
};

const serving = ({ shards, assignments }: World, name: string): Serving => {
  const owned = shards.find(({ owner }) => owner?.pod === name);
  if (owned !== undefined) return owning(owned.id, owned.epoch);
  const home = shards.find(({ id }) => writerPod("demo", id) === name);
  const shard = home?.id ?? assignments.find(({ pod }) => pod === name)?.shard;
  return shard === undefined ? { kind: "nothing" } : reading(shard, "streaming");
};

const membersOf = ({ assignments }: World, { id }: Shard): string[] => [
  writerPod("demo", id),
  ...assignments.filter(({ shard }) => shard === id).map(({ pod }) => pod),
];

const start = (writers: number, readersPerShard: number, ephemeral = false): World => {
  const assignments = Array.from({ length: writers * readersPerShard }, (_, i) => ({
    pod: readerPod("demo", i),
    shard: shardId(i % writers),
  }));
  const shards = Array.from({ length: writers }, (_, i): Shard => {
    const owner = { pod: writerPod("demo", i), incarnation: "first" };
    const inSync = assignments.filter(({ shard }) => shard === i).map(({ pod }) => pod);
    return {
      ...{ id: shardId(i), epoch: epoch(1), owner, inSync, syncSeq: 1, slots: [], mapVersion: mapVersion(1) },
      phase: { kind: "stable" },
    };
  });
  const names = [...shards.map(({ id }) => writerPod("demo", id)), ...assignments.map(({ pod }) => pod)];
  const world: World = {
    ...{ shards, assignments, ephemeral, sessions: new Map() },
    pods: new Map(names.map((name) => [name, podOf(name)])),
    outdated: new Set(names),
  };
  for (const name of names) world.sessions.set(name, unnamed(name, { serving: serving(world, name) }));
  return world;
};

const planOf = (world: World): RolloutPlan =>
  planRollout({ name: "demo", readers: world.assignments.length, ...world });
const restarted = (world: World): string[] => planOf(world).restarts.map(({ name }) => name);
const change = (world: World, name: string, fields: Partial<Pod>): void => {
  world.pods.set(name, { ...podOf(name), ...fields });
};
const become = (world: World, shard: number, fields: Partial<Shard>): void => {
  const before = world.shards[shard];
  if (before !== undefined) world.shards[shard] = { ...before, ...fields };
};
/** The pod is back, made anew, and does what it did. */
const comeUp = (world: World, name: string): void => {
  world.outdated.delete(name);
  change(world, name, { uid: `new uid of ${name}` });
  world.sessions.set(name, unnamed(name, { incarnation: "second", serving: serving(world, name) }));
};
const goDown = (world: World, name: string): void => {
  world.pods.delete(name);
  world.sessions.delete(name);
};

test("nothing is outdated, or that is not known: nothing happens", (t) => {
  const world = start(2, 2);
  world.outdated.clear();
  t.deepEqual(planOf(world), { away: new Set(), restarts: [], rollout: null });
  t.deepEqual(planRollout({ name: "demo", readers: 4, ...world, outdated: null }).restarts, []);
});

test("the first reader goes alone; the next when it is up and in sync again", (t) => {
  const world = start(2, 2);
  t.deepEqual(planOf(world).restarts, [{ name: "demo-read-0", uid: "uid of demo-read-0" }]);
  change(world, "demo-read-0", { deleting: true });
  t.deepEqual(restarted(world), []);
  goDown(world, "demo-read-0");
  t.deepEqual(restarted(world), []);
  t.deepEqual(planOf(world).rollout?.under, ["demo-read-0"]);
  become(world, 0, { inSync: ["demo-read-2"] });
  comeUp(world, "demo-read-0");
  t.deepEqual(restarted(world), ["demo-read-1"], "of another shard, as this one is not in sync yet");
  world.outdated.delete("demo-read-1");
  world.outdated.delete("demo-read-3");
  t.deepEqual(restarted(world), []);
  become(world, 0, { inSync: ["demo-read-0", "demo-read-2"] });
  t.deepEqual(restarted(world), ["demo-read-2"]);
});

test("a writer gives its shard away before it goes, and gets it back after that, not before", (t) => {
  const world = start(1, 1);
  comeUp(world, "demo-read-0");
  t.deepEqual([...planOf(world).away], ["demo-write-0"]);
  t.deepEqual(restarted(world), []);
  become(world, 0, { phase: { kind: "handover", to: { pod: "demo-read-0", incarnation: "second" } } });
  t.deepEqual([...planOf(world).away], ["demo-write-0"], "the handover is gone on with");
  t.deepEqual(restarted(world), []);
  const owner = { pod: "demo-read-0", incarnation: "second" };
  become(world, 0, { phase: { kind: "stable" }, owner, epoch: epoch(2), inSync: [] });
  world.sessions.set(owner.pod, unnamed(owner.pod, { ...owner, serving: owning(0, 2) }));
  world.sessions.set("demo-write-0", unnamed("demo-write-0", { serving: reading(0, "streaming") }));
  t.deepEqual(restarted(world), [], "nobody is in sync with the new owner yet");
  t.deepEqual([...planOf(world).away], ["demo-write-0"]);
  become(world, 0, { inSync: ["demo-write-0"] });
  t.deepEqual(restarted(world), ["demo-write-0"]);
  goDown(world, "demo-write-0");
  comeUp(world, "demo-write-0");
  t.is(planOf(world).rollout, null);
});

test("a reader that owns gives the shard away before it goes", (t) => {
  const world = start(1, 2);
  const owner = { pod: "demo-read-0", incarnation: "first" };
  become(world, 0, { owner, epoch: epoch(2), inSync: ["demo-read-1", "demo-write-0"] });
  world.sessions.set(owner.pod, unnamed(owner.pod, { serving: owning(0, 2) }));
  world.sessions.set("demo-write-0", unnamed("demo-write-0", { serving: reading(0, "streaming") }));
  t.deepEqual(restarted(world), ["demo-read-1"], "the other reader first");
  comeUp(world, "demo-read-1");
  t.deepEqual([...planOf(world).away], ["demo-read-0"]);
  t.deepEqual(restarted(world), []);
});

test("a writer without readers goes as it is", (t) => {
  t.deepEqual(restarted(start(1, 0)), ["demo-write-0"]);
});

test("a new pod that does not come up stops everything, and says why", (t) => {
  const world = start(3, 2);
  goDown(world, "demo-read-0");
  world.outdated.delete("demo-read-0");
  change(world, "demo-read-0", { problem: "ImagePullBackOff: no such image" });
  const { rollout, restarts, away } = planOf(world);
  t.deepEqual(rollout?.stuck, { pod: "demo-read-0", problem: "ImagePullBackOff: no such image" });
  t.deepEqual([restarts, [...away]], [[], []]);
});

test("when the template is changed again, the pod that did not come up goes first, and the rest after it", (t) => {
  const world = start(3, 2);
  world.sessions.delete("demo-read-0");
  change(world, "demo-read-0", { problem: "ImagePullBackOff: no such image" });
  t.deepEqual(restarted(world)[0], "demo-read-0");
});

test("a cluster of which no pod ever came up is made anew at once", (t) => {
  const world = start(2, 1, true);
  for (const name of world.pods.keys()) change(world, name, { problem: "ErrImagePull: no" });
  world.sessions.clear();
  for (const { id } of world.shards) become(world, id, { owner: null, epoch: epoch(0), inSync: [] });
  t.is(restarted(world).length, 4);
});

test("a pod that does not run and whose data would go with it stays, where it may be needed", (t) => {
  const world = start(1, 1, true);
  world.sessions.clear();
  for (const name of world.pods.keys()) change(world, name, { problem: "CrashLoopBackOff: no" });
  t.deepEqual(restarted(world), []);
});

test("a session of the pod that bore the name before does not make the new one up", (t) => {
  const world = start(1, 2);
  const before = unnamed("demo-read-0", { serving: reading(0, "streaming") });
  world.sessions.set("demo-read-0", { ...before, registered: { ...before.registered, uid: "another" } });
  t.deepEqual(restarted(world), []);
});

/** Everybody does what the plan says: pods go and come back, shards are handed over, followers get in sync. */
const step = (world: World, { away, restarts }: RolloutPlan, pick: (n: number) => number): void => {
  for (const { name } of restarts) goDown(world, name);
  for (const shard of [...world.shards]) {
    const members = membersOf(world, shard).filter((name) => world.sessions.has(name));
    const owner = shard.owner?.pod ?? "";
    if (away.has(owner)) {
      const to = shard.inSync.find((name) => !away.has(name) && world.sessions.has(name));
      if (to === undefined) continue;
      if (shard.phase.kind === "stable" && pick(2) === 0) {
        become(world, shard.id, { phase: { kind: "handover", to: { pod: to, incarnation: "first" } } });
        continue;
      }
      const incarnation = world.sessions.get(to)?.incarnation ?? "";
      const next = epoch(shard.epoch + 1);
      become(world, shard.id, {
        owner: { pod: to, incarnation },
        epoch: next,
        inSync: [],
        phase: { kind: "stable" },
      });
      for (const name of members) {
        const { incarnation: its } = world.sessions.get(name) ?? { incarnation: "" };
        world.sessions.set(name, unnamed(name, { incarnation: its, serving: serving(world, name) }));
      }
    } else if (pick(2) === 0) {
      become(world, shard.id, { inSync: members.filter((name) => name !== owner) });
    }
  }
  const missing = [...world.outdated].filter((name) => !world.pods.has(name));
  const back = missing[pick(Math.max(1, missing.length))];
  if (back !== undefined && pick(2) === 0) {
    comeUp(world, back);
    // Nobody counts it as in sync before it is.
    for (const shard of world.shards)
      become(world, shard.id, { inSync: shard.inSync.filter((name) => name !== back) });
    const solo = world.shards.find(({ owner }) => owner?.pod === back);
    if (solo !== undefined) {
      become(world, solo.id, { owner: { pod: back, incarnation: "second" }, epoch: epoch(solo.epoch + 1) });
      world.sessions.set(back, unnamed(back, { incarnation: "second", serving: serving(world, back) }));
    }
  }
};

test("a rolling change ends, takes one pod of a shard at a time, never an owner with readers, and readers first", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 3 }),
      fc.infiniteStream(fc.nat(1_000)),
      (writers, readersPerShard, numbers) => {
        const world = start(writers, readersPerShard);
        const pick = (n: number): number => Number(numbers.next().value) % n;
        for (let steps = 0; world.outdated.size > 0; steps++) {
          if (steps > 400 * writers * (readersPerShard + 1)) throw new Error("it does not end");
          const plan = planOf(world);
          for (const { name } of plan.restarts) {
            const shard = world.shards.find((one) => membersOf(world, one).includes(name));
            if (shard === undefined) throw new Error(`${name} has no shard`);
            const members = membersOf(world, shard);
            if (members.some((other) => !world.pods.has(other))) throw new Error("two pods of a shard");
            if (members.length > 1 && shard.owner?.pod === name) throw new Error("an owner");
            const isWriter = name.includes("-write-");
            if (isWriter && [...world.outdated].some((other) => other.includes("-read-")))
              throw new Error("a writer before a reader");
          }
          const down = [...world.outdated].filter((name) => !world.pods.has(name)).length;
          if (down + plan.restarts.length > 8) throw new Error("too many at a time");
          step(world, plan, pick);
        }
        return true;
      },
    ),
    { numRuns: 100 },
  );
  t.pass();
});

test("where all goes well, a shard's pods are made anew in the order that a forecast says, and readers before writers", (t) => {
  for (const [writers, readersPerShard] of [
    [1, 0],
    [1, 2],
    [3, 1],
    [5, 3],
    [8, 2],
  ] as const) {
    const world = start(writers, readersPerShard);
    const { shards, assignments } = world;
    const told = restartOrder("demo", { shards, assignments }, [...world.outdated].sort());
    const order: string[] = [];
    for (let steps = 0; world.outdated.size > 0 && steps < 1_000; steps++) {
      const plan = planOf(world);
      order.push(...plan.restarts.map(({ name }) => name));
      step(world, plan, () => 0);
    }
    const ofShard = (pods: readonly string[], id: number): string[] =>
      pods.filter((pod) => assignments.some((one) => one.pod === pod && one.shard === id));
    for (const { id } of shards) t.deepEqual(ofShard(told, id), ofShard(order, id));
    const firstWriter = told.findIndex((pod) => pod.includes("-write-"));
    t.deepEqual(told.slice(firstWriter), order.slice(firstWriter));
    t.deepEqual([...told].sort(), [...order].sort());
    t.is(shardsAtOnce(writers), 1);
  }
});
