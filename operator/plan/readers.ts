import { check } from "../../core/check.ts";
import type { ShardId } from "../../core/ids.ts";
import type { Shard } from "../../core/topology.ts";
import { isReaderPod, ordinalOf, readerPod, writerPod } from "../shardCluster.ts";
import type { Assignment, Pod, Session } from "./model.ts";
import { isRef, ownsIn } from "./ownerPlan.ts";
import { ownsSlots } from "./slots.ts";

/** Shards looked at for one reader, and readers looked at for one exchange: bounds the work at 1,000 shards. */
const looksMax = 64;

export type ReadersInput = {
  readonly name: string;
  /** `spec.readers`. */
  readonly wanted: number;
  /** Shards below this one have slots, or will. */
  readonly aim: number;
  readonly shards: readonly Shard[];
  readonly assignments: readonly Assignment[];
  readonly pods: ReadonlyMap<string, Pod>;
  readonly sessions: ReadonlyMap<string, Session>;
};

/**
 * Which reader replicates which shard. Readers stay where they are; new ones go where the fewest are, off the owner's
 * node and that of its other readers, then off its zone, where there is a choice; and as many are moved as it takes for no
 * shard to have two readers more than another. Shards that have no slots, and are to have none, get none. One that owns a
 * shard, or may be about to, stays with it. In order of the readers' ordinals.
 */
export const planReaders = (input: ReadersInput): readonly Assignment[] => {
  const pinned = neededWhere(input);
  const isPlace = (shard: Shard): boolean =>
    ownsSlots(shard) || shard.id < input.aim || pinned.has(shard.owner?.pod ?? "");
  const spots = input.shards.filter(isPlace).map((shard): Spot => {
    const owner = shard.owner?.pod ?? writerPod(input.name, shard.id);
    return { shard: shard.id, place: placeOf(input, owner), count: 0, nodes: new Map() };
  });
  const bySpot = new Map(spots.map((spot) => [spot.shard, spot]));
  const kept: Placed[] = [];
  for (const { pod, shard } of withPinned(input.assignments, pinned)) {
    const spot = bySpot.get(shard);
    const isPinned = pinned.has(pod);
    if (spot === undefined || (ordinalOf(pod) >= input.wanted && !isPinned)) continue;
    const reader = candidate(input, pod);
    kept.push({ ...reader, isPinned, spot });
    join(reader, spot);
  }
  const arrived = arrivals(input, { kept, spots });
  const released = release(kept, spots, kept.length + arrived.length);
  const moving = [...arrived, ...released].sort(byOrdinal);
  const staying = kept.filter((reader) => !released.has(reader));
  const placed = place(moving, spots);
  exchange(placed, [...placed, ...staying.filter(({ empty, isPinned }) => empty && !isPinned)]);
  const assignments = [...staying, ...placed]
    .sort(byOrdinal)
    .map(({ pod, spot }): Assignment => ({ pod, shard: spot.shard }));
  return sameAssignments(assignments, input.assignments) ? input.assignments : assignments;
};

/**
 * Readers that own a shard, or that one is handed over to; and those in sync with an owner that does not serve now, as one of
 * them is to take its place. By pod, with the shard that needs it.
 */
const neededWhere = ({ shards, sessions }: ReadersInput): ReadonlyMap<string, ShardId> => {
  const needed = new Map<string, ShardId>();
  const pin = (pod: string, id: ShardId): void => {
    if (isReaderPod(pod) && !needed.has(pod)) needed.set(pod, id);
  };
  for (const { id, owner, phase } of shards) {
    pin(owner?.pod ?? "", id);
    if (phase.kind === "handover") pin(phase.to.pod, id);
  }
  for (const shard of shards) {
    const session = shard.owner === null ? undefined : sessions.get(shard.owner.pod);
    const isServed = session !== undefined && isRef(shard.owner, session) && ownsIn(session, shard);
    if (isServed && shard.phase.kind === "stable") continue;
    // One that serves another shard by now has its copy still: it keeps it for as long as it is on record.
    for (const pod of shard.inSync) pin(pod, shard.id);
  }
  return needed;
};

/** What was decided before an owner was known to be gone is taken back: who may take its place has to hear of it. */
const withPinned = (
  assignments: readonly Assignment[],
  pinned: ReadonlyMap<string, ShardId>,
): readonly Assignment[] => {
  const assigned = new Set(assignments.map(({ pod }) => pod));
  return [
    ...assignments.map(({ pod, shard }) => ({ pod, shard: pinned.get(pod) ?? shard })),
    ...[...pinned].filter(([pod]) => !assigned.has(pod)).map(([pod, shard]) => ({ pod, shard })),
  ];
};

type Place = { readonly node: string; readonly zone: string };
/** A shard as a place for readers. */
type Spot = {
  readonly shard: ShardId;
  readonly place: Place;
  /** Its readers, and how many of them stand on which node. */
  count: number;
  readonly nodes: Map<string, number>;
};
/** `empty`: it holds no data yet, so that moving it costs nothing. */
type Candidate = {
  readonly pod: string;
  readonly ordinal: number;
  readonly place: Place;
  readonly empty: boolean;
};
type Placed = Candidate & { readonly isPinned: boolean; spot: Spot };

const placeOf = ({ pods, sessions }: ReadersInput, name: string): Place => {
  const registered = sessions.get(name)?.registered;
  const pod = pods.get(name);
  return {
    node: (registered?.node ?? "") || (pod?.node ?? ""),
    zone: (registered?.zone ?? "") || (pod?.zone ?? ""),
  };
};

const candidate = (input: ReadersInput, pod: string): Candidate => {
  const session = input.sessions.get(pod);
  const empty = session?.report.held === null;
  return { pod, ordinal: ordinalOf(pod), place: placeOf(input, pod), empty };
};

/**
 * Readers without a shard, of which enough is known to place them: they run, or the nodes of them and of all owners are
 * known (a whole new cluster is then placed at once, and better).
 */
const arrivals = (
  input: ReadersInput,
  { kept, spots }: { readonly kept: readonly Placed[]; readonly spots: readonly Spot[] },
): readonly Candidate[] => {
  if (spots.length === 0) return [];
  const assigned = new Set(kept.map(({ pod }) => pod));
  const ownersPlaced = spots.every(({ place: { node } }) => node !== "");
  const arrived: Candidate[] = [];
  for (let ordinal = 0; ordinal < input.wanted; ordinal++) {
    const name = readerPod(input.name, ordinal);
    if (assigned.has(name)) continue;
    const session = input.sessions.get(name);
    const runs = session !== undefined && !session.report.leaving;
    const pod = input.pods.get(name);
    const scheduled = pod !== undefined && pod.node !== "" && !pod.deleting;
    if (runs || (scheduled && ownersPlaced)) arrived.push(candidate(input, name));
  }
  return arrived;
};

/**
 * Takes from each shard what it has above its share of `total`. The larger shares go to the shards that hold most, so that
 * the fewest readers move; of a shard those go first that hold no data, then those that stand badly, then the last.
 */
const release = (kept: readonly Placed[], spots: readonly Spot[], total: number): ReadonlySet<Placed> => {
  const share = Math.floor(total / Math.max(1, spots.length));
  const largerShares = total - share * spots.length;
  const excess = new Map<Spot, number>();
  [...spots]
    .sort((a, b) => b.count - a.count || a.shard - b.shard)
    .forEach((spot, i) => {
      const over = spot.count - share - (i < largerShares ? 1 : 0);
      if (over > 0) excess.set(spot, over);
    });
  if (excess.size === 0) return new Set();
  const released = new Set<Placed>();
  const inOrder = kept
    .filter(({ spot, isPinned }) => excess.has(spot) && !isPinned)
    .sort(
      (a, b) =>
        Number(b.empty) - Number(a.empty) || cost(b, b.spot, [b]) - cost(a, a.spot, [a]) || byOrdinal(b, a),
    );
  for (const reader of inOrder) {
    const left = excess.get(reader.spot) ?? 0;
    if (left === 0) continue;
    excess.set(reader.spot, left - 1);
    leave(reader, reader.spot);
    released.add(reader);
  }
  return released;
};

/** Gives each reader, in order, one of the shards with the fewest readers: the first that costs least among those looked at. */
const place = (readers: readonly Candidate[], spots: readonly Spot[]): Placed[] => {
  let fewest: Spot[] = [];
  return readers.map((reader) => {
    if (fewest.length === 0) {
      const least = spots.reduce((min, { count }) => Math.min(min, count), Infinity);
      fewest = spots.filter(({ count }) => count === least);
    }
    let best = 0;
    let bestCost = Infinity;
    for (const [i, spot] of fewest.slice(0, looksMax).entries()) {
      const price = cost(reader, spot, []);
      if (price < bestCost) [best, bestCost] = [i, price];
      if (price === 0) break;
    }
    const [spot] = fewest.splice(best, 1);
    check(spot !== undefined, "readers are placed only where there are shards");
    join(reader, spot);
    return { ...reader, isPinned: false, spot };
  });
};

/** What the order of `place` spoilt: readers that stand badly change places with another that holds nothing, where both gain. */
const exchange = (placed: readonly Placed[], free: readonly Placed[]): void => {
  if (new Set(free.map(({ place: { node } }) => node)).size <= 1) return;
  for (const [start, reader] of placed.entries()) {
    for (
      let look = 1;
      look <= Math.min(looksMax, free.length - 1) && cost(reader, reader.spot, [reader]) > 0;
      look++
    ) {
      const other = free[(start + look) % free.length];
      if (other === undefined || other.spot === reader.spot) continue;
      const { spot } = reader;
      const before = cost(reader, spot, [reader]) + cost(other, other.spot, [other]);
      const after = cost(reader, other.spot, [other]) + cost(other, spot, [reader]);
      if (after < before) {
        leave(reader, spot);
        leave(other, other.spot);
        [reader.spot, other.spot] = [other.spot, spot];
        join(reader, reader.spot);
        join(other, other.spot);
      }
    }
  }
};

const join = ({ place: { node } }: Candidate, spot: Spot): void => {
  spot.count++;
  spot.nodes.set(node, (spot.nodes.get(node) ?? 0) + 1);
};
const leave = ({ place: { node } }: Candidate, spot: Spot): void => {
  spot.count--;
  spot.nodes.set(node, (spot.nodes.get(node) ?? 0) - 1);
};

/**
 * 0: apart from the owner and from the spot's readers but `without`; 1: in the owner's zone; 2: beside a reader; 4: beside the
 * owner. A node that is lost takes with it as little of one shard as can be. What is not known is apart.
 */
const cost = ({ place }: Candidate, spot: Spot, without: readonly Candidate[]): number => {
  const inZone = place.zone !== "" && place.zone === spot.place.zone ? 1 : 0;
  if (place.node === "") return inZone;
  const leaving = without.filter((reader) => reader.place.node === place.node).length;
  const besideReader = (spot.nodes.get(place.node) ?? 0) > leaving ? 2 : 0;
  return inZone + besideReader + (place.node === spot.place.node ? 4 : 0);
};

const byOrdinal = (a: Candidate, b: Candidate): number => a.ordinal - b.ordinal;
const sameAssignments = (a: readonly Assignment[], b: readonly Assignment[]): boolean =>
  a.length === b.length && a.every(({ pod, shard }, i) => b[i]?.pod === pod && b[i].shard === shard);
