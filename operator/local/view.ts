import { countSlots, type Member, type MemberState, type Shard } from "../../core/topology.ts";
import type { ClusterView } from "../info/info.ts";
import type { Session } from "../plan/model.ts";
import { ordinalOf, type Condition, type MoveStatus } from "../shardCluster.ts";
import type { ProcessView } from "./processes.ts";

/** One cluster as it is shown to people. */
export type LocalCluster = {
  /** `namespace/name`. */
  readonly cluster: string;
  readonly conditions: readonly Condition[];
  /** Slots on their way, one entry for each move; empty where none is. */
  readonly moves: readonly MoveStatus[];
  readonly shards: readonly LocalShard[];
  /** Processes that serve no shard, or none yet. */
  readonly others: readonly LocalPod[];
};
export type LocalShard = {
  readonly id: number;
  readonly epoch: number;
  readonly slots: number;
  /** `0-5460`. */
  readonly ranges: string;
  readonly owner: LocalPod | null;
  /** How its owner is being changed, in words; null where it is not. */
  readonly change: string | null;
  readonly keys: number;
  readonly readers: readonly LocalPod[];
};
export type LocalPod = {
  readonly pod: string;
  readonly pid: number | null;
  readonly restarts: number;
  readonly state: MemberState | "gone";
  readonly lagMs: number | null;
};

/** Joins what info knows with the processes. Pure. */
export const localCluster = (
  { key, topology, sessions, status }: ClusterView,
  processes: readonly ProcessView[],
): LocalCluster => {
  const byPod = new Map(sessions.map((session) => [session.pod, session]));
  const members = new Map(topology?.members.map((member) => [member.pod, member]) ?? []);
  const running = new Map(processes.filter((one) => one.key === key).map((one) => [one.pod, one]));
  const podOf = (pod: string): LocalPod => localPod(pod, members.get(pod), { byPod, running });
  const shards = (topology?.shards ?? []).map((shard): LocalShard => {
    const owner = shard.owner?.pod ?? null;
    // Whoever follows it: while a reader owns, its home writer as well.
    const readers = (topology?.members ?? []).filter(
      ({ pod, shard: its }) => its === shard.id && pod !== owner,
    );
    return {
      id: shard.id,
      epoch: shard.epoch,
      slots: countSlots(shard.slots),
      ranges: rangesText(shard),
      owner: owner === null ? null : podOf(owner),
      change: changeText(shard),
      keys: (owner === null ? undefined : byPod.get(owner)?.report.keys) ?? 0,
      readers: readers.map(({ pod }) => podOf(pod)).sort(byOrdinal),
    };
  });
  const shown = new Set(
    shards.flatMap(({ owner, readers }) => [owner?.pod, ...readers.map(({ pod }) => pod)]),
  );
  return {
    cluster: key,
    conditions: status?.conditions ?? [],
    moves: status?.rebalance?.moves ?? [],
    shards,
    others: [...running.keys()]
      .filter((pod) => !shown.has(pod))
      .map(podOf)
      .sort(byOrdinal),
  };
};

const localPod = (
  pod: string,
  member: Member | undefined,
  known: { readonly byPod: ReadonlyMap<string, Session>; readonly running: ReadonlyMap<string, ProcessView> },
): LocalPod => {
  const serving = known.byPod.get(pod)?.report.serving;
  const process = known.running.get(pod);
  return {
    pod,
    pid: process?.pid ?? null,
    restarts: process?.restarts ?? 0,
    state: member?.state ?? (process?.pid === null || process === undefined ? "gone" : "starting"),
    lagMs: serving?.kind === "reader" ? Math.round(serving.lag.ms) : null,
  };
};

const changeText = ({ phase }: Shard): string | null => {
  switch (phase.kind) {
    case "stable":
      return null;
    case "fencing":
      return "a new owner is being chosen";
    case "handover":
      return `being handed over to ${phase.to.pod}`;
  }
};

const rangesText = ({ slots }: Shard): string =>
  slots.length === 0 ? "none" : slots.map(([from, to]) => `${from}-${to}`).join(",");
const byOrdinal = (a: LocalPod, b: LocalPod): number => ordinalOf(a.pod) - ordinalOf(b.pod);
