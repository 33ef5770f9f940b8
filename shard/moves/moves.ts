import type { ProcessContext } from "../processContext.ts";
import { shardId, slotCount, type MapVersion, type Version } from "../../core/ids.ts";
import { movesPerShardMax } from "../../core/limits.ts";
import type { ImportSlots, MoveReport } from "../../core/message.ts";
import { ownerOf, type Home, type Move, type TopologyIndex } from "../../core/topology.ts";
import type { Counters } from "../counters.ts";
import type { Connection, Handlers } from "../../net/connection.ts";
import { hasMap } from "../holding.ts";
import type { Batch } from "../log/log.ts";
import type { Role } from "../role.ts";
import type { Roles } from "../roles.ts";
import type { SlotSet } from "../route.ts";
import type { Turn } from "../turn.ts";
import { createTicker } from "../upkeep.ts";
import { coming, leaving } from "./slots.ts";
import { createSource, type Owned, type Source } from "./source.ts";
import { dropKeys } from "./staged.ts";
import { startTarget, type Target, type TargetOptions } from "./target.ts";

/**
 * What an owner does about slots that change their shard: sends those that leave it, copies those that come, and deletes what
 * is here of any that are neither its own nor on their way to it. The topology says which, and when.
 */
export type Moves = {
  /** The topology, or what this process is, has changed. */
  readonly follow: () => void;
  /** Records that the owner's log has just got. Answers whether some of their bytes may be on their way still. */
  readonly append: (batch: Batch) => boolean;
  /** A connection to the replication port whose first message asks for slots. */
  readonly opened: (connection: Connection, asked: ImportSlots) => Handlers;
  readonly reports: () => readonly MoveReport[];
  readonly stop: () => void;
};

export type MovesOptions = ProcessContext & {
  readonly home: Home;
  readonly counters: Pick<Counters, "movedInBytes" | "movedOutBytes" | "asked">;
  readonly roles: Pick<Roles, "role" | "execute" | "safe">;
  readonly topology: () => TopologyIndex | undefined;
  /** Info should hear of it at once. */
  readonly changed: () => void;
  /** What is served may be other than before: what waits for that is looked at again. */
  readonly served: () => void;
};

type State = {
  readonly options: MovesOptions;
  readonly source: Source;
  owned: Owned | null;
  targets: readonly Target[];
  /** The version of the map that the owner was told of when it last looked for strays. */
  map: MapVersion | null;
  /** There may be keys of slots that are not the shard's. */
  areStrays: boolean;
  /** When there came to be strays. */
  straysSinceMs: number;
  /** They are being deleted, step by step. */
  isDropping: boolean;
  /** How often clients had asked by the last step. */
  asked: number;
};

const lookEveryMs = 20;
/** Who has just become owner, or just given slots away, has others waiting for him: what is to be deleted can wait. */
const strayRestMs = 500;

export const createMoves = (options: MovesOptions): Moves => {
  const { counters, topology } = options;
  const source = createSource({
    ...options,
    bytesPerSecondMax: () => topology()?.topology.settings.moveBytesPerSecondMax ?? 0,
    asked: () => counters.asked,
    sent: (bytes) => {
      counters.movedOutBytes += bytes;
    },
  });
  const state: State = {
    ...{ options, source, owned: null, targets: [], map: null, areStrays: false, isDropping: false },
    ...{ asked: 0, straysSinceMs: -Infinity },
  };
  const ticker = createTicker(options.clock, lookEveryMs, () => {
    for (const target of state.targets) target.tick();
    const mayDrop = options.clock.nowMs() - state.straysSinceMs >= strayRestMs;
    if (state.areStrays && !state.isDropping && mayDrop) dropStrays(state);
    return state.areStrays || state.targets.length > 0;
  });
  return {
    follow: () => {
      follow(state);
      if (state.areStrays || state.targets.length > 0) ticker.start();
      options.served();
    },
    append: state.source.append,
    opened: state.source.opened,
    reports: () => {
      const { owned, targets, source } = state;
      if (owned === null) return [];
      const { store } = owned.held.holding;
      return [...source.reports(), ...targets.map((target) => target.report(store))].slice(
        0,
        movesPerShardMax,
      );
    },
    stop: () => {
      ticker.stop();
      state.source.stop();
      for (const target of state.targets) target.stop();
    },
  };
};

const ownedBy = (role: Role): Owned | null =>
  role.kind === "owner" ? { held: role.held, epoch: role.writer.epoch } : null;

const follow = (state: State): void => {
  const { options, source } = state;
  const index = options.topology();
  const owned = ownedBy(options.roles.role());
  const isSame = owned?.held === state.owned?.held && owned?.epoch === state.owned?.epoch;
  state.owned = owned;
  const shard = owned?.held.holding.shard ?? shardId(0);
  const moves = owned === null || index === undefined ? [] : leaving(index.topology, shard, owned.epoch);
  source.follow(owned, moves);
  const wanted = owned === null || index === undefined ? [] : coming(index.topology, shard, owned.epoch);
  const kept = isSame ? state.targets.filter((target) => wanted.some(({ id }) => id === target.id)) : [];
  const ended = state.targets.filter((target) => !kept.includes(target));
  for (const target of ended) target.stop();
  state.targets = wanted.flatMap((move) => {
    const target = kept.find(({ id }) => id === move.id);
    target?.follow(move);
    return target ?? started(state, move);
  });
  // Strays come of a start, of another map, and of moves to here that ended; nobody writes to slots that are not the shard's.
  const map = owned?.held.holding.wantedMap ?? null;
  if (!isSame || map !== state.map || ended.length > 0) {
    state.areStrays = owned !== null;
    state.straysSinceMs = options.clock.nowMs();
  }
  state.map = map;
};

const started = ({ options, owned }: State, move: Move): readonly Target[] => {
  const index = options.topology();
  const member = index === undefined ? undefined : ownerOf(index, move.from);
  if (member === undefined || owned === null) return [];
  const to: TargetOptions = {
    ...{ ...options, role: options.home },
    write: (run, done) => writeAs(options, owned, { run, done }),
    safe: options.roles.safe,
    changed: options.changed,
    sync: (through) => syncThrough(options, owned, through),
    received: (bytes) => {
      options.counters.movedInBytes += bytes;
    },
  };
  return [startTarget(to, move, member)];
};

/** Where nothing is ever synced, what is written survives as much as it can. */
const syncThrough = async ({ topology }: MovesOptions, { held }: Owned, through: Version): Promise<void> => {
  if (topology()?.topology.settings.fsync !== "never") await held.log.sync(through);
};

/** Writes as the owner that this process was when it began; while the shard stays as it is. */
const writeAs = (
  { roles, topology }: MovesOptions,
  owned: Owned,
  { run, done }: { readonly run: (turn: Turn) => void; readonly done: () => void },
): boolean => {
  const role = roles.role();
  if (role.kind !== "owner" || role.held !== owned.held || role.writer.epoch !== owned.epoch) return false;
  if (topology()?.topology.shards[owned.held.holding.shard]?.phase.kind !== "stable") return false;
  roles.execute({
    run,
    release: (isDurable) => {
      if (isDurable) done();
    },
  });
  return true;
};

/**
 * Keys of slots that another shard has by now, or that were on their way here when their move ended. Not before the record that
 * says so: who copies this log knows by it what it does not answer for any more.
 */
const dropStrays = (state: State): void => {
  const { options, owned, targets } = state;
  if (owned === null || !hasMap(owned.held.holding)) return;
  const strays = straysOf(owned.held.holding.slots, targets);
  const outcome = { isFull: false, isDone: false };
  const isWritten = writeAs(options, owned, {
    run: (turn) => {
      outcome.isFull = turn.isFull;
      outcome.isDone = !turn.isFull && dropKeys(turn, strays);
    },
    done: () => undefined,
  });
  if (outcome.isDone) state.areStrays = false;
  else if (isWritten && !outcome.isFull) {
    state.isDropping = true;
    const { asked } = options.counters;
    const waitMs = asked === state.asked ? dropEveryMs : givingWayMs;
    state.asked = asked;
    options.clock.after(waitMs, () => {
      state.isDropping = false;
      if (state.areStrays) dropStrays(state);
    });
  }
};

/** Slots that are neither the shard's own nor on their way to it. */
const straysOf = (own: SlotSet, targets: readonly Target[]): SlotSet => {
  const strays = new Uint8Array(slotCount);
  for (let i = 0; i < slotCount; i++) if (own[i] === 0) strays[i] = 1;
  for (const { slots } of targets) for (let i = 0; i < slotCount; i++) if (slots[i] === 1) strays[i] = 0;
  return strays;
};

/** Nobody waits for it: about half of the time, a twentieth where clients ask for something. */
const dropEveryMs = 1;
const givingWayMs = 20;
