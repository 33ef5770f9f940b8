import type { ShardClusterSpec } from "../shardCluster.ts";

/** What of a wish is told to the processes, and changes neither how many there are nor what they are made from. */
const told = ["reads", "durability", "failover", "rebalance", "memory", "storage"] as const;

type Why = { readonly reason: string; readonly message: string };

/** One sentence for each setting that is another. */
export const settingsChanged = (before: ShardClusterSpec, after: ShardClusterSpec): Why[] =>
  told.flatMap((part) => {
    const [had, has] = [fieldsOf(before[part]), fieldsOf(after[part])];
    return [...new Set([...had.keys(), ...has.keys()])].flatMap((name) => {
      const [from, to] = [had.get(name), has.get(name)];
      if (from === to) return [];
      return [{ reason: "Setting", message: `${part}.${name}: from ${shown(from)} to ${shown(to)}` }];
    });
  });

const fieldsOf = (part: object): ReadonlyMap<string, unknown> => new Map(Object.entries(part));

const shown = (value: unknown): string =>
  value === undefined || value === "" ? "nothing" : typeof value === "string" ? value : JSON.stringify(value);
