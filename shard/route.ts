import type { ErrorCode } from "../core/errors.ts";
import { slotCount, type Epoch, type ShardId } from "../core/ids.ts";
import type { Request, Result } from "../core/request.ts";
import { slotOf } from "../core/slot.ts";

/** Decides whether this process answers a request, or what it says instead. */

/** What this process is, for routing. */
export type Standing =
  | { readonly kind: "nothing"; readonly informed: boolean; readonly isNext: boolean }
  | {
      readonly kind: "owner";
      readonly shard: ShardId;
      readonly epoch: Epoch;
      readonly slots: SlotSet;
      /** Nobody else owns the shard now. */
      readonly hasLease: boolean;
    }
  | {
      readonly kind: "reader";
      readonly shard: ShardId;
      readonly complete: boolean;
      /** The slots whose keys it holds are those that the topology says. */
      readonly hasMap: boolean;
      readonly slots: SlotSet;
      /** The topology names it owner: it is about to be. */
      readonly isNext: boolean;
    };

/** One byte per slot: 0 where it is not the shard's, 1 where it is, 2 where it is frozen as well. */
export type SlotSet = Uint8Array;
/** The shard's, until the topology changes: no writes, nor reads that need the owner. */
export const frozenSlot = 2;

export const slotSetOf = (ranges: readonly (readonly [from: number, to: number])[]): SlotSet => {
  const slots = new Uint8Array(slotCount);
  for (const [from, to] of ranges) slots.fill(1, from, to + 1);
  return slots;
};

export type Refusal = Extract<Result, { kind: "error" }>;

/** Null where the request is to be served. `asked` is what the frame names: the shard, and the epoch its sender believes in. */
export const route = (
  standing: Standing,
  asked: { readonly shard: ShardId; readonly epoch: Epoch },
  request: Request,
): Refusal | null => {
  switch (standing.kind) {
    case "nothing":
      if (standing.isNext) return frozen;
      return standing.informed
        ? refusal("not-owner", "Cannot answer: this process serves no shard; fetch the topology again")
        : refusal("no-topology", "Cannot answer: this process has not been told what to serve yet; retry");
    case "owner":
      if (asked.shard !== standing.shard) return otherShard(asked.shard, standing.shard);
      // Eventual and session reads say themselves what they need; everything else is only right in the owner's own epoch.
      if (asked.epoch !== standing.epoch && needsOwner(request)) return staleEpoch(asked.epoch, standing);
      if (standing.slots[slotOf(request.key)] === frozenSlot && needsOwner(request)) return frozen;
      if (!ownsKey(standing.slots, request)) return otherSlot(standing.shard);
      return standing.hasLease || !needsOwner(request) ? null : noLease(standing);
    case "reader":
      if (asked.shard !== standing.shard) return otherShard(asked.shard, standing.shard);
      if (needsOwner(request)) return standing.isNext ? frozen : notOwner(standing.shard);
      if (!standing.complete) return copying(standing.shard);
      if (!standing.hasMap) return otherMap(standing.shard);
      return ownsKey(standing.slots, request) ? null : otherSlot(standing.shard);
  }
};

/** Writes and linearizable reads: only the owner can answer them. */
export const needsOwner = (request: Request): boolean =>
  request.kind !== "get" || request.read.kind === "linearizable";

const ownsKey = (slots: SlotSet, request: Request): boolean => slots[slotOf(request.key)] !== 0;

export const refusal = (code: ErrorCode, message: string): Refusal => ({ kind: "error", code, message });

const otherShard = (asked: ShardId, served: ShardId): Refusal =>
  refusal(
    "not-owner",
    `Cannot answer for shard ${asked}: this process serves ${served}; fetch the topology again`,
  );
const otherSlot = (shard: ShardId): Refusal =>
  refusal("not-owner", `Cannot answer: the key's slot is not of shard ${shard}; fetch the topology again`);
const notOwner = (shard: ShardId): Refusal =>
  refusal("not-owner", `Cannot answer: this is a reader of shard ${shard}, the request needs its owner`);
const copying = (shard: ShardId): Refusal =>
  refusal(
    "not-serving",
    `Cannot answer: this reader of shard ${shard} does not hold all of it yet; ask another`,
  );
const otherMap = (shard: ShardId): Refusal =>
  refusal(
    "not-serving",
    `Cannot answer: this reader of shard ${shard} is not at the topology's version of the slot map; ask another`,
  );
/** Said of a request that has to wait: its slot is about to have another owner, or this one again. */
export const frozen: Refusal = refusal(
  "try-again",
  "Cannot answer: the key's slot is changing hands; the same request will do in a moment",
);
const noLease = ({ shard, epoch }: { shard: ShardId; epoch: Epoch }): Refusal =>
  refusal(
    "no-lease",
    `Cannot answer: the owner of shard ${shard} in epoch ${epoch} has no lease now, another may own it by now; fetch the topology again and retry`,
  );
const staleEpoch = (asked: Epoch, { shard, epoch }: { shard: ShardId; epoch: Epoch }): Refusal =>
  refusal(
    "stale-epoch",
    `Cannot answer at epoch ${asked}: shard ${shard} is at ${epoch}; fetch the topology again and retry`,
  );
