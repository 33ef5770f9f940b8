import { epoch, version, type Epoch, type ShardId, type Version } from "../core/ids.ts";
import type { History } from "../core/message.ts";
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
  /** Whether the store holds everything up to its place; false from the start of a full copy to its end. */
  complete: boolean;
};

/** Nothing, at no place. */
export const emptyHolding = (shard: ShardId, store: Store): Holding => ({
  shard,
  store,
  epoch: epoch(0),
  version: version(0),
  bytes: 0,
  history: [],
  complete: false,
});
