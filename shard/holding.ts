import { epoch, mapVersion, slot, slotCount, version } from "../core/ids.ts";
import type { Epoch, MapVersion, ShardId, Version } from "../core/ids.ts";
import type { History } from "../core/message.ts";
import type { SlotSet } from "./route.ts";
import type { Store } from "./store/store.ts";

/**
 * The data of one shard as this process has it, and its place in the shard's stream of writes. One at a time changes it:
 * the writer that orders the shard's writes, or the reader that follows them.
 */
export type Holding = {
  readonly shard: ShardId;
  readonly store: Store;
  /** Place of the newest record in the store. */
  epoch: Epoch;
  version: Version;
  /** Bytes of all records up to that place. */
  bytes: number;
  /** Which epochs the records up to that place were written in; see replication/history.ts. */
  history: History;
  /** The version of the map that the newest map record names; 1 where there is none. */
  mapVersion: MapVersion;
  /** The version of the map in which the shard's slots last changed, by the newest topology that this process has. */
  wantedMap: MapVersion;
  /**
   * Which slots are the shard's own by that topology. Keys of others are on their way: here, or to be deleted. They are not
   * shown, and neither expire nor are evicted by this shard.
   */
  slots: SlotSet;
  /** Whether the store holds everything up to its place; false from the start of a full copy to its end. */
  complete: boolean;
};

/** Whether the keys that are held are those of the slots that the topology says: a move is here as it is there. */
export const hasMap = ({ mapVersion, wantedMap }: Holding): boolean => mapVersion === wantedMap;

/** Keys of the shard's own slots. */
export const shownKeys = ({ store, slots }: Holding): number => {
  let keys = store.keys();
  for (let i = 0; i < slotCount; i++) if (slots[i] === 0) keys -= store.slotKeys(slot(i));
  return keys;
};

/** Until a topology has said which. */
const everySlot: SlotSet = new Uint8Array(slotCount).fill(1);

/** Nothing, at no place. */
export const emptyHolding = (shard: ShardId, store: Store): Holding => ({
  shard,
  store,
  epoch: epoch(0),
  version: version(0),
  bytes: 0,
  history: [],
  mapVersion: mapVersion(1),
  wantedMap: mapVersion(1),
  slots: everySlot,
  complete: false,
});
