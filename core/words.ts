/** Figures and names as people read them. */

const namedMax = 4;

/** Names in a sentence; where there are many, the first few and how many more. */
export const several = (names: readonly string[]): string => {
  if (names.length <= 1) return names[0] ?? "none";
  if (names.length > namedMax) {
    return `${names.slice(0, namedMax - 1).join(", ")} and ${names.length - namedMax + 1} more`;
  }
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`;
};

/** `1 writer`, `3 writers`. */
export const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;

export const mebibytes = (bytes: number): string => {
  const mebi = bytes / 2 ** 20;
  return mebi >= 10_240
    ? `${Math.round(mebi / 1024)} GiB`
    : `${mebi < 10 ? mebi.toFixed(1) : Math.round(mebi)} MiB`;
};
