import type { ProcessContext } from "../processContext.ts";
import { messageOf } from "../../core/errors.ts";
import type { Version } from "../../core/ids.ts";
import { frameBytesMax, moveUndurableBytesMax } from "../../core/limits.ts";
import {
  decodeMessage,
  encodeMessage,
  isControl,
  toTargetSchema,
  type MoveReport,
  type Role,
} from "../../core/message.ts";
import type { Member, Move } from "../../core/topology.ts";
import type { Connection, Handlers } from "../../net/connection.ts";
import { stayConnected } from "../../net/stayConnected.ts";
import { makeRoom } from "../memory.ts";
import { hostOf } from "../replication/subscriber.ts";
import { slotSetOf, type SlotSet } from "../route.ts";
import type { Store } from "../store/store.ts";
import type { Turn } from "../turn.ts";
import { newImport, step, type ImportEffect, type ImportEvent, type Importing } from "./importing.ts";
import { keysIn } from "./slots.ts";
import { dropKeys, takeItems } from "./staged.ts";

/**
 * The owner's side of slots that come to it: copies them from their owner into its own log, where they are not served, until
 * the topology gives them to it or the move is no more.
 */
export type Target = {
  readonly id: number;
  readonly slots: SlotSet;
  /** The topology says another stage of the same move. */
  readonly follow: (move: Move) => void;
  /** Goes on where something stood in the way. */
  readonly tick: () => void;
  /** `store`: where the slots come to. */
  readonly report: (store: Store) => MoveReport;
  readonly stop: () => void;
};

export type TargetOptions = ProcessContext & {
  readonly role: Role;
  /**
   * Carries something out as the owner that this belongs to; `done` hears once what it wrote is durable here. False, and
   * nothing is done, where that must not write now.
   */
  readonly write: (run: (turn: Turn) => void, done: () => void) => boolean;
  /** Resolves once all records up to here survive any end of this process. */
  readonly sync: (through: Version) => Promise<void>;
  /** Everything up to here is durable here and at all who are in sync. */
  readonly safe: () => Version;
  readonly received: (bytes: number) => void;
  /** Info should hear of it at once. */
  readonly changed: () => void;
};

type State = {
  readonly options: TargetOptions;
  move: Move;
  readonly source: Member;
  readonly slots: SlotSet;
  readonly importing: Importing;
  readonly ended: AbortController;
  connection: Connection | null;
  /** Came and is not taken yet, in order. */
  readonly queue: Uint8Array[];
  isPumping: boolean;
  /** The slots are being cleared, step by step. */
  isClearing: boolean;
  /** Bytes written that are not durable. */
  undurable: number;
  /** What is being made safe, and what may be next. */
  waited: Confirmed | null;
  latest: Confirmed | null;
  problem: string | null;
};
/** With this shard's records up to `own` there is everything up to version `through` of the source. */
type Confirmed = { readonly own: Version; readonly through: Version; isSynced: boolean };

const backoff = { firstMs: 20, maxMs: 1_000 };

export const startTarget = (options: TargetOptions, move: Move, source: Member): Target => {
  const { logger } = options;
  const state: State = {
    ...{ options, move, source, slots: slotSetOf(move.slots), importing: newImport() },
    ...{
      ended: new AbortController(),
      connection: null,
      queue: [],
      isPumping: false,
      isClearing: false,
      undurable: 0,
    },
    ...{ waited: null, latest: null, problem: null },
  };
  logger.info({ move: move.id, from: source.pod }, "slots are copied from another shard");
  clear(state);
  connect(state);
  return {
    id: move.id,
    slots: state.slots,
    follow: (now) => {
      state.move = now;
      makeSafe(state);
    },
    tick: () => {
      if (state.importing.phase === "clearing") clear(state);
      pump(state);
      confirm(state);
    },
    report: (store) => reportOf(state, keysIn(store, state.move.slots)),
    stop: () => {
      state.connection = null;
      state.ended.abort();
    },
  };
};

const take = (state: State, event: ImportEvent): void => {
  const { importing, move, options } = state;
  const { holds } = importing;
  for (const effect of step(importing, event)) perform(state, effect);
  // What has come is waited for as soon as the source is frozen: nobody writes to these slots meanwhile.
  if (importing.holds !== holds && (holds === null || move.stage === "freezing")) options.changed();
};

const perform = (state: State, effect: ImportEffect): void => {
  const { options, move, connection } = state;
  switch (effect.kind) {
    case "clear":
      clear(state);
      return;
    case "ask":
      connection?.send(
        encodeMessage({
          ...{ kind: "import", move: move.id, shard: move.from, epoch: move.fromEpoch },
          after: effect.after,
        }),
      );
      return;
    case "write":
      return;
    case "confirm":
      options.write(
        ({ holding }) => {
          state.latest = { own: holding.version, through: effect.through, isSynced: false };
        },
        () => {
          makeSafe(state);
        },
      );
      return;
    case "reconnect":
      options.logger.warn({ move: move.id, reason: effect.reason }, "move of slots broken off: begins anew");
      connection?.cut();
      return;
  }
};

/**
 * Has what was taken synced, whatever the mode: the source deletes whole slots for it, not the writes of a second. Once when all
 * is here, and for each step when the source is frozen.
 */
const makeSafe = (state: State): void => {
  const { options, importing, move, latest } = state;
  if (state.waited !== null || latest === null) return;
  if (importing.holds !== null && move.stage !== "freezing") return;
  state.waited = latest;
  state.latest = null;
  options.sync(latest.own).then(
    () => {
      latest.isSynced = true;
      confirm(state);
    },
    // The log has failed, and the process ends.
    () => undefined,
  );
};

/** Tells how far everything survives that was taken. */
const confirm = (state: State): void => {
  const { waited, options } = state;
  if (waited?.isSynced !== true || waited.own > options.safe()) return;
  state.waited = null;
  take(state, { kind: "safe", through: waited.through });
  makeSafe(state);
};

/** Deletes what is there of the slots, a little in each turn of the event loop. */
const clear = (state: State): void => {
  const { options, slots, ended, importing } = state;
  if (ended.signal.aborted || importing.phase !== "clearing" || state.isClearing) return;
  const outcome = { isClear: false };
  const isOwner = options.write(
    (turn) => {
      state.problem = turn.isFull ? volumeFull : null;
      outcome.isClear = !turn.isFull && dropKeys(turn, slots);
    },
    () => undefined,
  );
  if (outcome.isClear) take(state, { kind: "cleared" });
  else if (isOwner && state.problem === null) {
    state.isClearing = true;
    options.clock.soon(() => {
      state.isClearing = false;
      clear(state);
    });
  }
};

const volumeFull = "the volume of the shard that the slots go to is full";
const noMemory = "the shard that the slots go to holds as much as it may";

const connect = (state: State): void => {
  const { options, source, ended } = state;
  const { clusterId, self, role, token, network, clock, random, logger } = options;
  void stayConnected({
    ...{ cluster: clusterId, role, self, to: source.pod, token, network, clock, logger, backoff, random },
    ...{ signal: ended.signal, frameBytesMax },
    urls: () => [`ws://${hostOf(source)}:${source.address.replication}`],
    opened: (connection, { incarnation }) => {
      if (incarnation === source.incarnation) return follow(state, connection);
      connection.close();
      return { message: () => undefined, closed: () => undefined };
    },
    failed: (error) => {
      state.problem = `Cannot reach ${source.pod}: ${messageOf(error)}`.slice(0, problemCharactersMax);
    },
  });
};

const problemCharactersMax = 300;

const follow = (state: State, connection: Connection): Handlers => {
  state.connection = connection;
  state.queue.length = 0;
  state.problem = null;
  take(state, { kind: "connected" });
  return {
    message: (frame) => {
      if (state.connection !== connection) return;
      state.queue.push(frame);
      if (state.queue.length === 1) pump(state);
    },
    closed: () => {
      if (state.connection !== connection) return;
      state.connection = null;
      state.queue.length = 0;
      take(state, { kind: "disconnected" });
    },
  };
};

/** Takes what has come, in order, as far as that is possible; reads no more of the source while it is not. */
const pump = (state: State): void => {
  const { queue, connection, options, move } = state;
  if (connection === null || state.isPumping) return;
  state.isPumping = true;
  let taken = 0;
  try {
    for (const frame of queue) {
      if (state.undurable > moveUndurableBytesMax || !takeFrame(state, frame)) break;
      taken++;
    }
    queue.splice(0, taken);
    if (queue.length > 0) connection.pause();
    else connection.resume();
  } catch (error) {
    options.logger.warn({ move: move.id, error }, "source of slots sent what cannot be read: begins anew");
    connection.cut();
  } finally {
    state.isPumping = false;
  }
};

/** Whether it was taken. */
const takeFrame = (state: State, frame: Uint8Array): boolean => {
  const { options } = state;
  if (isControl(frame)) {
    const message = decodeMessage(toTargetSchema, frame);
    if (message.kind === "failure") state.problem = message.message.slice(0, problemCharactersMax);
    take(state, { kind: "message", message });
    return true;
  }
  const [effect] = step(state.importing, { kind: "items" });
  if (effect?.kind !== "write") {
    if (effect !== undefined) perform(state, effect);
    return true;
  }
  const outcome: { isTaken: boolean; failure: Error | null } = { isTaken: false, failure: null };
  const isOwner = options.write(
    (turn) => {
      state.problem = turn.isFull ? volumeFull : makeRoom(turn) ? null : noMemory;
      if (state.problem !== null) return;
      outcome.isTaken = true;
      state.undurable += frame.length;
      try {
        takeItems(turn, frame, state.slots);
      } catch (error) {
        outcome.failure = error instanceof Error ? error : new Error(messageOf(error));
      }
    },
    () => {
      if (!outcome.isTaken) return;
      state.undurable -= frame.length;
      if (state.queue.length > 0) pump(state);
    },
  );
  // Not within the writer: what was written before it stays, and is deleted before the next attempt.
  if (outcome.failure !== null) throw outcome.failure;
  if (outcome.isTaken) options.received(frame.length);
  return isOwner && outcome.isTaken;
};

const reportOf = (
  { importing, move, problem }: State,
  { keys, bytes }: { readonly keys: number; readonly bytes: number },
): MoveReport => {
  const { phase, taken, newest, holds } = importing;
  return {
    ...{ kind: "target", id: move.id, state: phase === "clearing" ? "connecting" : phase },
    ...{ keys, bytes, lag: Math.max(0, (newest ?? 0) - (taken ?? 0)), holds, problem },
  };
};
