import type { ShardId } from "../../core/ids.ts";
import type { PodRef, Shard } from "../../core/topology.ts";
import type { Assignment, Observed, Session, ShardMemory } from "./model.ts";
import type { OwnerContext } from "./ownerPlan.ts";

/** Where nothing is remembered. */
const noMemory: ShardMemory = { grantMs: Infinity, phaseMs: 0, abortedMs: Infinity, told: null };

/** What each shard's owner is planned on: looked up once for all shards. */
export const contextsOf = (
  { cluster, ownership, departed, ended, memory, leadingMs }: Observed,
  seen: Pick<OwnerContext, "sessions" | "pods" | "away">,
): ((shard: Shard) => OwnerContext) => {
  const { name, spec, force } = cluster;
  const rules = {
    leaseMs: spec.failover.leaseSeconds * 1_000,
    automatic: spec.failover.automatic,
    ephemeral: spec.storage.ephemeral,
  };
  const goneMsOf = new Map(departed.map((one) => [nameOf(one), one.goneMs]));
  const processes = new Map(ownership?.processes.map((process) => [process.shard, process]));
  const readers = byShard(ownership?.assignments ?? []);
  const holders = heldByShard([...seen.sessions.values()]);
  const goneMs = (ref: PodRef): number => goneMsOf.get(nameOf(ref)) ?? Infinity;
  return ({ id, epoch }) => ({
    ...{ name, rules, ended, goneMs, leadingMs, ...seen },
    process: processes.get(id) ?? null,
    readers: readers.get(id) ?? [],
    holders: holders.get(id) ?? [],
    memory: memory.get(id) ?? noMemory,
    forced: force !== null && force.shard === id && force.epoch === epoch,
  });
};

const nameOf = ({ pod, incarnation }: PodRef): string => `${pod} ${incarnation}`;

const byShard = (assignments: readonly Assignment[]): ReadonlyMap<ShardId, readonly string[]> => {
  const pods = new Map<ShardId, string[]>();
  for (const { pod, shard } of assignments) {
    const readers = pods.get(shard);
    if (readers === undefined) pods.set(shard, [pod]);
    else readers.push(pod);
  }
  return pods;
};

const heldByShard = (sessions: readonly Session[]): ReadonlyMap<ShardId, readonly Session[]> => {
  const holders = new Map<ShardId, Session[]>();
  for (const session of sessions) {
    const { held } = session.report;
    if (held === null) continue;
    const others = holders.get(held.shard);
    if (others === undefined) holders.set(held.shard, [session]);
    else others.push(session);
  }
  return holders;
};
