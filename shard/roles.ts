import { EdisError } from "../core/errors.ts";
import { check } from "../core/check.ts";
import { shardId, slotCount, type Epoch, type ShardId } from "../core/ids.ts";
import { compactedBytesPerTurnMax, evictedPerTurnMax, expiredPerTurnMax } from "../core/limits.ts";
import type { Member, TopologyIndex } from "../core/topology.ts";
import { dutyOf, type Duty } from "./duty.ts";
import { emptyHolding, type Holding } from "./holding.ts";
import { follow as followSettings, type Usage } from "./memory.ts";
import { createReader } from "./reader.ts";
import { connect, nowOf, stepReader, stepWriter, type Role, type RolesOptions, type Waiter } from "./role.ts";
import type { Refusal, SlotSet, Standing } from "./route.ts";
import type { Turn } from "./turn.ts";
import { activate, type Batch } from "./writer.ts";

/** Makes this process what the topology wants it to be; nothing else does. */
export type Roles = {
  readonly role: () => Role;
  readonly standing: () => Standing;
  /** Becomes what a newer topology wants. */
  readonly follow: (index: TopologyIndex) => void;
  /** Answers a frame; `refused` says which of its requests are not to be carried out. */
  readonly answer: (waiter: Waiter, refused: readonly (Refusal | null)[]) => void;
  /** Carries out a batch of commands: against the owner's newest state, or what a reader holds, where `turn` only reads. */
  readonly execute: (batch: Batch) => void;
  readonly stop: () => void;
};

type State = {
  readonly options: RolesOptions;
  role: Role;
  slots: SlotSet;
  informed: boolean;
  lagMsMax: number;
  /** The last holding, while nothing is served from it: what this process held, if the same shard is given to it once more. */
  kept: Holding | null;
  /** What commands see while nothing is held. */
  nothing: Holding | null;
  /** An epoch is activated once per process: having stepped down from one, this process never serves it again. */
  readonly activated: Map<ShardId, Epoch>;
};

const expireEveryMs = 50;
const compactEveryMs = 50;
const tickEveryMs = 20;

export const createRoles = (options: RolesOptions): Roles => {
  const { clock } = options;
  const state: State = {
    ...{ options, role: { kind: "nothing" }, slots: new Uint8Array(slotCount) },
    ...{ informed: false, lagMsMax: 0, kept: null, nothing: null, activated: new Map() },
  };
  const cancelExpire = clock.every(expireEveryMs, () => {
    expire(state);
  });
  const compacting = { is: false };
  const cancelCompact = clock.every(compactEveryMs, () => {
    if (compacting.is) return;
    compacting.is = true;
    compact(state, compacting);
  });
  const cancelTick = clock.every(tickEveryMs, () => {
    const { role } = state;
    if (role.kind === "reader" && role.reader.waiting.length > 0)
      stepReader(options, role, { kind: "tick", now: nowOf(clock) });
  });
  return {
    role: () => state.role,
    standing: () => standingOf(state),
    follow: (index) => {
      const before = state.role;
      state.informed = true;
      state.lagMsMax = index.topology.lagMsMax;
      followSettings(options.usage, index.topology.settings, options.containerBytes);
      if (!ownsNewerThan(state, index)) take(state, dutyOf(index, options.self));
      const { role } = state;
      if (role.kind !== "nothing")
        state.slots = slotSetOf(index.topology.shards[role.holding.shard]?.slots ?? []);
      if (role !== before) options.changed();
    },
    answer: (waiter, refused) => {
      answer(state, waiter, refused);
    },
    execute: (batch) => {
      execute(state, batch);
    },
    stop: () => {
      cancelExpire();
      cancelCompact();
      cancelTick();
      leave(state);
    },
  };
};

/** Ownership ends with a higher epoch, or with the shard: what names another owner without one is not obeyed. */
const ownsNewerThan = ({ role, options }: State, { topology }: TopologyIndex): boolean => {
  if (role.kind !== "owner") return false;
  const named = topology.shards[role.holding.shard];
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

const answer = (
  { role, options, lagMsMax }: State,
  waiter: Waiter,
  refused: readonly (Refusal | null)[],
): void => {
  const { clock } = options;
  const { requests } = waiter.frame;
  switch (role.kind) {
    case "owner": {
      const wallMs = clock.wallMs();
      stepWriter(options, role.writer, { kind: "requests", to: waiter, requests, refused, wallMs });
      return;
    }
    case "reader": {
      const now = nowOf(clock);
      stepReader(options, role, { kind: "reads", to: waiter, requests, refused, lagMsMax, now });
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
      stepWriter(options, role.writer, { kind: "execute", batch, wallMs });
      return;
    case "reader":
      read({ holding: role.holding, usage: options.usage }, batch, wallMs);
      return;
    case "nothing":
      // Commands that need no key are answered by a process that serves nothing, too.
      state.nothing ??= emptyHolding(shardId(0), options.createStore());
      read({ holding: state.nothing, usage: options.usage }, batch, wallMs);
      return;
  }
};

const read = (
  { holding, usage }: { readonly holding: Holding; readonly usage: Usage },
  batch: Batch,
  wallMs: number,
): void => {
  const turn: Turn = {
    holding,
    epoch: holding.epoch,
    wallMs,
    records: [],
    watches: new Map(),
    usage,
    evicted: 0,
  };
  batch.run(turn);
  check(turn.records.length === 0, "only an owner writes");
  batch.release(true);
};

const own = (state: State, { shard, epoch }: Extract<Duty, { kind: "own" }>): void => {
  const { role, activated, options } = state;
  const { logger, publisher } = options;
  if (role.kind === "owner" && role.holding.shard === shard && role.writer.epoch === epoch) return;
  leave(state);
  if (epoch <= (activated.get(shard) ?? 0)) {
    logger.error({ shard, epoch }, "named owner of an epoch that was served before: not activated");
    return;
  }
  activated.set(shard, epoch);
  const holding = takeHolding(state, shard);
  const writer = activate<Waiter>(holding, epoch, options.usage);
  publisher.serve(holding);
  state.role = { kind: "owner", holding, writer };
  logger.info({ shard, epoch, version: holding.version, keys: holding.store.keys() }, "owns the shard");
};

const follow = (state: State, { shard, source }: Extract<Duty, { kind: "follow" }>): void => {
  const { options } = state;
  const { clock, publisher, logger } = options;
  const { role } = state;
  let reader;
  if (role.kind === "reader" && role.holding.shard === shard) {
    if (isSameSource(role.source, source)) return;
    reader = role.reader;
    role.subscriber?.stop();
    stepReader(options, { reader, subscriber: null }, { kind: "disconnected" });
  } else {
    leave(state);
    reader = createReader<Waiter>(takeHolding(state, shard), clock.nowMs());
    publisher.serve(reader.holding);
  }
  const { holding } = reader;
  const subscriber = source === null ? null : connect(options, reader, source);
  state.role = { kind: "reader", holding, reader, source, subscriber };
  logger.info({ shard, source: source?.pod ?? null, version: holding.version }, "follows the shard");
};

/** Serves nothing any more. What waits is answered. */
const leave = (state: State): void => {
  const { role, options } = state;
  if (role.kind === "nothing") return;
  const { publisher, logger } = options;
  state.role = { kind: "nothing" };
  state.kept = role.holding;
  publisher.stop(
    new EdisError("not-serving", "Cannot go on with this copy: this process serves it no longer"),
  );
  switch (role.kind) {
    case "owner":
      logger.info({ shard: role.holding.shard, epoch: role.writer.epoch }, "steps down");
      stepWriter(options, role.writer, { kind: "stepDown" });
      return;
    case "reader":
      role.subscriber?.stop();
      stepReader(options, { reader: role.reader, subscriber: null }, { kind: "stop" });
      return;
  }
};

const takeHolding = (state: State, shard: ShardId): Holding => {
  const { kept, options } = state;
  state.kept = null;
  return kept?.shard === shard ? kept : emptyHolding(shard, options.createStore());
};

const expire = (state: State): void => {
  const { role, options } = state;
  if (role.kind === "nothing") return;
  const { holding } = role;
  holding.store.tick(Math.floor(options.clock.nowMs() / 1000));
  options.usage.peakBytes = Math.max(options.usage.peakBytes, holding.store.usedBytes());
  if (role.kind !== "owner") return;
  const before = holding.version;
  stepWriter(options, role.writer, { kind: "expire", wallMs: options.clock.wallMs() });
  const removed = holding.version - before;
  options.counters.expiredKeys += removed;
  stepWriter(options, role.writer, { kind: "evict", wallMs: options.clock.wallMs() });
  const isOver = holding.version - before - removed >= evictedPerTurnMax;
  if (removed === expiredPerTurnMax || isOver) {
    options.clock.soon(() => {
      expire(state);
    });
  }
};

/** A step in each turn of the event loop for as long as there is something to gain. */
const compact = (state: State, compacting: { is: boolean }): void => {
  const { role, kept, options } = state;
  const holding = role.kind === "nothing" ? kept : role.holding;
  compacting.is = holding?.store.compact(compactedBytesPerTurnMax) ?? false;
  if (compacting.is)
    options.clock.soon(() => {
      compact(state, compacting);
    });
};

const isSameSource = (a: Member | null, b: Member | null): boolean =>
  a?.pod === b?.pod &&
  a?.incarnation === b?.incarnation &&
  a?.address.host === b?.address.host &&
  a?.address.replication === b?.address.replication;

const standingOf = ({ role, slots, informed }: State): Standing => {
  switch (role.kind) {
    case "nothing":
      return { kind: "nothing", informed };
    case "owner":
      return { kind: "owner", shard: role.holding.shard, epoch: role.writer.epoch, slots };
    case "reader":
      return { kind: "reader", shard: role.holding.shard, complete: role.holding.complete, slots };
  }
};

const slotSetOf = (ranges: readonly (readonly [from: number, to: number])[]): SlotSet => {
  const slots = new Uint8Array(slotCount);
  for (const [from, to] of ranges) slots.fill(1, from, to + 1);
  return slots;
};
