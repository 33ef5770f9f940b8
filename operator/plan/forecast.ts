import { slotCount, version, type ShardId } from "../../core/ids.ts";
import type { Report } from "../../core/message.ts";
import type { Forecast } from "../../core/tools.ts";
import type { Shard } from "../../core/topology.ts";
import { bytesOfQuantity } from "../quantity.ts";
import { ordinalOf, readerPod, writerPod, type ShardCluster } from "../shardCluster.ts";
import { settingsChanged } from "./changes.ts";
import { mebibytes, remaining, type Due } from "./goals.ts";
import { loadsBySlot, type Loads } from "./loads.ts";
import type { Assignment, Observed, Ownership, Session } from "./model.ts";
import { plan } from "./plan.ts";
import { planReaders } from "./readers.ts";
import { hearSizesMs, ownerFinder } from "./reshard.ts";
import { restartOrder, shardsAtOnce } from "./restartOrder.ts";
import { planShards } from "./shards.ts";
import { ownsSlots, rangesIn, slotMapOf, type SlotMap } from "./slots.ts";

export type ForecastInput = {
  /** As it is now; its cluster is what is wished for now. */
  readonly observed: Observed;
  readonly wished: ShardCluster;
  /** Whose pods would be made from something else. */
  readonly remade: ReadonlySet<"writer" | "reader">;
  /** Bytes per second of the moves that were seen last; null where none were. */
  readonly measured: number | null;
};

/** What nothing is known of: what one shard sends to others, over a usual network, with a usual disk. */
export const assumedBytesPerSecond = 16 * 1024 * 1024;

/** What a change would do: the plan itself on the wish, as if it were the cluster's, carried on to where it comes to rest. Nothing is changed. */
export const forecast = (input: ForecastInput): Forecast => {
  const { observed, wished, remade } = input;
  const { spec, name } = wished;
  const asWished = observedWith(observed, wished);
  const planned = plan(asWished);
  const { ownership } = planned;
  const { aim } = planShards(asWished);
  const end = endOf(asWished, ownership);
  const before = observed.workload ?? { writers: ownership.shards.length, readers: 0 };
  const after = { writers: aim, readers: spec.readers };
  const podsRemoved = namesBetween(name, after, before);
  const gone = new Set(podsRemoved);
  const isRemade = ({ name: pod, home }: Observed["pods"][number]): boolean =>
    !gone.has(pod) && (remade.has(home) || observed.outdated?.has(pod) === true);
  return {
    cluster: `${wished.namespace}/${name}`,
    writers: { from: before.writers, to: after.writers },
    readers: { from: before.readers, to: after.readers },
    refusals: [...planned.refusals],
    notes: notesOf(input, planned.troubles, ownership),
    podsAdded: [...namesBetween(name, before, after)],
    podsRemoved: [...podsRemoved],
    podsRestarted: [
      ...restartOrder(
        name,
        ownership,
        observed.pods.filter(isRemade).map((pod) => pod.name),
      ),
    ],
    restartsAtOnce: shardsAtOnce(Math.max(1, ownership.shards.length)),
    moves: movesOf(end),
    shards: shardsOf(end),
    estimate: estimateOf(input, end),
    readersMoved: readersMoved(asWished, end, aim),
  };
};

/** The wish in the place of the cluster. Pauses are looked past, and what is not known yet is taken for what there is. */
const observedWith = (observed: Observed, wished: ShardCluster): Observed => ({
  ...observed,
  cluster: { ...wished, spec: { ...wished.spec, rebalance: { ...wished.spec.rebalance, paused: false } } },
  leadingMs: Math.max(observed.leadingMs, hearSizesMs),
});

type End = {
  readonly shards: readonly Shard[];
  readonly due: readonly Due[];
  readonly loads: Loads;
  readonly before: SlotMap;
  readonly after: SlotMap;
};

const endOf = ({ sessions, ledger }: Observed, { shards, rebalance }: Ownership): End => {
  const before = slotMapOf(shards);
  const due = rebalance === null ? [] : remaining(rebalance, shards);
  const after = before.slice();
  for (const { first, last, to } of due) after.fill(to, first, last + 1);
  return { shards, due, loads: loadsBySlot(shards, ledger.slotBytes, ownerFinder(sessions)), before, after };
};

const namesBetween = (
  name: string,
  from: { readonly writers: number; readonly readers: number },
  to: { readonly writers: number; readonly readers: number },
): readonly string[] => [
  ...Array.from({ length: Math.max(0, to.writers - from.writers) }, (_, i) =>
    writerPod(name, from.writers + i),
  ),
  ...Array.from({ length: Math.max(0, to.readers - from.readers) }, (_, i) =>
    readerPod(name, from.readers + i),
  ),
];

type Figures = { slots: number; keys: number; bytes: number };
const nothing = (): Figures => ({ slots: 0, keys: 0, bytes: 0 });
const rounded = ({ slots, keys, bytes }: Figures): Figures => ({
  slots,
  keys: Math.round(keys),
  bytes: Math.round(bytes),
});
const add = (sum: Figures, { keys, bytes }: Loads, s: number): void => {
  sum.slots++;
  sum.keys += keys[s] ?? 0;
  sum.bytes += Number.isNaN(bytes[s]) ? 0 : (bytes[s] ?? 0);
};

const movesOf = ({ due, loads }: End): Forecast["moves"] => {
  const pairs = new Map<number, { readonly from: ShardId; readonly to: ShardId; readonly sum: Figures }>();
  for (const { first, last, from, to } of due) {
    const key = from * slotCount + to;
    const pair = pairs.get(key) ?? { from, to, sum: nothing() };
    pairs.set(key, pair);
    for (let s: number = first; s <= last; s++) add(pair.sum, loads, s);
  }
  return [...pairs.values()]
    .sort((a, b) => a.from - b.from || a.to - b.to)
    .map(({ from, to, sum }) => ({ from, to, ...rounded(sum) }));
};

const shardsOf = ({ shards, before, after, loads }: End): Forecast["shards"] => {
  const [had, has] = [before, after].map((map) => {
    const sums = shards.map(nothing);
    for (let s = 0; s < slotCount; s++) {
      const sum = sums[map[s] ?? -1];
      if (sum !== undefined) add(sum, loads, s);
    }
    return sums;
  });
  return shards.map(({ id }) => ({
    id,
    before: rounded(had?.[id] ?? nothing()),
    after: rounded(has?.[id] ?? nothing()),
  }));
};

/** A bound holds for each shard that gives; what was measured holds for all of them together. */
const estimateOf = ({ wished, measured }: ForecastInput, end: End): Forecast["estimate"] => {
  if (end.due.length === 0) return null;
  const bySource = new Map<ShardId, number>();
  for (const { from, bytes } of movesOf(end)) bySource.set(from, (bySource.get(from) ?? 0) + bytes);
  const most = Math.max(...bySource.values());
  const all = [...bySource.values()].reduce((sum, bytes) => sum + bytes, 0);
  const bound = bytesOfQuantity(wished.spec.rebalance.bytesPerSecondMax) ?? 0;
  const unbound = measured ?? assumedBytesPerSecond * bySource.size;
  const seconds = measured === null ? most / assumedBytesPerSecond : all / measured;
  if (bound > 0 && most / bound >= seconds)
    return { seconds: Math.ceil(most / bound), bytesPerSecond: bound * bySource.size, basis: "bound" };
  return {
    seconds: Math.ceil(seconds),
    bytesPerSecond: Math.round(unbound),
    basis: measured === null ? "assumed" : "measured",
  };
};

/** Where the readers are once the slots are, those that are to come among them. */
const readersMoved = (observed: Observed, { shards, after }: End, aim: number): Forecast["readersMoved"] => {
  const { cluster, ownership } = observed;
  const { name, spec } = cluster;
  const sessions = new Map(observed.sessions.map((session) => [session.pod, session]));
  const before = ownership?.assignments ?? [];
  for (let ordinal = 0; ordinal < spec.readers; ordinal++) {
    const pod = readerPod(name, ordinal);
    if (!sessions.has(pod)) sessions.set(pod, newcomer(pod));
  }
  const assignments = planReaders({
    ...{ name, wanted: spec.readers, aim, sessions, assignments: before },
    shards: shards
      .filter(({ id }) => id < aim)
      .map((shard) => ({ ...shard, slots: rangesIn(after, shard.id) })),
    pods: new Map(observed.pods.map((pod) => [pod.name, pod])),
  });
  return difference(before, assignments).filter(({ pod }) => ordinalOf(pod) < spec.readers);
};

const difference = (
  before: readonly Assignment[],
  after: readonly Assignment[],
): Forecast["readersMoved"] => {
  const had = new Map(before.map(({ pod, shard }) => [pod, shard]));
  return after
    .filter(({ pod, shard }) => had.get(pod) !== shard)
    .map(({ pod, shard }) => ({ pod, from: had.get(pod) ?? null, to: shard }));
};

/** A reader that has started and holds nothing. */
const newcomer = (pod: string): Session => ({
  ...{ pod, incarnation: "", ageMs: 0, silentMs: 0, slotSizes: null },
  registered: {
    ...{ home: "reader", node: "", zone: "", uid: "", startedAtMs: 0, ended: [], had: [] },
    address: { host: "", client: 0, replication: 0, http: 0, resp: 0 },
  },
  report: idleReport(pod),
});
const idleReport = (pod: string): Report => ({
  ...{ pod, incarnation: "", home: "reader", serving: { kind: "nothing" }, seq: 0, topology: null },
  ...{ promised: null, leaving: false, held: null, version: version(0), keys: 0, bytes: 0, readers: [] },
});

const notesOf = (
  { observed, wished }: ForecastInput,
  troubles: readonly { readonly reason: string; readonly message: string }[],
  after: Ownership,
): Forecast["notes"] => {
  const notes: { reason: string; message: string }[] = settingsChanged(observed.cluster.spec, wished.spec);
  const { rebalance, durability } = wished.spec;
  const note = (reason: string, message: string): void => {
    notes.push({ reason, message });
  };
  if (observed.ownership === null) note("Starting", "Nothing is served yet: it has just been wished for");
  const going = observed.ownership?.rebalance ?? null;
  if (going !== null && going !== after.rebalance)
    note(
      "Replaced",
      `Slots are being moved for ${going.writers} writers now; those on their way to somewhere else than before turn round, the others go on`,
    );
  else if (going !== null)
    note("Rebalancing", `This is under way: ${mebibytes(going.done.bytes)} have been moved so far`);
  if (rebalance.paused && after.rebalance !== null)
    note("Paused", "rebalance.paused holds: no slot moves before it is taken away");
  const added = after.shards.some((shard) => !ownsSlots(shard) && shard.id < wished.spec.writers);
  if (added && durability.acks === "inSync" && durability.minInSync > 0)
    note(
      "WaitsForReaders",
      "A new shard gets slots once it has its readers in sync (durability.acks: inSync)",
    );
  if (after.rebalance !== null && !sizesKnown(observed))
    note(
      "SizesUnknown",
      "Not every owner has told yet how large its slots are: evenly shared out is assumed",
    );
  for (const { reason, message } of troubles) note(reason, message);
  return notes;
};

const sizesKnown = ({ ownership, sessions }: Observed): boolean => {
  const ownerOf = ownerFinder(sessions);
  return (ownership?.shards ?? []).every(
    (shard) => !ownsSlots(shard) || (ownerOf(shard)?.slotSizes ?? null) !== null,
  );
};
