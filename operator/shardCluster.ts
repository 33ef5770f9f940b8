import type { Acks, Eviction, Fsync } from "../core/settings.ts";

/** The ShardCluster resource as the operator sees it: defaulted and validated (schema.ts), whichever way it came. */
export type ShardCluster = {
  readonly namespace: string;
  readonly name: string;
  /** UID of the object; the cluster id of everything that belongs to it. */
  readonly uid: string;
  readonly generation: number;
  /** A person wants another owner for this shard, whatever is lost, if it is still in this epoch. Annotation `edis.dev/force-failover`. */
  readonly force: { readonly shard: number; readonly epoch: number } | null;
  readonly spec: ShardClusterSpec;
};

export type ShardClusterSpec = {
  /** Write shards: pods of StatefulSet `<name>-write`. 1 to 1,024. */
  readonly writers: number;
  /** Read replicas in all: pods of StatefulSet `<name>-read`. 0 to 10,000. */
  readonly readers: number;
  /** Image of the shard pods; empty: the operator's own default. */
  readonly image: string;
  readonly reads: {
    /** A reader further behind than this leaves the rotation of eventual reads. Milliseconds. */
    readonly lagMsMax: number;
  };
  readonly storage: Storage;
  readonly durability: {
    readonly fsync: Fsync;
    /** When a write is answered: durable at the owner, or at its in-sync readers as well. */
    readonly acks: Acks;
    /** With `inSync`: fewer readers in sync than this, and writes are refused. */
    readonly minInSync: number;
  };
  readonly failover: {
    /** How long a lease holds. */
    readonly leaseSeconds: number;
    /** Whether an in-sync reader takes the place of an owner that is gone without a person's word. */
    readonly automatic: boolean;
  };
  readonly rebalance: {
    /** No move of slots is begun, those that copy are taken out; those that are frozen are brought to their end. */
    readonly paused: boolean;
    /** What moves may send in a second, from each shard: a Kubernetes quantity. Empty: no bound. */
    readonly bytesPerSecondMax: string;
  };
  readonly memory: {
    /** What each pod may hold: a Kubernetes quantity. Empty: what its container allows. */
    readonly max: string;
    readonly eviction: Eviction;
  };
  /** Laid over the pods. Checked by the API server, passed on as it is. */
  readonly template: PodTemplate;
};

export type Storage =
  | { readonly ephemeral: true }
  | {
      readonly ephemeral: false;
      /** A Kubernetes quantity. */
      readonly size: string;
      /** Empty: the cluster's default class. */
      readonly storageClassName: string;
      /** What happens to the volumes when the ShardCluster is deleted. */
      readonly whenDeleted: "Retain" | "Delete";
    };

export type PodTemplate = {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly unknown[];
  readonly affinity: Readonly<Record<string, unknown>> | null;
  readonly resources: Readonly<Record<string, unknown>> | null;
  readonly imagePullPolicy: "Always" | "IfNotPresent" | "Never" | null;
  readonly imagePullSecrets: readonly { readonly name: string }[];
  readonly priorityClassName: string;
};

/** What `kubectl get` and `kubectl describe` show. Derived in every reconcile, never read back as truth. */
export type ShardClusterStatus = {
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly writers: { readonly wanted: number; readonly ready: number };
  readonly readers: { readonly wanted: number; readonly ready: number };
  /** `ready/wanted`, for the printer columns. */
  readonly writersReady: string;
  readonly readersReady: string;
  /** Slots whose owner serves, of 16384. */
  readonly slotsServed: number;
  /** `5/6`: pods that were made from the template as it is now and serve. */
  readonly upToDate: string;
  /** Pods of the read StatefulSet and their label selector, for the scale subresource. */
  readonly replicas: number;
  readonly selector: string;
  readonly shards: readonly ShardStatus[];
  /** Slots on their way; null where every slot is where it is to be. */
  readonly rebalance: RebalanceStatus | null;
  /** `37%` of the slots that are to move have moved; empty where none is to. */
  readonly moving: string;
};

export type RebalanceStatus = {
  /** For how many writers the slots are levelled. */
  readonly writers: number;
  /** When it began. */
  readonly since: string;
  readonly slotsDone: number;
  readonly slotsInAll: number;
  /** Keys and bytes that have arrived, of those that are to move as far as is known. */
  readonly keysDone: number;
  readonly keysInAll: number;
  readonly bytesDone: number;
  readonly bytesInAll: number;
  /** Since it began. */
  readonly bytesPerSecond: number;
  /** -1 where it cannot be told. */
  readonly etaSeconds: number;
  /** Those under way. */
  readonly moves: readonly MoveStatus[];
  /** Why nothing moves; empty where something does. */
  readonly waitingFor: string;
  readonly lastError: string;
};
export type MoveStatus = {
  readonly from: number;
  readonly to: number;
  readonly slots: number;
  readonly stage: string;
  readonly keys: number;
  readonly keysInAll: number;
  readonly bytes: number;
  readonly bytesInAll: number;
};

export type ShardStatus = {
  readonly id: number;
  readonly epoch: number;
  readonly owner: string;
  /** Who would take over without losing anything. */
  readonly inSync: readonly string[];
  /** What is under way: stable, fencing or handover. */
  readonly phase: string;
  readonly slots: number;
  readonly keys: number;
  readonly readers: readonly string[];
  /** Of the reader that is furthest behind; -1 where none is known. */
  readonly lagMs: number;
};

export type Condition = {
  readonly type: "Ready" | "Progressing" | "Degraded" | "Rebalancing";
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
};

export const writerPod = (name: string, ordinal: number): string => `${name}-write-${ordinal}`;
export const readerPod = (name: string, ordinal: number): string => `${name}-read-${ordinal}`;

export const isReaderPod = (pod: string): boolean => /-read-[0-9]+$/.test(pod);

/** The number behind the last dash of a StatefulSet pod's name. */
export const ordinalOf = (pod: string): number => Number(pod.slice(pod.lastIndexOf("-") + 1));

/** `namespace/name`. */
export const keyOf = ({ namespace, name }: { readonly namespace: string; readonly name: string }): string =>
  `${namespace}/${name}`;
