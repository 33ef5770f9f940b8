import { slot as slotOf, slotCount } from "../../../core/ids.ts";
import { ownerOf, shardOf, type TopologyIndex } from "../../../core/topology.ts";
import { frozenSlot, type SlotSet, type Standing } from "../../route.ts";

/** Decides whether this process serves a slot to a RESP client, or what Redis Cluster would say instead. */
export type Place = {
  readonly standing: Standing;
  readonly index: TopologyIndex | undefined;
  /** How old at most what is held here is, asked only where it matters. */
  readonly lag: () => { readonly ms: number; readonly msMax: number };
};

/** A command that gets this may wait instead. */
export const changingHands = "TRYAGAIN The slot is changing hands; try again in a moment";

/** Null where it is served here. `isReadOnly`: the command reads and the client has said READONLY. */
export const redirect = (place: Place, slot: number, isReadOnly: boolean): string | null => {
  const { standing } = place;
  switch (standing.kind) {
    case "nothing":
      return moved(place, slot);
    case "owner":
      if (standing.slots[slot] === 0) return moved(place, slot);
      if (isReadOnly) return tooOld(place) ? masterDown : null;
      if (standing.slots[slot] === frozenSlot) return changingHands;
      return standing.hasLease ? null : noLease;
    case "reader": {
      // The owner has every slot as the topology says.
      if (!isReadOnly || standing.slots[slot] === 0 || !standing.hasMap) return moved(place, slot);
      if (!standing.complete) return "LOADING Redis is loading the dataset in memory";
      return tooOld(place) ? masterDown : null;
    }
  }
};

/** What clients of Redis Cluster know as a passing state in which nobody serves: they try again. */
export const noLease = "CLUSTERDOWN The owner of the slot has no lease now: another may own it by now";
const masterDown = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";

const tooOld = ({ lag }: Place): boolean => {
  const { ms, msMax } = lag();
  return ms > msMax;
};

/** What is served here without further questions, where a slot's byte is 1; nothing of another slot. */
export type Plain = { readonly slots: SlotSet; readonly reads: boolean; readonly writes: boolean };

/** `isReadonly`: the client has said READONLY. */
export const plainOf = (standing: Standing, lag: Place["lag"], isReadonly: boolean): Plain => {
  switch (standing.kind) {
    case "nothing":
      return nothingPlain;
    case "owner":
      return standing.hasLease ? { slots: standing.slots, reads: true, writes: true } : nothingPlain;
    case "reader": {
      if (!isReadonly || !standing.complete || !standing.hasMap) return nothingPlain;
      const { ms, msMax } = lag();
      return { slots: standing.slots, reads: ms <= msMax, writes: false };
    }
  }
};

const nothingPlain: Plain = { slots: new Uint8Array(slotCount), reads: false, writes: false };

const moved = ({ index, standing }: Place, slot: number): string => {
  if (index === undefined) return "CLUSTERDOWN The cluster is down";
  const shard = shardOf(index, slotOf(slot));
  const owner = shard === undefined ? undefined : ownerOf(index, shard.id);
  if (owner === undefined) return "CLUSTERDOWN Hash slot not served";
  // The topology names this very process, which does not own yet, or not any more: it will be settled in a moment.
  if (standing.kind === "owner" ? standing.shard === shard?.id : standing.isNext) return changingHands;
  const { host, resp } = owner.address;
  return `MOVED ${slot} ${host}:${resp}`;
};
