import { cutBetween, cutIsland, cutPairs, namesOf, type Carried } from "./cuts.ts";
import {
  apart,
  awayApi,
  backApi,
  both,
  inSteps,
  leaderOf,
  readersOf,
  restartReaders,
  type Around,
} from "./storySteps.ts";
import { endOperator, remakePod, restartOperator, type World } from "./world/world.ts";

/**
 * What goes wrong in several steps, each at its time, as chance hardly ever has it: each is about one rule of docs/ownership.md,
 * and shows what comes of leaving it out. An owner and one client that hears of nobody else are always part of it: the client
 * reads what the owner would answer if it did not know better.
 */
export type StoryKind =
  | "islandForGood"
  | "ownerAndLeaderIsland"
  | "lateGrants"
  | "restartBesideIsland"
  | "restartUnrecorded"
  | "forgottenGrants"
  | "handoverIsland"
  | "deafHeirs"
  | "readersAway";

export const tellStory = (world: World, kind: StoryKind, around: Around): Carried | null => {
  const { owner, random } = around;
  const island = [owner.name, ...world.clients.slice(0, 1)];
  switch (kind) {
    // The owner, and all that it is told, on one side; the others go on without it.
    case "islandForGood":
      return inSteps(world, kind, [[0, () => cutIsland(world, island)]]);
    // The operator that leads is with the owner, and cannot know that another leads by now.
    case "ownerAndLeaderIsland": {
      const leader = leaderOf(world);
      return leader === null ? null : cutIsland(world, [...island, leader]);
    }
    // Grants come in the moment in which the way back from the readers is there again, long after they were asked for.
    case "lateGrants":
      return lateGrants(world, around);
    // The owner has its lease from its readers alone; they start anew in the moment in which it is cut off from them.
    case "restartBesideIsland":
      return inSteps(world, kind, [
        [0, () => apart(world, island, [...world.operators.keys()])],
        [random.between(1_300, 1_700), () => both(cutIsland(world, island), restartReaders(world, 20))],
      ]);
    // A member starts anew, of which nobody can record that it was gone; the owner is cut off in the moment before it is granted anything.
    case "restartUnrecorded":
      return inSteps(world, kind, [
        [0, () => apart(world, island, [...world.operators.keys()])],
        [20, () => restartReaders(world, 10)],
        [20 + random.between(18, 24), () => cutIsland(world, island)],
      ]);
    // Only the operator grants, and nobody can record that no reader does; then it ends, and another does not know of its grants.
    case "forgottenGrants":
      return forgottenGrants(world, around);
    // A handover in whose middle nothing reaches the former owner any more.
    case "handoverIsland":
      world.api.slowMs = 100;
      remakePod(world, owner);
      return inSteps(world, kind, [
        [random.between(150, 450), () => cutIsland(world, island)],
        [1_500, () => backApi(world)],
      ]);
    // A handover to one that nothing reaches any more.
    case "deafHeirs":
      world.api.slowMs = 100;
      remakePod(world, owner);
      return inSteps(world, kind, [
        [
          random.between(20, 300),
          () =>
            cutPairs(
              world,
              readersOf(world).map((reader) => [owner.name, reader]),
            ),
        ],
        [1_500, () => backApi(world)],
      ]);
    case "readersAway":
      return apart(world, [owner.name], readersOf(world));
  }
};

const lateGrants = (world: World, { owner }: Around): Carried | null => {
  const [client = ""] = world.clients;
  const island = [owner.name, client];
  const others = namesOf(world).filter((name) => !island.includes(name));
  const readers = readersOf(world);
  return inSteps(world, "lateGrants", [
    [
      0,
      () =>
        both(
          // It is heard still; what is said to it waits.
          cutPairs(
            world,
            others.map((other) => [other, owner.name]),
          ),
          cutPairs(world, cutBetween(client, others)),
        ),
    ],
    [250, () => cutIsland(world, island)],
    [
      3_000,
      () => {
        for (const reader of readers) world.network.mend(reader, owner.name);
        return null;
      },
    ],
  ]);
};

const forgottenGrants = (world: World, { owner }: Around): Carried | null => {
  const [client = ""] = world.clients;
  const operator = [...world.operators.values()].find(({ running }) => running !== null);
  if (operator === undefined) return null;
  // Nobody else writes there any more: a read waits for what is not acknowledged yet.
  const others = [...readersOf(world), ...world.clients.filter((one) => one !== client)];
  return inSteps(world, "forgottenGrants", [
    [0, () => both(awayApi(world), apart(world, [owner.name], others))],
    [
      1_800,
      () => {
        endOperator(world, operator);
        restartOperator(world, operator, 100);
        backApi(world);
        return cutIsland(world, [owner.name, client]);
      },
    ],
  ]);
};
