import type { Epoch, MapVersion, ShardId } from "../../core/ids.ts";
import type { Register, Report, SlotSizes } from "../../core/message.ts";
import type { Place } from "../../core/request.ts";
import type { Move, PodRef, Shard, SlotRange, Stamp } from "../../core/topology.ts";
import type { ShardCluster } from "../shardCluster.ts";

/** What is kept in the ShardTopology object: changed only by the operator, only by compare-and-set. */
export type Ownership = {
  readonly clusterId: string;
  readonly mapVersion: MapVersion;
  /** Index i holds shard i. */
  readonly shards: readonly Shard[];
  /** Which shard each reader pod replicates, by pod name. Sticky: a pod that comes back goes on with its shard. */
  readonly assignments: readonly Assignment[];
  /** Moves of slots that are under way, in the order of their ids. */
  readonly moves: readonly Move[];
  /** The id of the newest move there ever was. */
  readonly lastMove: number;
  /** Null where every slot is where it is to be. */
  readonly rebalance: Rebalance | null;
  /** No shard that is added begins below this epoch: one of its name that was removed had got that far. */
  readonly epochFloor: Epoch;
  /** Of each shard's owner, as far as it is known, in the order of the shards. */
  readonly processes: readonly OwnerProcess[];
};
/** What tells an owner's process from others that bore the name of its pod, and its data from other data. */
export type OwnerProcess = {
  readonly shard: ShardId;
  /** The epoch that it was named owner in. */
  readonly epoch: Epoch;
  readonly uid: string;
  readonly startedAtMs: number;
  /** What it held of the shard when it was named: its volume never holds less. Null: nothing. */
  readonly held: Place | null;
};

/**
 * Which slots are to be where, decided once, when it begins: each moves once, straight to its last owner, and whoever leads
 * next goes on. What is done and what is left follows from the map.
 */
export type Rebalance = {
  /** For how many writers the slots are levelled. */
  readonly writers: number;
  /** When it began: wall clock, milliseconds. */
  readonly sinceMs: number;
  /** Slots that are to have another owner; those that have it already stay listed. */
  readonly goals: readonly Goal[];
  /** Keys and bytes that have arrived, as their sources counted them. */
  readonly done: Amount;
  /** Why the last move that failed did; null where none did. */
  readonly problem: string | null;
};
export type Goal = { readonly to: ShardId; readonly slots: readonly SlotRange[] };
export type Amount = { readonly keys: number; readonly bytes: number };
export type Assignment = { readonly pod: string; readonly shard: ShardId };

/** One pod as the platform (Kubernetes, or the local runtime) shows it. */
export type Pod = {
  readonly name: string;
  /** What the platform calls it, other than any that bears its name before or after. */
  readonly uid: string;
  readonly home: "writer" | "reader";
  readonly ordinal: number;
  /** Empty where not known. */
  readonly node: string;
  readonly zone: string;
  readonly deleting: boolean;
  /** Why it does not come up, in words for people: `ImagePullBackOff: …`; null where nothing is wrong. */
  readonly problem: string | null;
  /** Every process of this pod that started before this has ended, by the wall clock of its node; 0 where none is known to have. Milliseconds. */
  readonly deadBeforeMs: number;
};

/** One shard process that is connected to info now. */
export type Session = PodRef & {
  readonly registered: Omit<Register, "kind">;
  /** Its newest heartbeat. */
  readonly report: Report;
  /** Milliseconds since this process start first registered. */
  readonly ageMs: number;
  /** What it last said of its slots; null where it has not yet. */
  readonly slotSizes: SlotSizes | null;
  /** Milliseconds since that heartbeat came. */
  readonly silentMs: number;
};
/** A process that was connected in this term, and is not now. */
export type Departed = PodRef & { readonly goneMs: number };

/** What the operator knows of a shard besides, from this term. Times are milliseconds since then. */
export type ShardMemory = {
  /** Info granted its owner a lease; Infinity: never. */
  readonly grantMs: number;
  /** Its epoch and phase are what they are. */
  readonly phaseMs: number;
  /** A handover of this shard was given up; Infinity: none was. */
  readonly abortedMs: number;
  /** The first topology that told of this epoch and phase; null where none did yet. */
  readonly told: Stamp | null;
};

/** Pods asked for: replicas of the two StatefulSets. */
export type Workload = { readonly writers: number; readonly readers: number };

export type Observed = {
  readonly cluster: ShardCluster;
  /** Null before the first plan. */
  readonly ownership: Ownership | null;
  readonly pods: readonly Pod[];
  readonly sessions: readonly Session[];
  readonly departed: readonly Departed[];
  /** By shard. Of a shard that is not in it nothing is known. */
  readonly memory: ReadonlyMap<ShardId, ShardMemory>;
  /** Null before the first apply. */
  readonly workload: Workload | null;
  /** Uids of pods that are gone and of which nothing runs any more: pods that are only gone may still run somewhere. */
  readonly ended: ReadonlySet<string>;
  /** Names of pods that are to be made anew, as what they are made from has changed since. Null while that is not known, or never. */
  readonly outdated: ReadonlySet<string> | null;
  /** Milliseconds since this operator began to lead: sessions it has not heard of yet may still come. */
  readonly leadingMs: number;
  readonly ledger: Ledger;
};

/** What is remembered from one look to the next, by whoever leads; see ledger.ts. */
export type Ledger = {
  /** Entry s is the bytes of slot s; NaN where nobody has told yet. */
  readonly slotBytes: Float64Array;
  /** By id of the move. */
  readonly moves: ReadonlyMap<number, MoveAge>;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
};
export type MoveAge = {
  /** Since it has been in its stage, as far as this leader saw. */
  readonly stageMs: number;
  /** Since anything of it last changed. */
  readonly idleMs: number;
  /** How often it was frozen, and then was not. */
  readonly thawed: number;
};

export type Plan = {
  readonly workload: Workload;
  /** The same object where nothing changes. */
  readonly ownership: Ownership;
  /** Slots are to move for the number of writers that is wished for, whether or not it is decided yet which. */
  readonly unlevelled: boolean;
  /** Wishes that are not carried out, and why. */
  readonly refusals: readonly Refusal[];
  /** Pods to be deleted now, so that they come back made anew. */
  readonly restarts: readonly PodId[];
  /** Null where no pod is outdated. */
  readonly rollout: Rollout | null;
  /** Shards without an owner that serves, and what is done or missing. */
  readonly troubles: readonly Trouble[];
  /** What a person would want to know, once, when it happens. */
  readonly events: readonly PlannedEvent[];
  /** Something is waited for that no change will tell of: plan again after this long. Null where nothing is. */
  readonly againMs: number | null;
};

/** One pod, and no other of its name. */
export type PodId = Pick<Pod, "name" | "uid">;

/** How far a rolling change has got. */
export type Rollout = {
  /** Pods that are as they are wanted, of `pods` in all. */
  readonly done: number;
  readonly pods: number;
  /** Pods that are being made anew. */
  readonly under: readonly string[];
  /** A pod that was made anew and does not come up: it stops there. */
  readonly stuck: { readonly pod: string; readonly problem: string } | null;
};

export type Trouble = {
  readonly shard: ShardId;
  readonly reason: "FailingOver" | "OwnerUnreachable" | "NothingToPromote";
  readonly message: string;
};
export type Refusal = { readonly reason: string; readonly message: string };
export type PlannedEvent = {
  readonly type: "Normal" | "Warning";
  /** UpperCamelCase. */
  readonly reason: string;
  readonly message: string;
};
