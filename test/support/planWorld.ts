import { epoch, shardId, slotCount, version } from "../../core/ids.ts";
import type { MoveReport, ProcessId, Report } from "../../core/message.ts";
import type { Ledger, Observed, Ownership, Plan, Pod, Session } from "../../operator/plan/model.ts";
import { owningFields, reportFields } from "./fields.ts";
import { ordinalOf, readerPod, writerPod, type ShardCluster } from "../../operator/shardCluster.ts";

/** A cluster as the plan sees it, with everything that tests do not care about filled in. */
export const clusterOf = (writers: number, readers: number, name = "demo"): ShardCluster => ({
  namespace: "default",
  name,
  uid: "uid-1",
  generation: 1,
  force: null,
  spec: {
    writers,
    readers,
    image: "",
    reads: { lagMsMax: 2000 },
    storage: { ephemeral: true },
    durability: { fsync: "everysec", acks: "owner", minInSync: 0 },
    failover: { leaseSeconds: 2, automatic: true },
    rebalance: { paused: false, bytesPerSecondMax: "" },
    memory: { max: "", eviction: "noeviction" },
    template: {
      labels: {},
      annotations: {},
      nodeSelector: {},
      tolerations: [],
      affinity: null,
      resources: null,
      imagePullPolicy: null,
      imagePullSecrets: [],
      priorityClassName: "",
    },
  },
});

/** Nothing is known of any slot or move yet. */
const ledgerFields: Ledger = {
  slotBytes: new Float64Array(slotCount).fill(NaN),
  moves: new Map(),
  wallMs: 1e12,
};

export type Serving = Report["serving"];
export const owning = (shard: number, at: number): Extract<Serving, { kind: "owner" }> => ({
  ...owningFields,
  shard: shardId(shard),
  epoch: epoch(at),
});
export const reading = (
  shard: number,
  state: "connecting" | "copying" | "streaming",
  ...[lagMs = 0, at = 1]: readonly [lagMs?: number, epoch?: number]
): Serving => ({
  kind: "reader",
  shard: shardId(shard),
  epoch: epoch(at),
  state,
  copied: 0,
  copyTotal: 0,
  lag: { versions: 0, bytes: 0, ms: lagMs },
  heardMs: null,
});

export type SessionFields = {
  readonly incarnation?: string;
  readonly serving?: Serving;
  readonly version?: number;
  readonly leaving?: boolean;
  readonly node?: string;
  readonly zone?: string;
  readonly ageMs?: number;
  readonly silentMs?: number;
  /** Of the pod; the process started at `startedAtMs`, or as its incarnation says: first, second, third. */
  readonly uid?: string;
  readonly startedAtMs?: number;
  /** Those that had its volume before, and are known to have ended or not. */
  readonly ended?: readonly ProcessId[];
  readonly had?: readonly ProcessId[];
  readonly promised?: Report["promised"];
  readonly topology?: Report["topology"];
};

const incarnations = ["first", "second", "third"];

export const sessionOf = (pod: string, fields: SessionFields = {}): Session => {
  const {
    incarnation = "first",
    serving = { kind: "nothing" },
    leaving = false,
    node = "",
    zone = "",
  } = fields;
  const home = pod.includes("-write-") ? "writer" : "reader";
  return {
    pod,
    incarnation,
    ageMs: fields.ageMs ?? 60_000,
    slotSizes: null,
    silentMs: fields.silentMs ?? 0,
    registered: {
      home,
      node,
      zone,
      uid: fields.uid ?? `uid of ${pod}`,
      startedAtMs: fields.startedAtMs ?? 1_000 * (1 + incarnations.indexOf(incarnation)),
      ended: [...(fields.ended ?? [])],
      had: [...(fields.had ?? [])],
      address: { host: "10.0.0.1", client: 1, replication: 2, http: 3, resp: 4 },
    },
    report: {
      pod,
      incarnation,
      home,
      serving,
      leaving,
      held: heldOf(serving, fields.version ?? 0),
      version: version(fields.version ?? 0),
      keys: 0,
      bytes: 0,
      readers: [],
      ...reportFields,
      promised: fields.promised ?? null,
      topology: fields.topology ?? null,
    },
  };
};

/** Version 0: nothing whole. Whoever serves nothing holds shard 0. */
const heldOf = (serving: Report["serving"], at: number): Report["held"] => {
  const isPart = serving.kind === "reader" && serving.state === "copying";
  if (at === 0 || isPart) return null;
  const shard = serving.kind === "nothing" ? shardId(0) : serving.shard;
  return { shard, epoch: serving.kind === "nothing" ? epoch(1) : serving.epoch, version: version(at) };
};

export const podOf = (name: string, node = "", zone = ""): Pod => ({
  name,
  uid: `uid of ${name}`,
  home: name.includes("-write-") ? "writer" : "reader",
  ordinal: ordinalOf(name),
  node,
  zone,
  deleting: false,
  problem: null,
  deadBeforeMs: 0,
});

export const observedOf = (cluster: ShardCluster, seen: Partial<Observed> = {}): Observed => ({
  cluster,
  ownership: null,
  pods: [],
  sessions: [],
  workload: null,
  departed: [],
  memory: new Map(),
  ended: new Set(),
  outdated: null,
  leadingMs: 60_000,
  ledger: ledgerFields,
  ...seen,
});

/** What is seen after a plan was carried out and everybody did what it said. Readers that follow a shard hold its data. */
export const carriedOut = (observed: Observed, { ownership, workload }: Plan, nodeOf: NodeOf): Observed => {
  const { name } = observed.cluster;
  const names = [
    ...Array.from({ length: workload.writers }, (_, i) => writerPod(name, i)),
    ...Array.from({ length: workload.readers }, (_, i) => readerPod(name, i)),
  ];
  return {
    ...observed,
    ownership,
    workload,
    pods: names.map((pod) => podOf(pod, ...nodeOf(pod))),
    sessions: names.map((pod) => runningSession(pod, ownership, nodeOf)),
  };
};
/** Node and zone of a pod. */
export type NodeOf = (pod: string) => readonly [node: string, zone: string];

const runningSession = (pod: string, ownership: Ownership, nodeOf: NodeOf): Session => {
  const [node, zone] = nodeOf(pod);
  const owned = ownership.shards.find(({ owner }) => owner?.pod === pod);
  const assigned = ownership.assignments.find((assignment) => assignment.pod === pod);
  if (owned !== undefined) {
    const serving = { ...owning(owned.id, owned.epoch), moves: [...movesDone(ownership, owned.id)] };
    return sessionOf(pod, { node, zone, version: 7, serving });
  }
  if (assigned === undefined) return sessionOf(pod, { node, zone });
  return sessionOf(pod, { node, zone, version: 7, serving: reading(assigned.shard, "streaming") });
};

/** What an owner says whose moves have gone as far as they can at their stage. */
export const movesDone = ({ moves }: Ownership, shard: number): readonly MoveReport[] =>
  moves.flatMap(({ id, from, to, stage }): MoveReport[] => {
    if (from === shard) {
      const frozen = stage === "freezing" ? version(7) : null;
      return [{ kind: "source", id, keys: 10, bytes: 1_000, frozen }];
    }
    if (to !== shard) return [];
    const arrived = { keys: 10, bytes: 1_000, lag: 0, holds: version(7), problem: null };
    return [{ kind: "target", id, state: "following", ...arrived }];
  });

export type Readers = ReadonlyMap<number, readonly string[]>;
/** Readers by shard. */
export const readersByShard = (ownership: Ownership): Readers => {
  const readers = new Map<number, string[]>();
  for (const { pod, shard } of ownership.assignments)
    readers.set(shard, [...(readers.get(shard) ?? []), pod]);
  return readers;
};
