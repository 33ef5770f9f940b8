/** Numbers that must not be mixed. Each is a safe integer with a brand, made only here. */
declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A hash slot, 0 to 16383. */
export type Slot = Brand<number, "Slot">;
/** The generation of one shard's ownership; raised at every change of owner and every start of an owner. 0: never owned. */
export type Epoch = Brand<number, "Epoch">;
/** The place of one record in a shard's stream of writes; the first is 1, 0 means none. */
export type Version = Brand<number, "Version">;
/** A shard of the cluster; shard i is at home in pod `<cluster>-write-<i>`. */
export type ShardId = Brand<number, "ShardId">;
/** A fencing token of the operator: how often its Lease changed hands. */
export type Term = Brand<number, "Term">;
/** A count of published topologies within one term. */
export type Revision = Brand<number, "Revision">;
/** A version of the slot map (which shard owns which slots). */
export type MapVersion = Brand<number, "MapVersion">;

export const slotCount = 16384;
export const shardsMax = 1024;

const integerBelow = (what: string, limit: number, n: number): number => {
  if (Number.isSafeInteger(n) && n >= 0 && n < limit) return n;
  throw new RangeError(`Cannot read ${n} as ${what}: it must be an integer in [0, ${limit})`);
};

export const slot = (n: number): Slot => integerBelow("a slot", slotCount, n) as Slot;
export const epoch = (n: number): Epoch => integerBelow("an epoch", Number.MAX_SAFE_INTEGER, n) as Epoch;
export const version = (n: number): Version =>
  integerBelow("a version", Number.MAX_SAFE_INTEGER, n) as Version;
export const shardId = (n: number): ShardId => integerBelow("a shard id", shardsMax, n) as ShardId;
export const term = (n: number): Term => integerBelow("a term", Number.MAX_SAFE_INTEGER, n) as Term;
export const revision = (n: number): Revision =>
  integerBelow("a revision", Number.MAX_SAFE_INTEGER, n) as Revision;
export const mapVersion = (n: number): MapVersion =>
  integerBelow("a map version", Number.MAX_SAFE_INTEGER, n) as MapVersion;
