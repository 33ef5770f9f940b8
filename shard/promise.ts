import * as v from "valibot";
import type { Clock } from "../core/clock.ts";
import { epoch, shardId, shardsMax, type Epoch, type ShardId } from "../core/ids.ts";
import { branded } from "../core/shape.ts";
import { isNoSpace } from "./log/disk.ts";

/**
 * Below which epoch this process obeys no owner of a shard. It is kept on the volume before it is said or acted on, so that a
 * restart does not undo it. And for how long it may have granted an owner a lease.
 */
export type Promises = {
  /** Takes over what a start has found on the volume. */
  readonly restore: (found: readonly Promised[]) => void;
  /** What is on the volume; 0 where nothing was promised. */
  readonly kept: (shard: ShardId) => Epoch;
  /** What is kept or about to be: nobody below it is obeyed. */
  readonly floor: (shard: ShardId) => Epoch;
  /** Promises, where that is more than before; `changed` is called once it is kept. */
  readonly promise: (shard: ShardId, epoch: Epoch) => void;
  /** A lease of so many milliseconds is granted now. */
  readonly grant: (shard: ShardId, leaseMs: number) => void;
  /** How long a lease that was granted may hold still. A process that has just started may have granted one before. Milliseconds. */
  readonly leftMs: (shard: ShardId, leaseMs: number) => number;
};

export type Promised = { readonly shard: ShardId; readonly epoch: Epoch };

export type PromiseOptions = {
  readonly clock: Clock;
  /** Resolves once it is on the volume, and survives. Where there is no room for it, it is tried again. */
  readonly write: (promised: readonly Promised[]) => Promise<void>;
  readonly changed: () => void;
  /** The volume cannot be relied on: the process has to end. */
  readonly failed: (error: unknown) => void;
};

/** How it lies on the volume. */
export const promisedSchema = v.object({
  promised: v.pipe(
    v.array(v.object({ shard: branded(shardId), epoch: branded(epoch) })),
    v.maxLength(shardsMax),
  ),
});

const roomRetryMs = 200;

export const createPromises = (options: PromiseOptions): Promises => {
  const { clock, write, changed, failed } = options;
  const startedMs = clock.nowMs();
  const none = epoch(0);
  let kept = new Map<ShardId, Epoch>();
  const wanted = new Map<ShardId, Epoch>();
  const grantedUntilMs = new Map<ShardId, number>();
  let isWriting = false;

  const keep = (): void => {
    if (isWriting) return;
    isWriting = true;
    const next = new Map(wanted);
    write([...next].map(([shard, epoch]) => ({ shard, epoch }))).then(
      () => {
        isWriting = false;
        kept = next;
        if ([...wanted].some(([shard, epoch]) => kept.get(shard) !== epoch)) keep();
        changed();
      },
      (error: unknown) => {
        isWriting = false;
        // Room comes again; a process that ended instead would have none the next time either.
        if (isNoSpace(error)) clock.after(roomRetryMs, keep);
        else failed(error);
      },
    );
  };
  return {
    restore: (found) => {
      for (const { shard, epoch } of found) {
        kept.set(shard, epoch);
        wanted.set(shard, epoch);
      }
    },
    kept: (shard) => kept.get(shard) ?? none,
    floor: (shard) => wanted.get(shard) ?? none,
    promise: (shard, epoch) => {
      if (epoch <= (wanted.get(shard) ?? none)) return;
      wanted.set(shard, epoch);
      keep();
    },
    grant: (shard, leaseMs) => {
      grantedUntilMs.set(shard, Math.max(grantedUntilMs.get(shard) ?? 0, clock.nowMs() + leaseMs));
    },
    leftMs: (shard, leaseMs) => {
      const untilMs = Math.max(grantedUntilMs.get(shard) ?? 0, startedMs + leaseMs);
      return Math.max(0, Math.ceil(untilMs - clock.nowMs()));
    },
  };
};
