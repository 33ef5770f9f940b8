import { apiName } from "./world/api.ts";
import type { Seeded } from "./world/seeded.ts";
import type { World } from "./world/world.ts";

/** A fault that was carried out, and what takes it back. */
export type Carried = { readonly what: string; readonly mend: () => void };

/** Of all processes. */
export const namesOf = (world: World): readonly string[] => [
  ...world.pods.keys(),
  ...world.operators.keys(),
  ...world.clients,
];

export type Pair = readonly [from: string, to: string];
export const cutBetween = (name: string, others: readonly string[]): readonly Pair[] =>
  others.flatMap((other): readonly Pair[] => [
    [name, other],
    [other, name],
  ]);

/** One pair of processes, one way or both. */
export const anyPair = (random: Seeded, names: readonly string[], bothWays: boolean): readonly Pair[] => {
  const a = random.pick(names);
  const others = names.filter((name) => name !== a);
  if (others.length === 0) return [];
  const b = random.pick(others);
  return bothWays ? cutBetween(a, [b]) : [[a, b]];
};

export const cutPairs = (world: World, pairs: readonly Pair[]): Carried | null => {
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

/** These and nobody else hear of one another. */
export const cutIsland = (world: World, island: readonly string[]): Carried | null => {
  const beyond = [...namesOf(world), apiName].filter((name) => !island.includes(name));
  return cutPairs(
    world,
    island.flatMap((name) => cutBetween(name, beyond)),
  );
};
