import type { ShardCluster } from "../../operator/shardCluster.ts";
import { anyPair, cutBetween, cutIsland, cutPairs, namesOf, type Carried } from "./cuts.ts";
import { tellLoss, type LossKind } from "./losses.ts";
import { tellStory, type StoryKind } from "./stories.ts";
import { apiName } from "./world/api.ts";
import { ownershipOf } from "./world/ownership.ts";
import type { Seeded } from "./world/seeded.ts";
import type { Process } from "./world/timeline.ts";
import {
  endOperator,
  endPod,
  goOn,
  losePower,
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
/** Each with how often it is chosen among others: 0 where only a scenario asks for it. */
const weighted = [
  ["kill", 1],
  ["killOwner", 2],
  ["killAll", 1],
  ["pause", 1],
  ["pauseOwner", 1],
  ["cut", 1],
  ["cutOneWay", 1],
  ["cutOff", 1],
  ["cutGroups", 1],
  ["islandOwner", 2],
  ["slowNetwork", 1],
  ["slowDisk", 1],
  ["failSync", 1],
  ["powerLoss", 1],
  ["powerLossAll", 1],
  // Where it costs nothing that was acknowledged (simulate.ts).
  ["wipe", 0],
  ["apiAway", 1],
  ["apiSlow", 1],
  ["apiLosesAnswers", 1],
  ["killOperator", 1],
  ["cutOperatorFromApi", 1],
  ["pauseOperator", 1],
  ["evict", 1],
  ["evictOwner", 1],
  ["roll", 1],
  ["scaleReaders", 1],
  ["scaleWriters", 6],
  ["pauseMoves", 1],
  ["scaleUp", 0],
  ["scaleDown", 0],
] as const;
export type FaultKind = (typeof weighted)[number][0] | StoryKind | LossKind;

/** What may happen to any cluster, without its data being lost; the more often in the list, the more often it does. */
export const anyFault: readonly FaultKind[] = weighted.flatMap(([kind, weight]) =>
  Array.from({ length: weight }, () => kind),
);

export const planFaults = (
  random: Seeded,
  {
    count,
    fromMs,
    toMs,
    kinds,
  }: { count: number; fromMs: number; toMs: number; kinds: readonly FaultKind[] },
): readonly Fault[] =>
  Array.from({ length: count }, () => ({
    kind: random.pick(kinds),
    atMs: random.between(fromMs, toMs),
    forMs: random.pick([
      random.between(50, 500),
      random.between(300, 1_500),
      random.between(0.3, 1) * Math.max(2_500, toMs),
    ]),
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
      return owner === null
        ? null
        : kill(world, owner, { forMs: random.chance(0.5) ? forMs : 50, isHeard: true });
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
      if (any === null || !isSpare(world, any)) return null;
      any.volume = newVolume();
      return kill(world, any, { forMs, isHeard: true });
    case "pause":
      return stop(world, any?.running?.process);
    case "pauseOwner":
      return stop(world, owner?.running?.process);
    case "pauseOperator":
      return stop(world, operator?.running?.process);
    case "cut":
      return cutPairs(world, anyPair(random, namesOf(world), true));
    case "cutOneWay":
      return cutPairs(world, anyPair(random, namesOf(world), false));
    case "cutOff": {
      const name = random.pick(owner !== null && random.chance(0.6) ? [owner.name] : namesOf(world));
      const others = namesOf(world).filter((other) => other !== name && random.chance(0.8));
      return cutPairs(world, cutBetween(name, others));
    }
    // An owner with some of its clients: they see nobody else who could tell them that it is owner no more.
    case "islandOwner": {
      if (owner === null) return null;
      const beside = namesOf(world).filter(
        (name) => name !== owner.name && random.chance(world.clients.includes(name) ? 0.5 : 0.1),
      );
      return cutIsland(world, [owner.name, ...beside]);
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
      return {
        what: operator.name,
        mend: () => {
          if (operator.running === null) startOperatorOf(world, operator);
        },
      };
    }
    case "evict":
      if (any === null) return null;
      remakePod(world, any);
      return { what: any.name, mend: nothing };
    case "evictOwner":
      if (owner === null) return null;
      remakePod(world, owner);
      return { what: owner.name, mend: nothing };
    case "roll":
      for (const pod of world.pods.values()) pod.isOutdated = true;
      world.changed();
      return { what: "every pod", mend: nothing };
    case "scaleReaders": {
      const { writers } = world.cluster.spec;
      return want(world, { readers: Math.max(random.below(4) * writers, readersNeeded(world, writers)) });
    }
    case "scaleWriters":
      return wantWriters(
        world,
        random.pick([1, 2, 3].filter((other) => other !== world.cluster.spec.writers)),
      );
    case "scaleUp":
      return wantWriters(world, world.cluster.spec.writers + 1);
    case "scaleDown":
      return wantWriters(world, world.cluster.spec.writers - 1);
    case "pauseMoves": {
      const { rebalance } = world.cluster.spec;
      const carried = want(world, { rebalance: { ...rebalance, paused: true } });
      // Of several at once the first to end ends them.
      return { ...carried, mend: () => void want(world, { rebalance: { ...rebalance, paused: false } }) };
    }
    case "islandForGood":
    case "ownerAndLeaderIsland":
    case "lateGrants":
    case "restartBesideIsland":
    case "restartUnrecorded":
    case "forgottenGrants":
    case "handoverIsland":
    case "deafHeirs":
    case "readersAway":
      return owner === null ? null : tellStory(world, kind, { owner, random });
    case "deafReaders":
    case "unrecordedShrink":
    case "slowReaders":
    case "ownersInTurn":
    case "slowHeir":
    case "sameEpoch":
    case "laggardAlone":
    case "formerOwnerAsks":
    case "laggingReaders":
      return owner === null ? null : tellLoss(world, kind, { owner, random });
    case "cutOperatorFromApi":
      return operator === null
        ? null
        : cutPairs(world, [
            [operator.name, apiName],
            [apiName, operator.name],
          ]);
  }
};

/** A person changes the wishes; nobody takes that back. */
const want = (world: World, wishes: Partial<ShardCluster["spec"]>): Carried => {
  const { cluster } = world;
  const { generation, spec } = cluster;
  world.cluster = { ...cluster, generation: generation + 1, spec: { ...spec, ...wishes } };
  world.changed();
  return { what: JSON.stringify(wishes), mend: nothing };
};

const wantWriters = (world: World, writers: number): Carried => {
  world.isResized = true;
  const { readers } = world.cluster.spec;
  return want(world, { writers, readers: Math.max(readers, readersNeeded(world, writers)) });
};

/** Slots go only to a shard that has its readers in sync: nobody wishes for shards without any. */
const readersNeeded = ({ cluster, isResized }: World, writers: number): number =>
  isResized ? writers * cluster.spec.durability.minInSync : 0;

const isOwner = (world: World, { name }: SimPod): boolean =>
  ownershipOf(world)?.shards.some(({ owner }) => owner?.pod === name) ?? false;

/**
 * Whether somebody else is on record to hold everything that this pod holds. Who is about to go does not count: that it is on record no
 * more may be on its way.
 */
const isSpare = (world: World, { name }: SimPod): boolean => {
  const stays = (pod: string): boolean => {
    const other = world.pods.get(pod);
    return pod !== name && (other?.running ?? null) !== null && other?.deleting === false;
  };
  return (
    ownershipOf(world)?.shards.every(
      ({ owner, inSync, phase }) => phase.kind === "stable" && (owner?.pod !== name || inSync.some(stays)),
    ) ?? false
  );
};

const kill = (
  world: World,
  pod: SimPod,
  { forMs, isHeard }: { forMs: number; isHeard: boolean },
): Carried => {
  endPod(world, pod, { isHeard });
  world.changed();
  startLater(world, pod, forMs);
  return {
    what: pod.name,
    mend: () => {
      startLater(world, pod, 1);
    },
  };
};

const stop = (world: World, process: Process | undefined): Carried | null => {
  if (process === undefined) return null;
  pause(world, process);
  return {
    what: process.name,
    mend: () => {
      goOn(world, process);
    },
  };
};
