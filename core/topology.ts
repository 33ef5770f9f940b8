import {
  slot,
  slotCount,
  type Epoch,
  type MapVersion,
  type Revision,
  type ShardId,
  type Slot,
  type Term,
} from "./ids.ts";
import type { Settings } from "./settings.ts";

/** What everybody is told: who owns which slots, in which epoch, and where every pod is found. */
export type Topology = {
  /** UID of the ShardCluster: survives nothing but that object. */
  readonly clusterId: string;
  /** `namespace/name`, for people. */
  readonly cluster: string;
  /** Orders all topologies of a cluster: by term, then revision. */
  readonly term: Term;
  readonly revision: Revision;
  readonly mapVersion: MapVersion;
  /** A reader further behind than this leaves the rotation of eventual reads. Milliseconds. */
  readonly lagMsMax: number;
  readonly settings: Settings;
  /** Index i holds shard i. */
  readonly shards: readonly Shard[];
  /** Those under way, in the order of their ids. */
  readonly moves: readonly Move[];
  /** Every live pod, by name. */
  readonly members: readonly Member[];
};

/** One process start of one pod. */
export type PodRef = { readonly pod: string; readonly incarnation: string };
/** From and to, both included. */
export type SlotRange = readonly [from: Slot, to: Slot];

export type Shard = {
  readonly id: ShardId;
  readonly epoch: Epoch;
  /** The process that orders this shard's writes in `epoch`; null before the first one. */
  readonly owner: PodRef | null;
  /** The in-sync set as it is recorded: pods of which each holds everything acknowledged in this epoch, as the ack mode says. */
  readonly inSync: readonly string[];
  /** Which of the owner's statements of its in-sync set that is; 0 at the start of an epoch. */
  readonly syncSeq: number;
  readonly phase: Phase;
  /** In order, not touching. */
  readonly slots: readonly SlotRange[];
  /** The version of the map in which `slots` last changed: a copy that has not got that far does not answer for them. */
  readonly mapVersion: MapVersion;
};

export type Phase =
  | { readonly kind: "stable" }
  /** A failover: whoever hears of it promises to obey nobody below this epoch, the owner steps down. */
  | { readonly kind: "fencing"; readonly epoch: Epoch }
  /** A planned change of owner: the owner freezes, makes everything durable at `to`, and says so. */
  | { readonly kind: "handover"; readonly to: PodRef };

/**
 * Slots on their way from one shard to another. Theirs is `from` until one write of the ownership takes them over; meanwhile
 * the owner of `to` copies them into its own log, unserved. Both epochs must be the shards' own, else the move has ended.
 */
export type Move = {
  /** Never used twice in a cluster. */
  readonly id: number;
  readonly from: ShardId;
  readonly fromEpoch: Epoch;
  readonly to: ShardId;
  readonly toEpoch: Epoch;
  /** In order, not touching. */
  readonly slots: readonly SlotRange[];
  /** copying: served as ever; freezing: the source takes no writes to these slots, and says where its log ends. */
  readonly stage: "copying" | "freezing";
};

export type Home = "writer" | "reader";

/** One live pod: what it is at home, which shard it serves, where it listens. */
export type Member = PodRef & {
  readonly home: Home;
  /** The shard it owns or follows: of a home writer its own, of a reader the one it is assigned to; null while it has none. */
  readonly shard: ShardId | null;
  readonly state: MemberState;
  readonly address: Address;
  /** Kubernetes node and zone; empty where not known. */
  readonly node: string;
  readonly zone: string;
};

/** starting: no data to serve yet; copying: takes a full copy; serving: in the rotation; leaving: ends soon, not to be asked. */
export type MemberState = "starting" | "copying" | "serving" | "leaving";

export type Address = {
  readonly host: string;
  readonly client: number;
  readonly replication: number;
  readonly http: number;
  /** RESP: the port that speaks Redis Cluster's protocol. */
  readonly resp: number;
};

/** What turns topology `from` into `to`. Shards and members are given whole where they changed. */
export type TopologyChange = {
  readonly clusterId: string;
  readonly from: Stamp;
  readonly to: Stamp;
  readonly mapVersion: MapVersion;
  readonly lagMsMax: number;
  readonly settings: Settings;
  readonly shardCount: number;
  readonly shards: readonly Shard[];
  /** All that are under way. */
  readonly moves: readonly Move[];
  readonly members: readonly Member[];
  /** Names of pods that are gone. */
  readonly gone: readonly string[];
};
export type Stamp = { readonly term: Term; readonly revision: Revision };

/** Negative where a is older than b, 0 where they are one, positive where a is newer. */
export const compareStamps = (a: Stamp, b: Stamp): number => a.term - b.term || a.revision - b.revision;

/** What has to be told to one who holds `before`, so that he holds `after`. */
export const difference = (before: Topology, after: Topology): TopologyChange => {
  const members = new Map(before.members.map((member) => [member.pod, JSON.stringify(member)]));
  const present = new Set(after.members.map(({ pod }) => pod));
  return {
    clusterId: after.clusterId,
    from: { term: before.term, revision: before.revision },
    to: { term: after.term, revision: after.revision },
    mapVersion: after.mapVersion,
    lagMsMax: after.lagMsMax,
    settings: after.settings,
    shardCount: after.shards.length,
    shards: after.shards.filter((shard, i) => JSON.stringify(shard) !== JSON.stringify(before.shards[i])),
    moves: after.moves,
    members: after.members.filter((member) => members.get(member.pod) !== JSON.stringify(member)),
    gone: before.members.map(({ pod }) => pod).filter((pod) => !present.has(pod)),
  };
};

/** The topology after a change; undefined where the change does not start at this one: ask for a snapshot. */
export const patched = (before: Topology, change: TopologyChange): Topology | undefined => {
  if (change.clusterId !== before.clusterId || compareStamps(change.from, before) !== 0) return undefined;
  const shards = before.shards.slice(0, change.shardCount);
  for (const shard of change.shards) shards[shard.id] = shard;
  const members = new Map(before.members.map((member) => [member.pod, member]));
  for (const pod of change.gone) members.delete(pod);
  for (const member of change.members) members.set(member.pod, member);
  return {
    ...before,
    term: change.to.term,
    revision: change.to.revision,
    mapVersion: change.mapVersion,
    lagMsMax: change.lagMsMax,
    settings: change.settings,
    shards,
    moves: change.moves,
    members: [...members.values()].sort(byPod),
  };
};

const byPod = (a: PodRef, b: PodRef): number => (a.pod < b.pod ? -1 : a.pod > b.pod ? 1 : 0);

/**
 * A topology made ready for the hot path: constant-time look-ups. Made once per topology. It is data, and what looks into it is the
 * same function for all of them: one that came with each would have to be compiled again whenever a topology changes.
 */
export type TopologyIndex = {
  readonly topology: Topology;
  /** By slot, the id of its shard. Made once it is asked for: many topologies are heard of, and few are asked where a slot is. */
  readonly table: { ids: Int32Array | null };
  /** By shard, who follows it and is in the rotation. */
  readonly readers: readonly (readonly Member[])[];
  /** By pod. */
  readonly members: ReadonlyMap<string, Member>;
};

/** `before`: the one that this topology takes the place of. */
export const indexTopology = (topology: Topology, before?: TopologyIndex): TopologyIndex => {
  const table = before !== undefined && isSameMap(before.topology, topology) ? before.table : { ids: null };
  const members = new Map(topology.members.map((member) => [member.pod, member]));
  const readers = topology.shards.map((): Member[] => []);
  for (const member of topology.members) {
    const { shard, state, pod, incarnation } = member;
    if (shard === null || state !== "serving") continue;
    const owner = topology.shards[shard]?.owner;
    if (owner?.pod !== pod || owner.incarnation !== incarnation) readers[shard]?.push(member);
  }
  return { topology, table, readers, members };
};

export const shardOf = ({ topology, table }: TopologyIndex, slot: Slot): Shard | undefined =>
  topology.shards[(table.ids ??= shardOfSlotIn(topology))[slot] ?? -1];

/** The owner of a shard, if its process is the one that the topology names. */
export const ownerOf = ({ topology, members }: TopologyIndex, id: ShardId): Member | undefined => {
  const owner = topology.shards[id]?.owner;
  const member = owner === null || owner === undefined ? undefined : members.get(owner.pod);
  return member !== undefined && member.incarnation === owner?.incarnation ? member : undefined;
};

const isSameMap = (a: Topology, b: Topology): boolean =>
  a.shards.length === b.shards.length &&
  a.shards.every(({ slots }, i) => isSameRanges(slots, b.shards[i]?.slots ?? []));

const shardOfSlotIn = ({ shards }: Topology): Int32Array => {
  const shardOfSlot = new Int32Array(slotCount).fill(-1);
  for (const { id, slots } of shards) for (const [from, to] of slots) shardOfSlot.fill(id, from, to + 1);
  return shardOfSlot;
};

export const isSameRanges = (a: readonly SlotRange[], b: readonly SlotRange[]): boolean =>
  a === b || (a.length === b.length && a.every((range, i) => isSameRange(range, b[i])));

const isSameRange = ([from, to]: SlotRange, other: SlotRange | undefined): boolean =>
  from === other?.[0] && to === other[1];

/** How many slots the ranges hold. */
export const countSlots = (ranges: readonly SlotRange[]): number =>
  ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0);

/** Slots, in order and each once, as the fewest ranges. */
export const rangesOf = (slots: readonly number[]): SlotRange[] => {
  const ranges: [from: number, to: number][] = [];
  for (const s of slots) {
    const last = ranges.at(-1);
    if (last?.[1] === s - 1) last[1] = s;
    else ranges.push([s, s]);
  }
  return ranges.map(([from, to]) => [slot(from), slot(to)]);
};

/** `0-5460,8000`. */
export const rangesText = (ranges: readonly SlotRange[]): string =>
  ranges.length === 0
    ? "none"
    : ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
