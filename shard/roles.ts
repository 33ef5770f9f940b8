import { check } from "../core/check.ts";
import { EdisError } from "../core/errors.ts";
import { shardId, slotCount, type Epoch, type ShardId } from "../core/ids.ts";
import { evictedPerTurnMax, expiredPerTurnMax } from "../core/limits.ts";
import type { Member, TopologyIndex } from "../core/topology.ts";
import { dutyOf, type Duty } from "./duty.ts";
import type { Held } from "./held.ts";
import { emptyHolding, type Holding } from "./holding.ts";
import type { LogEvents } from "./log/log.ts";
import { follow as followSettings } from "./memory.ts";
import { createReader } from "./reader.ts";
import {
  connect,
  dropCopy,
  nowOf,
  standingOf,
  stepReader,
  stepWriter,
  type Following,
  type Role,
  type RoleOptions,
  type Waiter,
  type Writer,
} from "./role.ts";
import { slotsNow } from "./moves/slots.ts";
import type { Refusal, SlotSet, Standing } from "./route.ts";
import { createShelf, type Shelf, type ShelfOptions } from "./shelf.ts";
import type { Store } from "./store/store.ts";
import { enterMap, type Turn } from "./turn.ts";
import { createUndurable, type Undurable } from "./undurable.ts";
import { keepCompacting, keepExpiring } from "./upkeep.ts";
import { activate, type Batch, type WriterEvent } from "./writer.ts";

/** Makes this process what the topology wants it to be; nothing else does. */
export type Roles = {
  readonly role: () => Role;
  /** What this process holds, served or not; null where it holds nothing. */
  readonly held: () => Held | null;
  readonly standing: () => Standing;
  /** Takes over what a start has found on the volume. */
  readonly keep: (held: Held) => void;
  /** Becomes what a newer topology wants. */
  readonly follow: (index: TopologyIndex) => void;
  /** Answers a frame; `refused` says which of its requests are not to be carried out. */
  readonly answer: (waiter: Waiter, refused: readonly (Refusal | null)[]) => void;
  /** Carries out a batch of commands: against the owner's newest state, or what a reader holds, where `turn` only reads. */
  readonly execute: (batch: Batch) => void;
  /** Bytes of the owner's records that are not durable yet. */
  readonly undurableBytes: () => number;
  /** What a log of this process has to tell. */
  readonly logEvents: LogEvents;
  /** Serves nothing any more; resolves once everything is on the volume. */
  readonly stop: () => Promise<void>;
};

export type RolesOptions = Omit<RoleOptions, "whole"> & {
  readonly createStore: () => Store;
  readonly open: ShelfOptions["open"];
  readonly whole: (shard: ShardId) => void;
  /** The memory limit of this process's own container; null where there is none. */
  readonly containerBytes: number | null;
  /** The volume cannot be used: the process has to end. */
  readonly failed: (error: unknown) => void;
};

type State = {
  readonly options: RolesOptions;
  /** For readers. */
  readonly roleOptions: RoleOptions;
  role: Role;
  index: TopologyIndex | null;
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
};

const tickEveryMs = 20;

export const createRoles = (options: RolesOptions): Roles => {
  const { clock } = options;
  const roleOptions: RoleOptions = {
    ...options,
    whole: ({ holding }) => {
      options.whole(holding.shard);
    },
  };
  const state: State = {
    ...{ options, roleOptions, role: { kind: "nothing" }, index: null, slots: new Uint8Array(slotCount) },
    shelf: createShelf({
      ...options,
      ready: () => {
        become(state);
      },
    }),
    ...{ isFull: false, isStopped: false, isFlushDue: false, undurable: createUndurable() },
    ...{ nothing: null, activated: new Map() },
  };
  const cancels = [
    keepExpiring(clock, () => expire(state)),
    keepCompacting(clock, () => heldBy(state)?.holding.store),
    clock.every(tickEveryMs, () => {
      const { role } = state;
      if (role.kind === "reader" && role.following.reader.waiting.length > 0)
        stepReader(roleOptions, role.following, { kind: "tick", now: nowOf(clock) });
    }),
  ];
  return {
    role: () => state.role,
    held: () => heldBy(state),
    standing: () => standingOf(state.role, state.slots, state.index !== null),
    keep: (held) => {
      state.shelf.put(held);
    },
    follow: (index) => {
      state.index = index;
      followSettings(options.usage, index.topology.settings, options.containerBytes);
      become(state);
    },
    answer: (waiter, refused) => {
      answer(state, waiter, refused);
    },
    execute: (batch) => {
      execute(state, batch);
    },
    undurableBytes: () =>
      state.role.kind === "owner" ? state.undurable.of(state.role.held.holding.bytes) : 0,
    logEvents: logEventsOf(state),
    stop: async () => {
      for (const cancel of cancels) cancel();
      leave(state);
      state.isStopped = true;
      await state.shelf.close();
    },
  };
};

const heldBy = ({ role, shelf }: State): Held | null => (role.kind === "nothing" ? shelf.held() : role.held);

/** Becomes what the newest topology wants. */
const become = (state: State): void => {
  const { index, options, isStopped } = state;
  if (index === null || isStopped) return;
  const before = state.role;
  if (!ownsNewerThan(state, index)) take(state, dutyOf(index, options.self));
  followMap(state, index);
  if (state.role !== before) options.changed();
};

/** Serves the slots that the topology says; an owner records first of all that they are others than before. */
const followMap = (state: State, { topology }: TopologyIndex): void => {
  const { role } = state;
  if (role.kind === "nothing") return;
  const { holding } = role.held;
  const named = topology.shards[holding.shard];
  const wanted = named?.mapVersion ?? holding.wantedMap;
  if (role.kind === "owner" && named?.epoch === role.writer.epoch && wanted > holding.mapVersion)
    execute(state, {
      run: (turn) => {
        enterMap(turn, wanted);
      },
      release: () => undefined,
    });
  holding.wantedMap = wanted;
  holding.slots = slotsNow(topology, holding.shard, role.kind === "owner" ? role.writer.epoch : null);
  state.slots = holding.slots;
};

/** Ownership ends with a higher epoch, or with the shard: what names another owner without one is not obeyed. */
const ownsNewerThan = ({ role, options }: State, { topology }: TopologyIndex): boolean => {
  if (role.kind !== "owner") return false;
  const named = topology.shards[role.held.holding.shard];
  if (named === undefined || named.epoch > role.writer.epoch) return false;
  if (named.owner?.incarnation !== options.self.incarnation || named.epoch < role.writer.epoch)
    options.logger.error(
      { shard: named.id, epoch: role.writer.epoch, named: named.epoch, owner: named.owner?.pod ?? null },
      "topology takes the shard away without a higher epoch: not obeyed",
    );
  return true;
};

const take = (state: State, duty: Duty): void => {
  switch (duty.kind) {
    case "own":
      own(state, duty);
      return;
    case "follow":
      follow(state, duty);
      return;
    case "nothing":
      leave(state);
      return;
  }
};

const answer = (state: State, waiter: Waiter, refused: readonly (Refusal | null)[]): void => {
  const { role, options, index } = state;
  const { requests } = waiter.frame;
  switch (role.kind) {
    case "owner": {
      const wallMs = options.clock.wallMs();
      write(state, role.writer, { kind: "requests", to: waiter, requests, refused, wallMs });
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

const execute = (state: State, batch: Batch): void => {
  const { role, options } = state;
  const wallMs = options.clock.wallMs();
  switch (role.kind) {
    case "owner":
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

const read = ({ options }: State, holding: Holding, batch: Batch): void => {
  const { journal, clock, usage } = options;
  const before = holding.version;
  const { epoch } = holding;
  const turn: Turn = {
    ...{ holding, epoch, wallMs: clock.wallMs(), journal, isFull: false },
    ...{ watches: new Map(), usage, evicted: 0 },
  };
  batch.run(turn);
  check(holding.version === before, "only an owner writes");
  batch.release(true);
};

const write = (state: State, writer: Writer, event: WriterEvent<Waiter>): void => {
  stepWriter(writer, event, () => {
    if (state.isFlushDue) return;
    state.isFlushDue = true;
    state.options.clock.soon(() => {
      flush(state);
    });
  });
};

/** What this turn of the event loop has written goes into the log and to the readers. */
const flush = (state: State): void => {
  const { role, options } = state;
  state.isFlushDue = false;
  if (role.kind !== "owner") return;
  for (const batch of options.journal.take()) {
    role.held.log.append(batch);
    options.publisher.append(batch);
  }
  const { version, bytes } = role.held.holding;
  state.undurable.wrote(version, bytes);
  role.held.log.flush();
};

const logEventsOf = (state: State): LogEvents => ({
  durable: (through) => {
    const { role } = state;
    if (role.kind === "owner") {
      state.undurable.durable(through);
      write(state, role.writer, { kind: "durable", through });
    } else if (role.kind === "reader") role.following.subscriber?.ack();
  },
  room: (isThere) => {
    const { role, options } = state;
    state.isFull = !isThere;
    if (isThere) options.logger.info({}, "the volume has room again");
    else options.logger.error({}, "the volume is full: writes are refused, reads go on");
    if (role.kind === "owner") write(state, role.writer, { kind: "room", isThere });
    else become(state);
  },
  failed: (error) => {
    state.options.failed(error);
  },
});

const own = (state: State, { shard, epoch }: Extract<Duty, { kind: "own" }>): void => {
  const { role, activated, options, isFull } = state;
  const { logger, publisher, journal } = options;
  if (role.kind === "owner" && role.held.holding.shard === shard && role.writer.epoch === epoch) return;
  leave(state);
  if (epoch <= (activated.get(shard) ?? 0)) {
    logger.error({ shard, epoch }, "named owner of an epoch that was served before: not activated");
    return;
  }
  const held = state.shelf.take(shard);
  if (held === null) return;
  if (held.holding.epoch >= epoch) {
    logger.error(
      { shard, epoch, held: held.holding.epoch },
      "holds a later epoch than it is named for: not activated",
    );
    state.shelf.put(held);
    return;
  }
  if (!held.holding.complete && held.log.newest() > 0) {
    state.shelf.empty(held);
    return;
  }
  activated.set(shard, epoch);
  publisher.serve(held);
  state.undurable.begin(held.holding.bytes);
  const writer = activate<Waiter>(held.holding, epoch, { journal, isFull, usage: options.usage });
  state.role = { kind: "owner", held, writer };
  flush(state);
  options.whole(shard);
  const { holding } = held;
  logger.info({ shard, epoch, version: holding.version, keys: holding.store.keys() }, "owns the shard");
};

const follow = (state: State, { shard, source: wanted }: Extract<Duty, { kind: "follow" }>): void => {
  const { options, roleOptions, isFull, role } = state;
  const { clock, publisher, logger } = options;
  // A full volume takes no more records: the stream goes on where it was once there is room.
  const source = isFull ? null : wanted;
  let following: Following;
  if (role.kind === "reader" && role.held.holding.shard === shard) {
    if (isSameSource(role.source, source)) return;
    following = role.following;
    following.subscriber?.stop();
    following.subscriber = null;
    stepReader(roleOptions, following, { kind: "sourceGone" });
  } else {
    leave(state);
    const held = state.shelf.take(shard);
    if (held === null) return;
    const reader = createReader<Waiter>(held.holding, clock.nowMs());
    following = {
      held,
      reader,
      subscriber: null,
      copyWriter: null,
      isSettling: false,
      kept: Promise.resolve(),
    };
    publisher.serve(held);
  }
  const { held } = following;
  if (source !== null) connect(roleOptions, following, source);
  state.role = { kind: "reader", held, following, source };
  logger.info({ shard, source: source?.pod ?? null, version: held.holding.version }, "follows the shard");
};

/** Serves nothing any more. What waits is answered. */
const leave = (state: State): void => {
  const { role, options, roleOptions } = state;
  if (role.kind === "nothing") return;
  flush(state);
  state.role = { kind: "nothing" };
  state.shelf.put(role.held);
  options.publisher.stop(
    new EdisError("not-serving", "Cannot go on with this copy: this process serves it no longer"),
  );
  switch (role.kind) {
    case "owner":
      options.logger.info({ shard: role.held.holding.shard, epoch: role.writer.epoch }, "steps down");
      write(state, role.writer, { kind: "stepDown" });
      return;
    case "reader": {
      const { following } = role;
      following.subscriber?.stop();
      following.subscriber = null;
      stepReader(roleOptions, following, { kind: "sourceGone" });
      stepReader(roleOptions, following, { kind: "stop" });
      dropCopy(roleOptions, following);
      return;
    }
  }
};

const expire = (state: State): { readonly isMore: boolean } => {
  const { role, options } = state;
  if (role.kind === "nothing") return { isMore: false };
  const { holding } = role.held;
  holding.store.tick(Math.floor(options.clock.nowMs() / 1000));
  options.usage.peakBytes = Math.max(options.usage.peakBytes, holding.store.usedBytes());
  if (role.kind !== "owner") return { isMore: false };
  const before = holding.version;
  write(state, role.writer, { kind: "expire", wallMs: options.clock.wallMs() });
  const removed = holding.version - before;
  options.counters.expiredKeys += removed;
  write(state, role.writer, { kind: "evict", wallMs: options.clock.wallMs() });
  const isOver = holding.version - before - removed >= evictedPerTurnMax;
  return { isMore: removed === expiredPerTurnMax || isOver };
};

const isSameSource = (a: Member | null, b: Member | null): boolean =>
  a?.pod === b?.pod &&
  a?.incarnation === b?.incarnation &&
  a?.address.host === b?.address.host &&
  a?.address.replication === b?.address.replication;
