import type { Cancel, Clock } from "../../core/clock.ts";
import { EdisError, messageOf } from "../../core/errors.ts";
import { slotCount, version, type Epoch, type Version } from "../../core/ids.ts";
import {
  journalBatchBytesMax,
  moveAheadBytesMax,
  moveFrameBytesMax,
  movesPerShardMax,
  unsentBytesPerReaderMax,
} from "../../core/limits.ts";
import type { Logger } from "../../core/logger.ts";
import { encodeMessage, type ImportSlots, type MoveReport, type ToTarget } from "../../core/message.ts";
import type { Move } from "../../core/topology.ts";
import type { Connection, Handlers } from "../../net/connection.ts";
import type { Held } from "../held.ts";
import type { Batch } from "../log/log.ts";
import { slotSetOf, type SlotSet } from "../route.ts";
import { createTicker } from "../upkeep.ts";
import { isOver, nextEntries, recordsOf, walkOf, type Walk } from "./outgoing.ts";
import { createPace, type Pace } from "./pace.ts";
import { keysIn } from "./slots.ts";

/**
 * The owner's side of slots that leave it: sends their keys to whoever is to own them, and from then on what is written to
 * them. What one gets that keeps up are parts of the very batches that go to the log; any other is fed from the log.
 */
export type Source = {
  /** A connection whose first message asked for slots. */
  readonly opened: (connection: Connection, asked: ImportSlots) => Handlers;
  /** What this process owns now, null where that is nothing, and the moves that leave it; a frozen slot is written to no more. */
  readonly follow: (owned: Owned | null, moves: readonly Move[]) => void;
  /** Records that the log has just got. Answers whether some of their bytes may be on their way still. */
  readonly append: (batch: Batch) => boolean;
  readonly reports: () => readonly MoveReport[];
  readonly stop: () => void;
};
export type Owned = { readonly held: Held; readonly epoch: Epoch };

export type SourceOptions = {
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0: no bound. */
  readonly bytesPerSecondMax: () => number;
  readonly sent: (bytes: number) => void;
  /** How often clients have asked for anything so far. */
  readonly asked: () => number;
  /** Info should hear of it at once. */
  readonly changed: () => void;
};

/** A move that the topology names. */
type Leaving = { readonly move: Move; readonly slots: SlotSet; frozen: Version | null };

/** Who asked for the slots of a move. */
type Peer = {
  readonly connection: Connection;
  readonly asked: ImportSlots;
  /** Null until the topology is here that names the move. */
  under: Sending | null;
};
type Sending = {
  readonly leaving: Leaving;
  readonly held: Held;
  readonly walk: Walk;
  /** The version of the next record that is looked at. */
  next: Version;
  /** Each turn's records go out as they come. */
  isLive: boolean;
  isReading: boolean;
  hold: { readonly release: () => void };
};

type State = {
  readonly options: SourceOptions;
  readonly pace: Pace;
  owned: Owned | null;
  leaving: readonly Leaving[];
  readonly peers: Set<Peer>;
  isWoken: boolean;
  /** How often clients had asked when it was last looked at, and when that was more than before. */
  asked: number;
  busyAtMs: number;
  /** What clients get for each slice at present. */
  givenMs: number;
  cancelWait: Cancel | null;
};

const sayEveryMs = 100;
/** How long somebody may wait for the topology that names the move. */
const unknownMsMax = 2_000;

export const createSource = (options: SourceOptions): Source => {
  const { clock, bytesPerSecondMax } = options;
  const state: State = {
    ...{ options, pace: createPace(clock, bytesPerSecondMax), owned: null, leaving: [] },
    ...{ peers: new Set(), isWoken: false, cancelWait: null },
    ...{ asked: 0, busyAtMs: -Infinity, givenMs: given.leastMs },
  };
  const ticker = createTicker(clock, sayEveryMs, () => {
    for (const peer of state.peers) if (peer.under?.isLive === true) sayLive(peer, peer.under);
    return state.peers.size > 0;
  });
  return {
    opened: (connection, asked) => {
      ticker.start();
      return open(state, { connection, asked, under: null });
    },
    follow: (owned, moves) => {
      follow(state, owned, moves);
    },
    append: (batch) => {
      for (const peer of state.peers)
        if (peer.under !== null) stream(state, { peer, under: peer.under }, batch);
      return [...state.peers].some(({ connection }) => connection.unsentBytes() > 0);
    },
    reports: () => state.leaving.map((leaving) => reportOf(state, leaving)),
    stop: () => {
      ticker.stop();
      follow(state, null, []);
    },
  };
};

const open = (state: State, peer: Peer): Handlers => {
  const { connection } = peer;
  state.peers.add(peer);
  if (state.peers.size > movesPerShardMax * 2)
    connection.close(new EdisError("too-busy", `Cannot send slots: ${movesPerShardMax} moves are under way`));
  else if (!begin(state, peer))
    state.options.clock.after(unknownMsMax, () => {
      if (peer.under === null) end(state, peer, `no topology has named move ${peer.asked.move}`);
    });
  return {
    message: () => {
      throw new EdisError("bad-message", "Cannot take more on a connection that slots are sent on");
    },
    drained: () => {
      wake(state);
    },
    closed: () => {
      state.peers.delete(peer);
      peer.under?.hold.release();
      peer.under = null;
    },
  };
};

const end = (state: State, peer: Peer, why: string): void => {
  state.peers.delete(peer);
  peer.under?.hold.release();
  peer.under = null;
  peer.connection.close(new EdisError("not-owner", `Cannot send slots: ${why}; fetch the topology again`));
};

const follow = (state: State, owned: Owned | null, moves: readonly Move[]): void => {
  const isSame = owned?.held === state.owned?.held && owned?.epoch === state.owned?.epoch;
  const before = isSame ? state.leaving : [];
  state.owned = owned;
  const news = { isThere: false };
  state.leaving = moves.map((move) => {
    const leaving = before.find((one) => one.move.id === move.id) ?? newly(move);
    const frozen = move.stage === "copying" ? null : (leaving.frozen ?? owned?.held.holding.version ?? null);
    if (frozen !== leaving.frozen) news.isThere = true;
    leaving.frozen = frozen;
    return leaving;
  });
  for (const peer of state.peers) {
    if (peer.under !== null && !state.leaving.includes(peer.under.leaving))
      end(state, peer, "the move has ended");
    else if (peer.under === null) begin(state, peer);
    else if (news.isThere && peer.under.isLive) sayLive(peer, peer.under);
  }
  if (news.isThere) state.options.changed();
};

const newly = (move: Move): Leaving => ({ move, slots: slotSetOf(move.slots), frozen: null });

/** Whether the move is known: its slots are sent from now on. */
const begin = (state: State, peer: Peer): boolean => {
  const { owned, options } = state;
  const { asked, connection } = peer;
  const leaving = state.leaving.find(({ move }) => move.id === asked.move);
  if (owned === null || leaving === undefined) return false;
  const { held, epoch } = owned;
  const { holding, log } = held;
  if (holding.shard !== asked.shard || epoch !== asked.epoch) {
    end(state, peer, `this is the owner of shard ${holding.shard} in epoch ${epoch}`);
    return true;
  }
  for (const other of state.peers)
    if (other !== peer && other.under?.leaving === leaving) end(state, other, "it was asked for once more");
  if (asked.after > 0) return resume(state, peer, { leaving, held });
  const next = version(holding.version + 1);
  const walk = walkOf(holding.store, leaving.slots);
  const hold = log.hold(next);
  peer.under = { ...{ leaving, held, walk, next, hold }, isLive: false, isReading: false };
  const { keys, bytes } = keysIn(holding.store, leaving.move.slots);
  options.logger.info(
    { move: asked.move, to: connection.remote, keys, bytes },
    "slots are sent to another shard",
  );
  send(peer, { kind: "importing", epoch, version: holding.version, keys, bytes });
  wake(state);
  return true;
};

/** Goes on where a connection has ended that had brought all keys: from the log. */
const resume = (
  state: State,
  peer: Peer,
  { leaving, held }: { readonly leaving: Leaving; readonly held: Held },
): boolean => {
  const { holding, log } = held;
  const { after } = peer.asked;
  const next = version(after + 1);
  if (after > holding.version || next < log.first()) {
    end(state, peer, `the log does not have what came after ${after}`);
    return true;
  }
  const walk = { ...walkOf(holding.store, leaving.slots), slot: slotCount };
  peer.under = { ...{ leaving, held, walk, next, hold: log.hold(next) }, isLive: false, isReading: false };
  send(peer, { kind: "resumed", version: after });
  wake(state);
  return true;
};

const send = ({ connection }: Peer, message: ToTarget): void => {
  connection.send(encodeMessage(message));
};

const wake = (state: State): void => {
  // While it waits for its time, nothing else wakes it.
  if (state.isWoken || state.cancelWait !== null) return;
  state.isWoken = true;
  const { clock } = state.options;
  clock.soon(() => {
    state.isWoken = false;
    let isMore = false;
    for (const peer of state.peers) if (peer.under !== null && feed(state, peer, peer.under)) isMore = true;
    if (isMore) giveWay(state);
  });
};

/** Requests come in bursts: for so long after one there will be others. */
const busyForMs = 20;
/** What they get for each slice then: more where this process itself has to wait for its turn by so much. */
const given = { leastMs: 2, mostMs: 24, lateMs: 2 };

/** Goes on at once, or a little later where clients ask for something. */
const giveWay = (state: State): void => {
  const { clock, asked } = state.options;
  clock.soon(() => {
    const nowMs = clock.nowMs();
    const now = asked();
    if (now !== state.asked) state.busyAtMs = nowMs;
    state.asked = now;
    if (nowMs - state.busyAtMs >= busyForMs) {
      wake(state);
      return;
    }
    const { givenMs } = state;
    wakeAfter(state, givenMs, (lateMs) => {
      state.givenMs =
        lateMs > given.lateMs ? Math.min(given.mostMs, givenMs * 2) : Math.max(given.leastMs, givenMs - 1);
    });
  });
};

/** Sends one some more, where it does not get each turn's records; whether there is more that could go out at once. */
const feed = (state: State, peer: Peer, under: Sending): boolean => {
  const { walk, held } = under;
  if (under.isLive || under.isReading || peer.connection.unsentBytes() >= moveAheadBytesMax) return false;
  if (isOver(walk)) {
    readOn(state, peer, under);
    return false;
  }
  const waitMs = state.pace.waitMs();
  if (waitMs > 0) {
    wakeAfter(state, waitMs);
    return false;
  }
  const frame = nextEntries(walk, moveFrameBytesMax);
  if (frame.length > 0) sendBytes(state, peer, frame);
  state.pace.sent(frame.length);
  if (isOver(walk)) send(peer, { kind: "imported", version: held.holding.version });
  return true;
};

const wakeAfter = (state: State, waitMs: number, came: (lateMs: number) => void = () => undefined): void => {
  const { clock } = state.options;
  const dueMs = clock.nowMs() + waitMs;
  state.cancelWait ??= clock.after(waitMs, () => {
    state.cancelWait = null;
    came(clock.nowMs() - dueMs);
    wake(state);
  });
};

const sendBytes = ({ options }: State, { connection }: Peer, bytes: Uint8Array): void => {
  connection.send(bytes);
  options.sent(bytes.length);
};

/** Sends what the log has of the records that are still to be looked at. */
const readOn = (state: State, peer: Peer, under: Sending): void => {
  const { held, leaving, next } = under;
  const { log } = held;
  const { logger } = state.options;
  if (next > log.newest()) {
    under.isLive = true;
    sayLive(peer, under);
    return;
  }
  under.isReading = true;
  log.read(next, journalBatchBytesMax).then(
    ({ bytes, last }) => {
      under.isReading = false;
      if (peer.under !== under) return;
      const records = recordsOf(bytes, leaving.slots);
      if (records.length > 0) sendBytes(state, peer, records);
      under.next = version(last + 1);
      send(peer, { kind: "sent", version: last, newest: held.holding.version });
      holdFrom(under);
      wake(state);
    },
    (error: unknown) => {
      under.isReading = false;
      logger.error(
        { move: leaving.move.id, next, reason: messageOf(error) },
        "log cannot be read for a move",
      );
      if (peer.under === under) end(state, peer, "the log cannot be read");
    },
  );
};

/** What has been sent needs not to be kept any more. */
const holdFrom = (under: Sending): void => {
  const { hold, held, next } = under;
  under.hold = held.log.hold(next);
  hold.release();
};

/** Sends a turn's records to one that keeps up; one that does not is fed from the log from now on. */
const stream = (
  state: State,
  { peer, under }: { readonly peer: Peer; readonly under: Sending },
  { bytes, first, last }: Batch,
): void => {
  if (!under.isLive) return;
  if (under.next !== first || peer.connection.unsentBytes() > unsentBytesPerReaderMax) {
    under.isLive = false;
    wake(state);
    return;
  }
  const records = recordsOf(bytes, under.leaving.slots);
  under.next = version(last + 1);
  const { frozen } = under.leaving;
  if (records.length > 0) sendBytes(state, peer, records);
  // What is written to other slots is said now and then.
  if (records.length > 0 || (frozen !== null && first <= frozen)) say(peer, under);
};

const say = (peer: Peer, { next, held }: Sending): void => {
  send(peer, { kind: "sent", version: version(next - 1), newest: held.holding.version });
};

const sayLive = (peer: Peer, under: Sending): void => {
  holdFrom(under);
  say(peer, under);
};

const reportOf = ({ owned }: State, { move, frozen }: Leaving): MoveReport => {
  const { keys, bytes } =
    owned === null ? { keys: 0, bytes: 0 } : keysIn(owned.held.holding.store, move.slots);
  return { kind: "source", id: move.id, keys, bytes, frozen };
};
