import { cutBetween, cutPairs, type Carried } from "./cuts.ts";
import type { Seeded } from "./world/seeded.ts";
import { endPod, startLater, type SimPod, type World } from "./world/world.ts";

/** What stories are made of. */

export type Around = { readonly owner: SimPod; readonly random: Seeded };

/** Nobody of the one group hears of any of the other. */
export const apart = (world: World, some: readonly string[], others: readonly string[]): Carried | null =>
  cutPairs(
    world,
    some.flatMap((name) => cutBetween(name, others)),
  );

type Step = readonly [afterMs: number, carryOut: () => Carried | null];

/** Each at its time after the first; what is not over then is taken back together. */
export const inSteps = (world: World, what: string, steps: readonly Step[]): Carried => {
  const carried: Carried[] = [];
  let isOver = false;
  for (const [afterMs, carryOut] of steps) {
    const step = (): void => {
      if (isOver) return;
      const done = carryOut();
      if (done === null) return;
      world.trace("fault", `${what}: ${done.what}`);
      carried.push(done);
    };
    if (afterMs === 0) step();
    else world.timeline.at(world.timeline.nowMs() + afterMs, null, step);
  }
  return {
    what,
    mend: () => {
      isOver = true;
      for (const { mend } of carried) mend();
    },
  };
};

export const both = (a: Carried | null, b: Carried | null): Carried => ({
  what: [a?.what, b?.what].filter((what) => what !== undefined).join(" "),
  mend: () => {
    a?.mend();
    b?.mend();
  },
});

export const awayApi = (world: World): Carried => {
  world.api.isAway = true;
  return { what: "no API", mend: () => void backApi(world) };
};

export const backApi = (world: World): null => {
  world.api.isAway = false;
  world.api.slowMs = 0;
  return null;
};

export const readerPods = (world: World): readonly SimPod[] =>
  [...world.pods.values()].filter(({ home, running }) => home === "reader" && running !== null);
export const readersOf = (world: World): readonly string[] => readerPods(world).map(({ name }) => name);

export const restartReaders = (world: World, ms: number): Carried => {
  const pods = readerPods(world);
  for (const pod of pods) {
    endPod(world, pod, { isHeard: true });
    startLater(world, pod, ms);
  }
  world.changed();
  return { what: pods.map(({ name }) => name).join(" "), mend: () => undefined };
};
