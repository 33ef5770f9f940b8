import type { ErrorCode } from "./errors.ts";
import type { Epoch, ShardId, Version } from "./ids.ts";

/**
 * What clients ask of shards, and the answers: CBOR arrays, many operations in a frame (core/requestEncoder.ts, core/requestDecoder.ts).
 *
 *     request frame  [id, shard, epoch, [operation, …]]
 *     reply frame    [id, [result, …]]                     results in the order of the operations
 *
 * `epoch` is the one the client's topology names for that shard. Writes and linearizable reads are answered only where
 * it is the owner's own; otherwise the answer is `stale-epoch`.
 */
export type RequestFrame = {
  readonly id: number;
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly requests: readonly Request[];
};

export type Request =
  /** `[1, key, level, lagMsMax, epoch, version]`; lagMsMax 0: the cluster's own bound; (epoch, version): the session's place. */
  | { readonly kind: "get"; readonly key: Uint8Array; readonly read: ReadLevel }
  /** `[2, key, value, condition, expected | null, expiry, expiryMs]` */
  | {
      readonly kind: "set";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      readonly condition: Condition;
      readonly expiry: Expiry;
    }
  /** `[3, key]` */
  | { readonly kind: "delete"; readonly key: Uint8Array }
  /** `[4, key, by]`: the value is a decimal integer, absent counts as 0; the expiry stays. */
  | { readonly kind: "increment"; readonly key: Uint8Array; readonly by: number };

export type ReadLevel =
  | { readonly kind: "eventual"; readonly lagMsMax: number | null }
  | { readonly kind: "session"; readonly epoch: Epoch; readonly version: Version }
  | { readonly kind: "linearizable" };

export type Condition =
  | { readonly kind: "always" }
  | { readonly kind: "ifAbsent" }
  | { readonly kind: "ifPresent" }
  | { readonly kind: "ifEqual"; readonly value: Uint8Array };

export type Expiry =
  | { readonly kind: "never" }
  /** Milliseconds from when the owner takes the write. */
  | { readonly kind: "in"; readonly ms: number }
  /** Milliseconds since 1970. */
  | { readonly kind: "at"; readonly ms: number }
  /** As it was. */
  | { readonly kind: "keep" };

/** Every answer but an error carries the place (epoch, version) it was given at: a session reads on from there. */
export type Result =
  /** `[1, value | null, epoch, version, lagMs]` */
  | (Place & { readonly kind: "value"; readonly value: Uint8Array | null; readonly lagMs: number })
  /** `[2, applied, epoch, version]`: false where the condition did not hold. */
  | (Place & { readonly kind: "set"; readonly applied: boolean })
  /** `[3, existed, epoch, version]` */
  | (Place & { readonly kind: "deleted"; readonly existed: boolean })
  /** `[4, value, epoch, version]` */
  | (Place & { readonly kind: "integer"; readonly value: number })
  /** `[0, code, message]` */
  | { readonly kind: "error"; readonly code: ErrorCode; readonly message: string };

export type Place = { readonly epoch: Epoch; readonly version: Version };

/** Whether place `a` lies behind place `b`: in a later epoch, or further on in the same one. */
export const isAfter = (a: Place, b: Place): boolean =>
  a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version);

export type ReplyFrame = { readonly id: number; readonly results: readonly Result[] };

/** Their places in these lists are what is written. */
export const readLevels = ["eventual", "session", "linearizable"] as const;
export const conditions = ["always", "ifAbsent", "ifPresent", "ifEqual"] as const;
export const expiries = ["never", "in", "at", "keep"] as const;
