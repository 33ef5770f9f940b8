import { EdisError } from "../core/errors.ts";
import { slotCount, version, type Epoch, type Version } from "../core/ids.ts";
import type { Report, ToShard } from "../core/message.ts";
import { usualSettings, type Settings } from "../core/settings.ts";
import type { Member, Shard, TopologyIndex } from "../core/topology.ts";
import { dutyOf, floorOf, type Duty } from "./duty.ts";
import type { Held } from "./held.ts";
import type { LogEvents } from "./log/log.ts";
import { follow as followSettings } from "./memory.ts";
import { createPromises, type PromiseOptions, type Promises } from "./promise.ts";
import type { Holding } from "./holding.ts";
import { createKept, type Kept, type KeptOptions } from "./kept.ts";
import { createReader } from "./reader.ts";
import { isSameServed, servedNow, slotsServed, type Served } from "./moves/slots.ts";
import {
  connect,
  dropCopy,
  grantAsked,
  nowOf,
  standingOf,
  stepReader,
  type Following,
  type Role,
  type RoleOptions,
  type Waiter,
} from "./role.ts";
import type { Refusal, Standing } from "./route.ts";
import {
  acknowledge,
  ageMs,
  answer,
  execute,
  expire,
  flush,
  logEventsOf,
  write,
  type Serving,
  type ServingOptions,
} from "./serving.ts";
import { createShelf, type ShelfOptions } from "./shelf.ts";
import { createTenure, type Tenure } from "./tenure.ts";
import { enterMap } from "./turn.ts";
import { createUndurable } from "./undurable.ts";
import { createTicker, keepCompacting, keepExpiring } from "./upkeep.ts";
import { activate, type Batch, type Gate, type Writer } from "./writer.ts";

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
  /** How old at most what this process holds is; Infinity where nobody knows. Milliseconds. */
  readonly ageMs: () => number;
  /** How long an owner may answer still, Infinity where nobody else can be made one; null of who owns nothing. Milliseconds. */
  readonly leaseLeftMs: () => number | null;
  /** Of an owner: everything up to here is durable here and at whoever may be owner next. */
  readonly safe: () => Version;
  /** Somebody may be made owner after this one. */
  readonly hasHeir: () => boolean;
  /** What this process has promised, for reports. */
  readonly promised: () => Report["promised"];
  /** The report `seq` goes to info. */
  readonly reporting: (seq: number) => void;
  /** Info has granted an owner of this shard and epoch a lease. */
  readonly granted: (grant: InfoGrant) => void;
  /** Takes over what earlier processes have promised. */
  readonly restore: Promises["restore"];
  /** What a log of this process has to tell. */
  readonly logEvents: LogEvents;
  /** Serves nothing any more; resolves once everything is on the volume. */
  readonly stop: () => Promise<void>;
};

export type InfoGrant = Extract<ToShard, { kind: "grant" }>;

export type RolesOptions = Omit<ServingOptions, "promises"> & {
  /** Resolves once these promises are on the volume, and survive. */
  readonly keepPromises: PromiseOptions["write"];
  readonly open: ShelfOptions["open"];
  readonly keepOnly: KeptOptions["keepOnly"];
  /** The memory limit of this process's own container; null where there is none. */
  readonly containerBytes: number | null;
};

type State = Omit<Serving, "options"> & {
  readonly options: RolesOptions & ServingOptions;
  /** What the slots of what is held were made from. */
  served: { readonly by: Holding; readonly what: Served } | null;
  readonly kept: Kept;
};

const tickEveryMs = 20;

export const createRoles = (given: RolesOptions): Roles => {
  const state = createState(given);
  const { roleOptions, options } = state;
  const { clock, promises } = options;
  const ticker = createTicker(clock, tickEveryMs, () => {
    if (!doReadsWait(state)) return false;
    if (state.role.kind === "reader")
      stepReader(roleOptions, state.role.following, { kind: "tick", now: nowOf(clock) });
    return true;
  });
  const cancels = [
    keepExpiring(clock, () => expire(state)),
    keepCompacting(clock, () => heldBy(state)?.holding.store),
    () => {
      ticker.stop();
    },
  ];
  return {
    role: () => state.role,
    held: () => heldBy(state),
    standing: () =>
      standingOf(state.role, { slots: state.slots, informed: state.index !== null, isNext: isNext(state) }),
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
      if (doReadsWait(state)) ticker.start();
    },
    execute: (batch) => {
      execute(state, batch);
    },
    undurableBytes: () =>
      state.role.kind === "owner" ? state.undurable.of(state.role.held.holding.bytes) : 0,
    ageMs: () => ageMs(state),
    ...tenureOf(state),
    promised: () => promisedBy(state),
    restore: promises.restore,
    logEvents: logEventsOf(state, () => {
      become(state);
    }),
    stop: async () => {
      for (const cancel of cancels) cancel();
      leave(state);
      state.isStopped = true;
      await state.shelf.close();
    },
  };
};

/** Reads that a reader answers once it has got further. */
const doReadsWait = ({ role }: State): boolean =>
  role.kind === "reader" && role.following.reader.waiting.length > 0;

const createState = (given: RolesOptions): State => {
  const promises = createPromises({
    ...{ clock: given.clock, write: given.keepPromises, failed: given.failed },
    changed: () => {
      become(state);
      given.changed();
    },
  });
  const options = { ...given, promises };
  const roleOptions: RoleOptions = {
    ...options,
    whole: () => {
      state.kept.follow(state);
    },
    leaseMs: () => settingsOf(state).leaseMs,
  };
  const shelf = createShelf({
    ...options,
    ready: () => {
      become(state);
    },
  });
  const state: State = {
    ...{ options, roleOptions, role: { kind: "nothing" }, index: null, slots: new Uint8Array(slotCount) },
    ...{ served: null, kept: createKept(options) },
    ...{ shelf, isFull: false, isStopped: false, isFlushDue: false, undurable: createUndurable() },
    ...{ nothing: null, activated: new Map(), duty: { kind: "nothing", shard: null }, marks: 0 },
  };
  return state;
};

const heldBy = ({ role, shelf }: State): Held | null => (role.kind === "nothing" ? shelf.held() : role.held);

/** Becomes what the newest topology wants. */
const become = (state: State): void => {
  const { index, options, isStopped } = state;
  if (index === null || isStopped) return;
  const before = state.role;
  state.duty = dutyOf(index, options.self);
  const { shard } = state.duty;
  if (shard !== null) options.promises.promise(shard.id, floorOf(shard).epoch);
  if (!ownsNewerThan(state, index)) take(state, state.duty);
  followTenure(state, index);
  followMap(state, index);
  state.kept.follow(state);
  if (state.role !== before) options.changed();
};

const followTenure = ({ role }: State, index: TopologyIndex): void => {
  if (role.kind !== "owner") return;
  const shard = index.topology.shards[role.held.holding.shard];
  if (shard?.epoch === role.tenure.epoch) role.tenure.follow(index, shard);
};

/** Serves the slots that the topology says; an owner records first of all that they are others than before. */
const followMap = (state: State, { topology }: TopologyIndex): void => {
  const { role } = state;
  if (role.kind === "nothing") return;
  const { holding } = role.held;
  const named = topology.shards[holding.shard];
  const wanted = named?.mapVersion ?? holding.wantedMap;
  const isFrozen = role.kind === "owner" && role.tenure.isFrozen();
  const mayWrite = role.kind === "owner" && !isFrozen && named?.epoch === role.writer.epoch;
  if (mayWrite && wanted > holding.mapVersion)
    execute(state, {
      run: (turn) => {
        enterMap(turn, wanted);
      },
      release: () => undefined,
    });
  holding.wantedMap = wanted;
  const served = servedNow(topology, holding.shard, role.kind === "owner" ? role.writer.epoch : null);
  const now = isFrozen ? { ...served, frozen: served.slots } : served;
  // Most changes of a topology are about something else.
  if (state.served?.by !== holding || !isSameServed(state.served.what, now)) {
    state.served = { by: holding, what: now };
    holding.slots = slotsServed(now);
  }
  state.slots = holding.slots;
};

/** Ownership ends with a higher epoch, or with the shard: what names another owner without one is not obeyed. */
const ownsNewerThan = ({ role, options }: State, { topology }: TopologyIndex): boolean => {
  if (role.kind !== "owner") return false;
  const named = topology.shards[role.held.holding.shard];
  if (named === undefined || floorOf(named).epoch > role.writer.epoch) return false;
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
      own(state, duty.shard);
      return;
    case "follow":
      follow(state, duty);
      return;
    case "nothing":
      leave(state);
      return;
  }
};

const own = (state: State, { id: shard, epoch }: Shard): void => {
  const { role, activated, options } = state;
  const { logger, promises } = options;
  if (role.kind === "owner" && role.held.holding.shard === shard && role.writer.epoch === epoch) return;
  if (promises.floor(shard) !== epoch) {
    // A later epoch is promised: nobody older is obeyed, and this one does not begin.
    if (role.kind === "reader" && role.held.holding.shard === shard) {
      letGoOfSource(state, role.following);
      state.role = { ...role, source: null };
    } else leave(state);
    return;
  }
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
  begin(state, held, epoch);
};

/**
 * The epoch begins here. The promise to obey nobody below it may be on its way to the volume still: the epoch's first record, which is
 * in the log before anything of it is answered, says the same to the next process.
 */
const begin = (state: State, held: Held, epoch: Epoch): void => {
  const { options, isFull, activated } = state;
  const { holding } = held;
  const { shard } = holding;
  const { journal, usage, publisher, logger } = options;
  activated.set(shard, epoch);
  state.undurable.begin(holding.bytes);
  const gate: Gate = {
    leaseLeftMs: () => tenure.leaseLeftMs(),
    ageMs: () => tenure.ageMs(),
    isShort: () => tenure.isShort(),
  };
  // What another log may have still to write stays as it is.
  journal.leave();
  const writer: Writer<Waiter> = activate(holding, epoch, { journal, isFull, usage, gate });
  const tenure: Tenure = createTenure({
    ...{ clock: options.clock, held, epoch, begins: holding.version },
    settings: () => settingsOf(state),
    nextMark: () => ++state.marks,
    followers: publisher.followers,
    changed: () => {
      if (state.role.kind === "owner" && state.role.tenure === tenure) acknowledge(state);
    },
    tell: options.changed,
  });
  publisher.serve(held, tenure);
  state.role = { kind: "owner", held, writer, tenure };
  flush(state);
  logger.info({ shard, epoch, version: holding.version, keys: holding.store.keys() }, "owns the shard");
};

const follow = (state: State, { shard: named, source: wanted }: Extract<Duty, { kind: "follow" }>): void => {
  const { options, roleOptions, isFull, role } = state;
  const { clock, publisher, logger, promises } = options;
  const { id: shard, epoch } = named;
  // A full volume takes no more records: the stream goes on where it was once there is room. And nobody is followed who is older than
  // what was promised. That promise may be on its way to the volume: what is acknowledged is in the log, no lease is granted before.
  const source = isFull || promises.floor(shard) !== epoch ? null : wanted;
  let following: Following;
  if (role.kind === "reader" && role.held.holding.shard === shard) {
    following = role.following;
    raiseFloor(following, epoch);
    if (isSameSource(role.source, source)) {
      grantAsked(roleOptions, following);
      return;
    }
    letGoOfSource(state, following);
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
      asked: null,
    };
    raiseFloor(following, epoch);
    publisher.serve(held);
  }
  const { held } = following;
  if (source !== null) connect(roleOptions, following, source);
  state.role = { kind: "reader", held, following, source };
  logger.info({ shard, source: source?.pod ?? null, version: held.holding.version }, "follows the shard");
};

const raiseFloor = ({ reader }: Following, epoch: Epoch): void => {
  if (epoch <= reader.floor) return;
  reader.floor = epoch;
  reader.heardAtMs = null;
};

const letGoOfSource = ({ roleOptions }: State, following: Following): void => {
  following.subscriber?.stop();
  following.subscriber = null;
  following.asked = null;
  stepReader(roleOptions, following, { kind: "sourceGone" });
};

/** Serves nothing any more. What waits is answered. */
const leave = (state: State): void => {
  const { role, options, roleOptions } = state;
  if (role.kind === "nothing") return;
  flush(state);
  state.role = { kind: "nothing" };
  state.kept.leave();
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
      letGoOfSource(state, following);
      stepReader(roleOptions, following, { kind: "stop" });
      dropCopy(roleOptions, following);
      return;
    }
  }
};

const isSameSource = (a: Member | null, b: Member | null): boolean =>
  a?.pod === b?.pod &&
  a?.incarnation === b?.incarnation &&
  a?.address.host === b?.address.host &&
  a?.address.replication === b?.address.replication;

const settingsOf = ({ index }: State): Settings => index?.topology.settings ?? usualSettings;

/** The topology names this process an owner, and it is about to be. */
const isNext = ({ duty, role, options, activated }: State): boolean => {
  if (duty.kind !== "own" || role.kind === "owner") return false;
  const { id, epoch } = duty.shard;
  return epoch >= options.promises.floor(id) && epoch > (activated.get(id) ?? 0);
};

type OfTenure = Pick<Roles, "leaseLeftMs" | "safe" | "hasHeir" | "reporting" | "granted">;

/** What others ask and tell an owner; of what is none it means nothing. */
const tenureOf = (state: State): OfTenure => {
  const tenure = (): Tenure | null => (state.role.kind === "owner" ? state.role.tenure : null);
  return {
    leaseLeftMs: () => tenure()?.leaseLeftMs() ?? null,
    safe: () => tenure()?.safe() ?? version(0),
    hasHeir: () => (tenure()?.inSync().size ?? 0) > 0,
    reporting: (seq) => tenure()?.reporting(seq),
    granted: ({ seq, shard, epoch, leaseMs = settingsOf(state).leaseMs }) => {
      const { role } = state;
      if (role.kind !== "owner" || role.held.holding.shard !== shard || role.tenure.epoch !== epoch) return;
      role.tenure.granted({ seq, leaseMs: Math.min(leaseMs, settingsOf(state).leaseMs) });
    },
  };
};

const promisedBy = (state: State): Report["promised"] => {
  const { promises } = state.options;
  const shard = state.duty.shard?.id ?? heldBy(state)?.holding.shard;
  if (shard === undefined || promises.kept(shard) === 0) return null;
  const leftMs = promises.leftMs(shard, settingsOf(state).leaseMs);
  return { shard, epoch: promises.kept(shard), leftMs };
};
