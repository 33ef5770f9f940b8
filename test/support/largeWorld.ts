import { epoch, shardId, version, type ShardId } from "../../core/ids.ts";
import type { Observed } from "../../operator/plan/model.ts";
import { plan } from "../../operator/plan/plan.ts";
import { readerPod, writerPod } from "../../operator/shardCluster.ts";
import { clusterOf, observedOf, owning, podOf, reading, sessionOf } from "./planWorld.ts";

/** A cluster of any size at rest: every owner serves in epoch 1, every reader is in sync. */
export const largeWorld = (writers: number, readers: number, name: string): Observed => {
  const cluster = clusterOf(writers, readers, name);
  const start = plan(observedOf(cluster)).ownership;
  const perShard = new Map<number, string[]>();
  const assignments = Array.from({ length: readers }, (_, i) => {
    const pod = readerPod(name, i);
    perShard.set(i % writers, [...(perShard.get(i % writers) ?? []), pod]);
    return { pod, shard: shardId(i % writers) };
  });
  const inSync = (shard: number): string[] => (perShard.get(shard) ?? []).sort();
  const shards = start.shards.map((shard) => ({
    ...shard,
    ...{ epoch: epoch(1), owner: { pod: writerPod(name, shard.id), incarnation: "0123456789abcdef" } },
    ...{ inSync: inSync(shard.id), syncSeq: 1_000_000 },
  }));
  const processes = shards.map(({ id }) => ({
    ...{ shard: id, epoch: epoch(1), uid: uidOf(writerPod(name, id)), startedAtMs: 1_795_000_000_000 },
    held: { epoch: epoch(1), version: version(7) },
  }));
  const serving = shards.map(({ id }) => ({
    ...owning(id, 1),
    sync: { seq: 1_000_000, members: inSync(id) },
  }));
  const writing = shards.map(({ id }, i) => {
    const pod = writerPod(name, id);
    const said = serving[i] ?? owning(id, 1);
    return sessionOf(pod, { incarnation: "0123456789abcdef", uid: uidOf(pod), version: 7, serving: said });
  });
  const following = assignments.map(({ pod, shard }) =>
    sessionOf(pod, { uid: uidOf(pod), version: 7, serving: reading(shard, "streaming") }),
  );
  const sessions = [...writing, ...following];
  return observedOf(cluster, {
    ownership: { ...start, shards, assignments, processes },
    workload: { writers, readers },
    pods: sessions.map(({ pod }) => ({ ...podOf(pod, `node-${pod.length % 7}`), uid: uidOf(pod) })),
    sessions,
  });
};

/** As long as the uids of Kubernetes. */
const uidOf = (pod: string): string =>
  `00000000-0000-4000-8000-${pod}`.slice(0, 24) + pod.slice(-12).padStart(12, "0");

/** The same where a shard's owner is known to have ended. */
export const ownerGone = (world: Observed, shard: ShardId): Observed => {
  const owner = world.ownership?.shards.find(({ id }) => id === shard)?.owner?.pod ?? "";
  return {
    ...world,
    sessions: world.sessions.filter(({ pod }) => pod !== owner),
    ended: new Set([uidOf(owner)]),
  };
};
