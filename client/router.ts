import type { ErrorCode } from "../core/errors.ts";
import type { Slot } from "../core/ids.ts";
import { ownerOf, shardOf, type Member, type Shard, type TopologyIndex } from "../core/topology.ts";

/** Decides where one operation goes: writes and linearizable reads to the owner, others round robin to readers. Pure. */
export type Route =
  | { readonly kind: "send"; readonly member: Member; readonly shard: Shard }
  /** Nobody can answer it now. */
  | { readonly kind: "wait"; readonly code: ErrorCode; readonly message: string };

export type Journey = {
  readonly slot: Slot;
  /** Only the owner can answer it. */
  readonly ownerOnly: boolean;
  /** Pods that are not to be asked again for this one. */
  readonly tried: readonly string[];
};

export type View = {
  readonly index: TopologyIndex;
  /** Whether a reader is in use: not left out after it lagged, was not serving or could not be reached. */
  readonly inUse: (member: Member) => boolean;
  /** Whether a pod has said that it ends. */
  readonly isLeaving: (member: Member) => boolean;
  /** Counts reads of a shard, for the round robin. */
  readonly turn: (shard: Shard) => number;
};

export const route = ({ index, inUse, isLeaving, turn }: View, journey: Journey): Route => {
  const { slot, ownerOnly, tried } = journey;
  const shard = shardOf(index, slot);
  if (shard === undefined) {
    return { kind: "wait", code: "no-owner", message: `no shard owns slot ${slot}` };
  }
  if (!ownerOnly) {
    const readers = index.readers[shard.id] ?? [];
    const start = readers.length > 0 ? turn(shard) : 0;
    for (let i = 0; i < readers.length; i++) {
      const reader = readers[(start + i) % readers.length];
      if (reader !== undefined && !tried.includes(reader.pod) && inUse(reader) && !isLeaving(reader)) {
        return { kind: "send", member: reader, shard };
      }
    }
  }
  const owner = ownerOf(index, shard.id);
  if (owner === undefined) {
    const named = shard.owner === null ? "nobody owns it yet" : `its owner ${shard.owner.pod} is away`;
    return { kind: "wait", code: "no-owner", message: `shard ${shard.id}: ${named}` };
  }
  if (isLeaving(owner)) {
    return {
      kind: "wait",
      code: "shutting-down",
      message: `the owner ${owner.pod} of shard ${shard.id} ends`,
    };
  }
  if (tried.includes(owner.pod)) {
    return { kind: "wait", code: "not-serving", message: `nobody of shard ${shard.id} could answer` };
  }
  return { kind: "send", member: owner, shard };
};
