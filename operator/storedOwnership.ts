import { ordinalOf, readerPod } from "./shardCluster.ts";
import type { Ownership } from "./plan/model.ts";
import { isFields, type Fields } from "./rules.ts";

/**
 * An ownership as it is stored: the object of a cluster of 1,000 shards and 10,000 readers stays below 1 MB, as etcd wants it,
 * because readers are numbers and members of S bear no more of their names than tells them apart.
 */
export const storedOwnership = (ownership: Ownership, name: string): Fields => {
  const { shards, assignments, ...rest } = ownership;
  const readers = new Map<number, number[]>();
  for (const { pod, shard } of assignments) {
    const ofShard = readers.get(shard);
    if (ofShard === undefined) readers.set(shard, [ordinalOf(pod)]);
    else ofShard.push(ordinalOf(pod));
  }
  return {
    ...rest,
    name,
    shardCount: shards.length,
    shards: shards.map((shard) => ({ ...shard, inSync: shard.inSync.map((pod) => shortened(pod, name)) })),
    assignments: [...readers].map(([shard, ordinals]) => ({ shard, readers: ordinals })),
  };
};

/** The same with all names whole, as the schema of an ownership wants it. What is stored in whole names already is left as it is. */
export const wholeNames = (spec: unknown): unknown => {
  if (!isFields(spec) || typeof spec["name"] !== "string") return spec;
  const { name, shards, assignments } = spec;
  const whole = { ...spec };
  if (Array.isArray(shards)) whole["shards"] = shards.map((shard: unknown) => withMembers(shard, name));
  if (Array.isArray(assignments)) {
    whole["assignments"] = assignments
      .flatMap((entry: unknown) => assignmentsOf(entry, name))
      .sort((a, b) => ordinalOf(a.pod) - ordinalOf(b.pod));
  }
  return whole;
};

const shortened = (pod: string, name: string): string =>
  pod.startsWith(`${name}-`) ? pod.slice(name.length + 1) : pod;

const withMembers = (shard: unknown, name: string): unknown => {
  if (!isFields(shard) || !Array.isArray(shard["inSync"])) return shard;
  const members: readonly unknown[] = shard["inSync"];
  const inSync = members.map((pod) =>
    typeof pod === "string" && /^(read|write)-\d+$/.test(pod) ? `${name}-${pod}` : pod,
  );
  return { ...shard, inSync };
};

type Entry = { readonly pod: string; readonly shard: unknown };
const assignmentsOf = (entry: unknown, name: string): readonly Entry[] => {
  if (!isFields(entry)) return [];
  const { shard, pod, readers } = entry;
  if (typeof pod === "string") return [{ pod, shard }];
  const ordinals: readonly unknown[] = Array.isArray(readers) ? readers : [];
  return ordinals.map((ordinal) => ({ pod: readerPod(name, Number(ordinal)), shard }));
};
