/** Numbers from a seed: the same seed, the same numbers. */
export type Random = { readonly below: (n: number) => number; readonly pick: <T>(from: readonly T[]) => T };

export const randomFrom = (seed: number): Random => {
  let state = seed >>> 0;
  const below = (n: number): number => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
  return {
    below,
    pick: (from) => {
      const found = from[below(from.length)];
      if (found === undefined) throw new Error("nothing to pick from");
      return found;
    },
  };
};
