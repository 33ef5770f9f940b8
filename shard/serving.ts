import { check } from "../core/check.ts";
import { shardId, type Epoch, type ShardId } from "../core/ids.ts";
import { evictedPerTurnMax, expiredPerTurnMax, parkedMsMax } from "../core/limits.ts";
import type { TopologyIndex } from "../core/topology.ts";
import type { Duty } from "./duty.ts";
import { emptyHolding, type Holding } from "./holding.ts";
import type { LogEvents } from "./log/log.ts";
import { lagOf } from "./reads.ts";
import {
  nowOf,
  stepReader,
  stepWriter,
  type Role,
  type RoleOptions,
  type Waiter,
  type Writer,
} from "./role.ts";
import type { Refusal, SlotSet } from "./route.ts";
import type { Shelf } from "./shelf.ts";
import type { Store } from "./store/store.ts";
import type { Turn } from "./turn.ts";
import type { Undurable } from "./undurable.ts";
import type { Batch, WriterEvent } from "./writer.ts";

/** Lets what this process is now carry out what comes. */

export type Serving = {
  readonly options: ServingOptions;
  /** For readers. */
  readonly roleOptions: RoleOptions;
  role: Role;
  index: TopologyIndex | null;
  duty: Duty;
  slots: SlotSet;
  /** What is held while nothing is served from it. */
  readonly shelf: Shelf;
  isFull: boolean;
  isStopped: boolean;
  readonly undurable: Undurable;
  /** Records are in the journal, and go out at the end of this turn of the event loop. */
  isFlushDue: boolean;
  /** What commands see while nothing is held. */
  nothing: Holding | null;
  /** An epoch is activated once per process: having stepped down from one, this process never serves it again. */
  readonly activated: Map<ShardId, Epoch>;
  /** Marks that asked for a lease so far. */
  marks: number;
};
export type ServingOptions = Omit<RoleOptions, "whole" | "leaseMs"> & {
  readonly createStore: () => Store;
  /** The volume cannot be used: the process has to end. */
  readonly failed: (error: unknown) => void;
};

export const answer = (state: Serving, waiter: Waiter, refused: readonly (Refusal | null)[]): void => {
  const { role, options, index } = state;
  const { requests } = waiter.frame;
  switch (role.kind) {
    case "owner": {
      const wallMs = options.clock.wallMs();
      const lagMsMax = index?.topology.lagMsMax ?? 0;
      options.counters.noLease += refused.filter((one) => one?.code === "no-lease").length;
      write(state, role.writer, { kind: "requests", to: waiter, requests, refused, wallMs, lagMsMax });
      return;
    }
    case "reader": {
      const now = nowOf(options.clock);
      const lagMsMax = index?.topology.lagMsMax ?? 0;
      const reads = { kind: "reads", to: waiter, requests, refused, lagMsMax, now } as const;
      stepReader(state.roleOptions, role.following, reads);
      return;
    }
    case "nothing":
      // Everything is refused: route said so of each.
      waiter.done(refused.filter((result) => result !== null));
      return;
  }
};

export const execute = (state: Serving, batch: Batch): void => {
  const { role, options } = state;
  const wallMs = options.clock.wallMs();
  switch (role.kind) {
    case "owner":
      if (role.tenure.leaseLeftMs() <= 0) options.counters.noLease++;
      write(state, role.writer, { kind: "execute", batch, wallMs });
      return;
    case "reader":
      read(state, role.held.holding, batch);
      return;
    case "nothing":
      // Commands that need no key are answered by a process that serves nothing, too.
      state.nothing ??= emptyHolding(shardId(0), options.createStore());
      read(state, state.nothing, batch);
      return;
  }
};

const read = ({ options }: Serving, holding: Holding, batch: Batch): void => {
  const { journal, clock, usage } = options;
  const before = holding.version;
  const { epoch } = holding;
  const turn: Turn = {
    ...{ holding, epoch, wallMs: clock.wallMs(), journal, isFull: false, isShort: false },
    ...{ watches: new Map(), usage, evicted: 0 },
  };
  batch.run(turn);
  check(holding.version === before, "only an owner writes");
  batch.release(true);
};

export const write = (state: Serving, writer: Writer, event: WriterEvent<Waiter>): void => {
  stepWriter(writer, event, () => {
    if (state.isFlushDue) return;
    state.isFlushDue = true;
    state.options.clock.soon(() => {
      flush(state);
    });
  });
};

/** What this turn of the event loop has written goes into the log and to the readers. */
export const flush = (state: Serving): void => {
  const { role, options } = state;
  state.isFlushDue = false;
  if (role.kind !== "owner") return;
  const { journal, publisher } = options;
  let isShared = false;
  for (const batch of journal.take()) {
    role.held.log.append(batch);
    isShared = publisher.append(batch) || isShared;
  }
  if (isShared) journal.leave();
  const { version, bytes } = role.held.holding;
  state.undurable.wrote(version, bytes);
  journal.reuse(role.held.log.flush());
};

export const logEventsOf = (state: Serving, become: () => void): LogEvents => ({
  durable: (through) => {
    const { role } = state;
    if (role.kind === "owner") {
      state.undurable.durable(through);
      acknowledge(state);
      if (role.tenure.isFrozen()) role.tenure.look();
    } else if (role.kind === "reader") role.following.subscriber?.ack();
  },
  room: (isThere) => {
    const { role, options } = state;
    state.isFull = !isThere;
    if (isThere) options.logger.info({}, "the volume has room again");
    else options.logger.error({}, "the volume is full: writes are refused, reads go on");
    if (role.kind === "owner") write(state, role.writer, { kind: "room", isThere });
    else become();
  },
  failed: (error) => {
    state.options.failed(error);
  },
});

export const expire = (state: Serving): { readonly isMore: boolean } => {
  const { role, options } = state;
  if (role.kind === "nothing") return { isMore: false };
  const { holding } = role.held;
  holding.store.tick(Math.floor(options.clock.nowMs() / 1000));
  options.usage.peakBytes = Math.max(options.usage.peakBytes, holding.store.usedBytes());
  if (role.kind !== "owner" || role.tenure.isFrozen()) return { isMore: false };
  const before = holding.version;
  write(state, role.writer, { kind: "expire", wallMs: options.clock.wallMs() });
  const removed = holding.version - before;
  options.counters.expiredKeys += removed;
  write(state, role.writer, { kind: "evict", wallMs: options.clock.wallMs() });
  const isOver = holding.version - before - removed >= evictedPerTurnMax;
  return { isMore: removed === expiredPerTurnMax || isOver };
};

/** Lets go what the owner may answer by now. */
export const acknowledge = (state: Serving): void => {
  const { role } = state;
  if (role.kind !== "owner") return;
  const { writer, tenure } = role;
  write(state, writer, { kind: "durable", through: tenure.acknowledged() });
  if (writer.waiting.length > 0 && tenure.shortMs() > parkedMsMax) write(state, writer, { kind: "short" });
};

/** How old at most what this process holds is; Infinity where nobody knows. Milliseconds. */
export const ageMs = ({ role, options }: Serving): number => {
  switch (role.kind) {
    case "nothing":
      return 0;
    case "owner":
      return role.tenure.ageMs();
    case "reader": {
      const { reader } = role.following;
      return reader.isCovered ? lagOf(reader, options.clock.nowMs()).ms : Infinity;
    }
  }
};
