import { ordinalOf, writerPod } from "../shardCluster.ts";
import type { Ownership } from "./model.ts";

/** So many shards have a pod made anew at a time: a share of all, and never more than this. */
const shardsAtOnceMax = 8;
const shardsPerOneAtOnce = 8;

export const shardsAtOnce = (shards: number): number =>
  Math.min(shardsAtOnceMax, Math.ceil(shards / shardsPerOneAtOnce));

/**
 * In which order a rolling change (rollout.ts) makes these pods anew: readers first, of a shard one after the other, one that owns
 * its shard last of them; then readers that have no shard; then writers. Which shard's reader is next depends on who is in sync
 * again first; as many shards as `shardsAtOnce` says go on side by side, once the first pod of a kind has come up.
 */
export const restartOrder = (
  name: string,
  { shards, assignments }: Pick<Ownership, "shards" | "assignments">,
  pods: readonly string[],
): readonly string[] => {
  const restarted = new Set(pods);
  const readers = shards.map((): string[] => []);
  for (const { pod, shard } of assignments) if (restarted.has(pod)) readers[shard]?.push(pod);
  const writers = shards.map(({ id }) => writerPod(name, id)).filter((pod) => restarted.has(pod));
  const shardReaders = shards.flatMap(({ id, owner }) => {
    const own = readers[id] ?? [];
    return [...own.filter((pod) => pod !== owner?.pod), ...own.filter((pod) => pod === owner?.pod)];
  });
  const listed = new Set([...shardReaders, ...writers]);
  const spare = pods.filter((pod) => !listed.has(pod)).sort((a, b) => ordinalOf(a) - ordinalOf(b));
  return [...shardReaders, ...spare, ...writers];
};
