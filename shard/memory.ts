import { evictedPerTurnMax, memoryOvershootBytesMax } from "../core/limits.ts";
import type { Eviction, Settings } from "../core/settings.ts";
import { slotOf } from "../core/slot.ts";
import { storeShareOf } from "./container.ts";
import { write, type Turn } from "./turn.ts";

/**
 * What a shard process may hold, and what happens when it is more. What counts is what the store's entries, their index and
 * their deadlines take (`store.usedBytes`); the process itself, its buffers, and up to a quarter of the store that waits for
 * compaction come on top.
 *
 * The owner decides: before a write that may grow it evicts keys by delete records, and goes on between writes while
 * there is too much. A reader evicts nothing; it holds what its owner holds.
 */
export type Usage = {
  /** Infinity where there is no maximum. */
  maxBytes: number;
  eviction: Eviction;
  /** What is held while there is more than the maximum, after that was lowered: it may shrink, and not grow any more. */
  heldBytes: number;
  /** The most that was seen in use. */
  peakBytes: number;
  evictedKeys: number;
  refusedWrites: number;
  /** Of Redis clients: reads of keys that were there, and that were not. */
  hits: number;
  misses: number;
};

export const unlimited = (): Usage => ({
  ...{ maxBytes: Infinity, eviction: "noeviction", heldBytes: Infinity, peakBytes: 0 },
  ...{ evictedKeys: 0, refusedWrites: 0, hits: 0, misses: 0 },
});

/** Follows what the ShardCluster says; where that is nothing, the container's limit (null: none) says it. */
export const follow = (usage: Usage, settings: Settings, containerBytes: number | null): void => {
  usage.maxBytes =
    settings.memoryMaxBytes ?? (containerBytes === null ? Infinity : storeShareOf(containerBytes));
  usage.eviction = settings.eviction;
  usage.heldBytes = Infinity;
};

/** Whether a write that may grow may be carried out now. Evicts what has to go before, as far as this turn allows. */
export const makeRoom = (turn: Turn): boolean => {
  const { usage, holding } = turn;
  return holding.store.usedBytes() <= usage.maxBytes || evict(turn) || isSettling(turn);
};

/** Evicts until there is room, or this turn has done its share. Answers whether there is room. */
export const evict = (turn: Turn): boolean => {
  const { usage, holding } = turn;
  const { store } = holding;
  while (store.usedBytes() > usage.maxBytes) {
    if (turn.evicted >= evictedPerTurnMax) return false;
    const key = victimOf(turn);
    if (key === undefined) return false;
    write(turn, { kind: "delete", key });
    turn.evicted++;
    usage.evictedKeys++;
  }
  return true;
};

/** Draws that may find keys which are not this shard's to evict, before it counts as having none. */
const drawsMax = 64;

/** The key that has to go first among those of the shard's own slots. */
const victimOf = ({ usage, holding }: Turn): Uint8Array | undefined => {
  const { store, slots } = holding;
  for (let i = 0; i < drawsMax; i++) {
    // The one that expires first stays the same one: others are drawn then.
    const policy = i > 0 && usage.eviction === "volatile-ttl" ? "volatile-lru" : usage.eviction;
    const key = store.victim(policy);
    if (key === undefined || slots[slotOf(key)] === 1) return key;
  }
  return undefined;
};

/** Whether writes may go on because eviction does: what is too much does not grow. */
const isSettling = ({ usage, holding, evicted }: Turn): boolean => {
  if (evicted < evictedPerTurnMax) return false;
  const used = holding.store.usedBytes();
  usage.heldBytes = Math.max(usage.maxBytes, Math.min(usage.heldBytes, used));
  return used <= usage.heldBytes + Math.min(memoryOvershootBytesMax, usage.maxBytes / 16);
};
