import { apiName } from "./world/api.ts";
import type { Seeded } from "./world/seeded.ts";
import {
  endOperator,
  endPod,
  goOn,
  newVolume,
  pause,
  remakePod,
  restartOperator,
  startLater,
  startOperatorOf,
  type SimPod,
  type World,
} from "./world/world.ts";

/** Something that goes wrong, for a while; it mends itself after that. */
export type Fault = { readonly kind: FaultKind; readonly atMs: number; readonly forMs: number };
export const faultKinds = [
  "kill",
  "killOwner",
  "killAll",
  "pause",
  "pauseOwner",
  "cut",
  "cutOneWay",
  "cutOff",
  "cutGroups",
  "slowNetwork",
  "slowDisk",
  "failSync",
  "powerLoss",
  "powerLossAll",
  "wipe",
  "apiAway",
  "apiSlow",
  "apiLosesAnswers",
  "killOperator",
  "cutOperatorFromApi",
  "pauseOperator",
  "evict",
  "roll",
  "scaleReaders",
  "scaleWriters",
] as const;
export type FaultKind = (typeof faultKinds)[number];

export const planFaults = (
  random: Seeded,
  { count, fromMs, toMs, kinds }: { count: number; fromMs: number; toMs: number; kinds: readonly FaultKind[] },
): readonly Fault[] =>
  Array.from({ length: count }, () => ({
    kind: random.pick(kinds),
    atMs: random.between(fromMs, toMs),
    forMs: random.pick([random.between(50, 500), random.between(500, 3_000), random.between(2_000, 6_000)]),
  }));

export type Faults = {
  /** Those that were carried out. */
  readonly done: Fault["kind"][];
  /** Mends everything at once. */
  readonly heal: () => void;
};

export const startFaults = (world: World, faults: readonly Fault[], random: Seeded): Faults => {
  const done: Fault["kind"][] = [];
  const mends = new Set<() => void>();
  let isHealed = false;
  for (const fault of faults) {
    world.timeline.at(world.timeline.nowMs() + fault.atMs, null, () => {
      if (isHealed) return;
      const carried = carryOut(world, fault, random);
      if (carried === null) return;
      done.push(fault.kind);
      world.trace("fault", `${fault.kind} ${carried.what} for ${fault.forMs.toFixed(0)} ms`);
      const mend = (): void => {
        if (!mends.delete(mend)) return;
        world.trace("fault", `${fault.kind} ${carried.what} is over`);
        carried.mend();
      };
      mends.add(mend);
      world.timeline.at(world.timeline.nowMs() + fault.forMs, null, mend);
    });
  }
  return {
    done,
    heal: () => {
      isHealed = true;
      for (const mend of [...mends]) mend();
    },
  };
};

type Carried = { readonly what: string; readonly mend: () => void };

const nothing = (): void => undefined;

const carryOut = (world: World, { kind, forMs }: Fault, random: Seeded): Carried | null => {
  const pods = [...world.pods.values()].filter(({ running, deleting }) => running !== null && !deleting);
  const any = pods.length === 0 ? null : random.pick(pods);
  const owners = pods.filter((pod) => isOwner(world, pod));
  const owner = owners.length === 0 ? null : random.pick(owners);
  const operators = [...world.operators.values()].filter(({ running }) => running !== null);
  const operator = operators.length === 0 ? null : random.pick(operators);
  switch (kind) {
    case "kill":
      return any === null ? null : kill(world, any, { forMs, isHeard: true });
    case "killOwner":
      return owner === null ? null : kill(world, owner, { forMs: random.chance(0.5) ? forMs : 50, isHeard: true });
    case "killAll":
      for (const pod of pods) kill(world, pod, { forMs: random.between(50, 1_000), isHeard: true });
      return { what: "every pod", mend: nothing };
    case "powerLoss":
      if (any === null) return null;
      losePower(any, random);
      return kill(world, any, { forMs, isHeard: false });
    case "powerLossAll":
      for (const pod of pods) {
        losePower(pod, random);
        kill(world, pod, { forMs: random.between(50, 1_000), isHeard: false });
      }
      return { what: "every pod", mend: nothing };
    case "wipe":
      if (any === null) return null;
      any.volume = newVolume();
      return kill(world, any, { forMs, isHeard: true });
    case "pause":
      return any?.running == null ? null : stop(world, any.running.process);
    case "pauseOwner":
      return owner?.running == null ? null : stop(world, owner.running.process);
    case "pauseOperator":
      return operator?.running == null ? null : stop(world, operator.running.process);
    case "cut":
      return cutPairs(world, pairsOf(random, namesOf(world), 1, true));
    case "cutOneWay":
      return cutPairs(world, pairsOf(random, namesOf(world), 1, false));
    case "cutOff": {
      const name = random.pick(owner !== null && random.chance(0.6) ? [owner.name] : namesOf(world));
      const others = namesOf(world).filter((other) => other !== name && random.chance(0.8));
      return cutPairs(world, others.flatMap((other) => [[name, other], [other, name]] as const));
    }
    case "cutGroups": {
      const side = new Map([...namesOf(world), apiName].map((name) => [name, random.chance(0.5)]));
      const pairs = [...side].flatMap(([a, left]) =>
        [...side].flatMap(([b, right]) => (left === right ? [] : [[a, b] as const])),
      );
      return cutPairs(world, pairs);
    }
    case "slowNetwork": {
      world.network.slowMs = random.pick([20, 200]);
      return { what: `${world.network.slowMs} ms`, mend: () => void (world.network.slowMs = 0) };
    }
    case "slowDisk": {
      if (any === null) return null;
      const { volume } = any;
      volume.slowMs = random.pick([50, 500, 3_000]);
      return { what: `${any.name} ${volume.slowMs} ms`, mend: () => void (volume.slowMs = 0) };
    }
    case "failSync":
      if (any === null) return null;
      any.volume.failsSync = true;
      return {
        what: any.name,
        mend: () => {
          any.volume.failsSync = false;
        },
      };
    case "apiAway":
      world.api.isAway = true;
      return { what: "", mend: () => void (world.api.isAway = false) };
    case "apiSlow":
      world.api.slowMs = random.pick([100, 2_000]);
      return { what: `${world.api.slowMs} ms`, mend: () => void (world.api.slowMs = 0) };
    case "apiLosesAnswers":
      world.api.lostAnswers = 0.5;
      return { what: "", mend: () => void (world.api.lostAnswers = 0) };
    case "killOperator": {
      if (operator === null) return null;
      endOperator(world, operator);
      restartOperator(world, operator, Math.min(forMs, 2_000));
      return { what: operator.name, mend: () => { if (operator.running === null) startOperatorOf(world, operator); } };
    }
    case "evict":
      if (any === null) return null;
      remakePod(world, any);
      return { what: any.name, mend: nothing };
    case "roll":
      for (const pod of world.pods.values()) pod.isOutdated = true;
      world.changed();
      return { what: "every pod", mend: nothing };
    case "scaleReaders":
      return want(world, { readers: random.below(4) * world.cluster.spec.writers });
    case "scaleWriters":
      return want(world, { writers: 1 + random.below(3) });
    case "cutOperatorFromApi":
      return operator === null ? null : cutPairs(world, [[operator.name, apiName], [apiName, operator.name]]);
  }
};

/** A person changes the wishes; nobody takes that back. */
const want = (world: World, wishes: { readonly writers?: number; readonly readers?: number }): Carried => {
  const { cluster } = world;
  const { generation, spec } = cluster;
  world.cluster = { ...cluster, generation: generation + 1, spec: { ...spec, ...wishes } };
  world.changed();
  return { what: JSON.stringify(wishes), mend: nothing };
};

const isOwner = (world: World, { name }: SimPod): boolean => {
  const stored = [...world.api.objects.entries()].find(([path]) => path.includes("shardtopologies"));
  return stored !== undefined && JSON.stringify(stored[1]).includes(`"owner":{"pod":"${name}"`);
};

const kill = (world: World, pod: SimPod, { forMs, isHeard }: { forMs: number; isHeard: boolean }): Carried => {
  endPod(world, pod, { isHeard });
  world.changed();
  startLater(world, pod, forMs);
  return { what: pod.name, mend: () => { startLater(world, pod, 1); } };
};

const losePower = (pod: SimPod, random: Seeded): void => {
  const { capacity } = pod.volume.disk;
  pod.volume = { disk: pod.volume.disk.afterPowerLoss(random.below), slowMs: 0, failsSync: false };
  pod.volume.disk.capacity = capacity;
};

const stop = (world: World, process: NonNullable<SimPod["running"]>["process"]): Carried => {
  pause(world, process);
  return { what: process.name, mend: () => { goOn(world, process); } };
};

const namesOf = (world: World): readonly string[] => [...world.pods.keys(), ...world.operators.keys()];

type Pair = readonly [from: string, to: string];
const pairsOf = (random: Seeded, names: readonly string[], count: number, bothWays: boolean): readonly Pair[] =>
  Array.from({ length: count }).flatMap((): readonly Pair[] => {
    const a = random.pick(names);
    const others = names.filter((name) => name !== a);
    if (others.length === 0) return [];
    const b = random.pick(others);
    return bothWays ? [[a, b], [b, a]] : [[a, b]];
  });

const cutPairs = (world: World, pairs: readonly Pair[]): Carried | null => {
  const fresh = pairs.filter(([from, to]) => !world.network.isCut(from, to));
  if (fresh.length === 0) return null;
  for (const [from, to] of fresh) world.network.cut(from, to);
  world.network.probe();
  return {
    what: fresh.map(([from, to]) => `${from}>${to}`).join(" "),
    mend: () => {
      for (const [from, to] of fresh) world.network.mend(from, to);
    },
  };
};
