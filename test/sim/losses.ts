import { cutIsland, cutPairs, type Carried } from "./cuts.ts";
import {
  apart,
  awayApi,
  backApi,
  both,
  inSteps,
  leaderOf,
  readerPods,
  readersOf,
  type Around,
} from "./storySteps.ts";
import { ownershipOf } from "./world/ownership.ts";
import { endOperator, endPod, losePower, startLater, type SimPod, type World } from "./world/world.ts";

/**
 * Stories about who is made owner: what was acknowledged is lost where that is somebody who does not hold it, as his being in
 * sync was believed too early, too long, or of the wrong one. Whoever ends here comes back once everything is mended.
 */
export type LossKind =
  | "deafReaders"
  | "unrecordedShrink"
  | "slowReaders"
  | "ownersInTurn"
  | "slowHeir"
  | "sameEpoch"
  | "laggardAlone"
  | "formerOwnerAsks"
  | "laggingReaders";

export const tellLoss = (world: World, kind: LossKind, { owner, random }: Around): Carried | null => {
  const readers = readerPods(world);
  const [reader, other] = random.chance(0.5) ? readers : [...readers].reverse();
  if (reader === undefined) return null;
  const deafen = (): Carried | null =>
    cutPairs(
      world,
      readersOf(world).map((name) => [owner.name, name]),
    );
  switch (kind) {
    // Nothing of what the owner writes gets to those who are in sync; then it ends.
    case "deafReaders":
      return inSteps(world, kind, [
        [0, deafen],
        [random.between(40, 300), () => ended(world, [owner])],
      ]);
    // The owner loses sight of its readers in the moment in which nobody can record that; then it ends.
    case "unrecordedShrink":
      return inSteps(world, kind, [
        [0, () => both(awayApi(world), apart(world, [owner.name], readersOf(world)))],
        [random.between(1_300, 1_700), () => both(ended(world, [owner]), backApi(world))],
      ]);
    // Readers are there, and hold nothing of it for sure: the owner goes on without them, and ends. They lose power.
    case "slowReaders":
      return inSteps(world, kind, [
        [0, () => slowDisks(readers)],
        [random.between(1_800, 2_300), () => both(ended(world, [owner]), outOfPower(world, readers, random))],
      ]);
    // Who takes the owner's place never hears of the other reader, and ends as well.
    case "ownersInTurn":
      return other === undefined
        ? null
        : inSteps(world, kind, [
            [0, () => both(apart(world, [reader.name], [other.name]), ended(world, [owner]))],
            [random.between(500, 900), () => ended(world, owners(world))],
          ]);
    // Who fell behind under the former owner copies from the next one, slowly; that one ends.
    case "slowHeir":
      return other === undefined ? null : slowHeir(world, reader, { owner, random });
    // The owner's process starts anew, nothing of its epoch is on its volume, and nobody can record another epoch yet.
    case "sameEpoch":
      return inSteps(world, kind, [
        [0, () => both(awayApi(world), outOfPower(world, [owner], random))],
        [1_500, () => backApi(world)],
      ]);
    // Only a reader is left that fell behind long ago.
    case "laggardAlone":
      return other === undefined
        ? null
        : inSteps(world, kind, [
            [0, () => apart(world, [owner.name], [reader.name])],
            [random.between(1_800, 2_300), () => ended(world, [owner, other])],
          ]);
    // The former owner, which has heard of nothing, finds an operator that has just begun to lead, and not heard of the present
    // one. It takes seconds until it gives its connection to the last one up.
    case "formerOwnerAsks":
      return formerOwnerAsks(world, { owner, random });
    // They are asked by sessions that have seen what they have not.
    case "laggingReaders":
      return deafen();
  }
};

const slowHeir = (world: World, heir: SimPod, { owner, random }: Around): Carried => {
  const atMs = random.between(1_500, 1_900);
  const slowed = (): null => {
    const isNext = owners(world).some((pod) => pod !== owner);
    if (isNext) heir.volume.slowMs = 3_000;
    else world.timeline.at(world.timeline.nowMs() + 2, null, () => void slowed());
    return null;
  };
  return inSteps(world, "slowHeir", [
    [0, () => apart(world, [owner.name], [heir.name])],
    [
      atMs,
      () => {
        const carried = ended(world, [owner]);
        slowed();
        return carried;
      },
    ],
    [
      atMs + random.between(450, 900),
      () => both(ended(world, owners(world)), outOfPower(world, [heir], random)),
    ],
  ]);
};

const formerOwnerAsks = (world: World, { owner }: Around): Carried | null => {
  const leader = world.operators.get(leaderOf(world) ?? "");
  if (leader === undefined) return null;
  const next = [...world.operators.keys()].filter((name) => name !== leader.name);
  return inSteps(world, "formerOwnerAsks", [
    [0, () => cutIsland(world, [owner.name, ...world.clients.slice(0, 1)])],
    [
      1_700,
      () => {
        endOperator(world, leader);
        for (const name of next) {
          world.network.mend(owner.name, name);
          world.network.mend(name, owner.name);
        }
        return apart(
          world,
          owners(world).map(({ name }) => name),
          next,
        );
      },
    ],
  ]);
};

/** Pods that the record names. */
const owners = (world: World): readonly SimPod[] =>
  (ownershipOf(world)?.shards ?? []).flatMap((shard) => world.pods.get(shard.owner?.pod ?? "") ?? []);

const ended = (world: World, pods: readonly SimPod[]): Carried => {
  for (const pod of pods) endPod(world, pod, { isHeard: true });
  world.changed();
  return said("no", pods);
};

const outOfPower = (world: World, pods: readonly SimPod[], random: Around["random"]): Carried => {
  for (const pod of pods) {
    losePower(pod, random);
    endPod(world, pod, { isHeard: true });
    startLater(world, pod, 20);
  }
  world.changed();
  return said("no power at", pods);
};

const slowDisks = (pods: readonly SimPod[]): Carried => {
  for (const { volume } of pods) volume.slowMs = 3_000;
  return {
    ...said("slow disks of", pods),
    mend: () => {
      for (const { volume } of pods) volume.slowMs = 0;
    },
  };
};

const said = (what: string, pods: readonly SimPod[]): Carried => ({
  what: `${what} ${pods.map(({ name }) => name).join(" ")}`,
  mend: () => undefined,
});
