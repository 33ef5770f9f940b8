import type { Socket } from "node:net";
import { messageOf } from "../../../core/errors.ts";
import { turnRecordBytesMax, undurableBytesMax, unsentBytesSoftMax } from "../../../core/limits.ts";
import type { Account } from "../../../net/unsent.ts";
import type { Turn } from "../../turn.ts";
import type { Batch } from "../../writer.ts";
import { ReplyError } from "./command.ts";
import { dispatch } from "./dispatch.ts";
import { createHot, foresee, letGo, runHot, type Hot } from "./hot.ts";
import { familyOf, type Family } from "./latency.ts";
import type { Receiver } from "./receive.ts";
import { createParser, ProtocolError, type Parser } from "./parser.ts";
import { createReplies, type Replies } from "./replies.ts";
import { MustWait } from "./redirectKeys.ts";
import { createSend, type Send } from "./send.ts";
import type { Server } from "./server.ts";
import { unwatchAll, watchNothing, type Transaction, type Watching } from "./transaction.ts";
import { createUnreleased, type Unreleased } from "./unreleased.ts";

/** One client: what it has said about itself, and what it is in the middle of. */
export type Session = {
  readonly id: number;
  readonly address: string;
  readonly localAddress: string;
  readonly openedAtMs: number;
  activeAtMs: number;
  name: string;
  libName: string;
  libVersion: string;
  lastCommand: string;
  /** Reads may be answered by a reader. */
  isReadonly: boolean;
  noEvict: boolean;
  transaction: Transaction | null;
  readonly watching: Watching;
  /** Whether commands are answered: not at all, or not the next one (skipNext), which is being skipped (skipping). */
  answers: "on" | "off" | "skipNext" | "skipping";
  /**
   * What a command waits with that could not be answered at once: in a turn it answers, or says that it waits on. What follows
   * it waits as well, until `proceed` is called.
   */
  pending: Pending | null;
  /** Whether a command whose slot is changing hands waits for that, or says so. */
  mayWait: boolean;
  readonly proceed: () => void;
  /** What was made is still sent, nothing more is read. */
  isClosing: boolean;
  readonly protocol: () => 2 | 3;
  /** Bytes of a command that is not whole, and of a transaction. */
  readonly held: () => number;
  /** Since when it takes nothing of what is ready for it; null where nothing is. Monotonic milliseconds. */
  readonly stalledSinceMs: () => number | null;
  /** Reads on, where it was held back by what others wrote. */
  readonly goOn: () => void;
  /** Lets the client go: at once, or when it has got its replies. */
  readonly cut: () => void;
  readonly end: () => void;
};

/** Answers, in a turn; false, and nothing written, where it has to wait on. */
export type Pending = (turn: Turn, reply: Replies) => boolean;

type State = {
  readonly socket: Socket;
  readonly send: Send;
  readonly session: Session;
  readonly server: Server;
  readonly parser: Parser;
  readonly replies: Replies;
  /** The same for every batch of the session; they are released in the order in which they ran. */
  readonly batch: Batch;
  hot: Hot | null;
  /** Of the batch that ran last: whether there may be more to carry out, and what came first. */
  isMore: boolean;
  family: Family;
  readonly unreleased: Unreleased;
  /** Replies up to here may be sent. */
  releasedTo: number;
  sentTo: number;
  isPaused: boolean;
  /** It is among those that are looked at again when slots have changed hands. */
  isParked: boolean;
  stalledSinceMs: number | null;
  readonly account: Account;
};

type Accepted = { readonly accepted: Socket; readonly receiver: Receiver };

export const openSession = (
  { accepted, receiver }: Accepted,
  id: number,
  server: Server,
): readonly [Socket, Session] => {
  const parser = createParser();
  const replies = createReplies(server.buffers);
  const socket = receiver.open(accepted, (bytes, from, end) => {
    if (session.isClosing) return;
    server.counters.inputBytes += end - from;
    parser.feed(bytes, from, end);
    pump(state);
    parser.keep();
  });
  const nowMs = server.clock.nowMs();
  const session: Session = {
    id,
    address: `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`,
    localAddress: `${socket.localAddress ?? "?"}:${socket.localPort ?? 0}`,
    ...{ openedAtMs: nowMs, activeAtMs: nowMs },
    ...{ name: "", libName: "", libVersion: "", lastCommand: "NULL" },
    ...{ isReadonly: false, noEvict: false, transaction: null, watching: watchNothing() },
    ...{ answers: "on", isClosing: false, pending: null, mayWait: true },
    proceed: () => {
      proceed(state);
    },
    goOn: () => {
      goOn(state);
    },
    protocol: () => replies.protocol,
    held: () => parser.held() + (session.transaction?.bytes ?? 0),
    stalledSinceMs: () => (socket.writableLength === 0 ? null : state.stalledSinceMs),
    cut: () => {
      socket.destroy();
    },
    end: () => {
      session.isClosing = true;
      finish(state);
    },
  };
  const batch: Batch = {
    run: (turn) => {
      state.isMore = runBatch(state, turn);
      if (state.hot !== null) letGo(state.hot);
      state.unreleased.add(replies.written(), session.activeAtMs);
    },
    release: (isDurable) => {
      release(state, isDurable);
    },
  };
  const state: State = {
    ...{ socket, send: createSend(socket), session, server, parser, replies, batch, hot: null },
    ...{ isMore: false, family: "other", unreleased: createUnreleased() },
    ...{ releasedTo: 0, sentTo: 0, isPaused: false, isParked: false, stalledSinceMs: null },
    account: server.unsent.open(() => {
      socket.destroy();
    }),
  };
  listen(state);
  return [socket, session];
};

const listen = (state: State): void => {
  const { socket, session, replies } = state;
  socket.on("drain", () => {
    state.stalledSinceMs = null;
    if (socket.writableLength === 0) replies.reuse();
    count(state);
    goOn(state);
  });
  // What goes wrong with a socket ends it.
  socket.on("error", () => undefined);
  socket.on("close", () => {
    session.isClosing = true;
    state.account.close();
    unwatchAll(session.watching);
  });
};

/** Carries out what has been read, batch after batch, as long as the client takes the replies. */
const pump = (state: State): void => {
  const { session, socket } = state;
  do {
    if (session.isClosing || socket.destroyed) return;
    if (isFull(state) || session.pending !== null) {
      // It asks and does not read, or waits: neither is it read.
      state.isPaused = true;
      socket.pause();
      return;
    }
    carryOut(state);
  } while (hasMore(state));
};

/** What is less than a socket buffers by itself comes and goes without a word. */
const countedBytesMin = 64 * 1024;

const count = ({ account, socket, replies, sentTo }: State): void => {
  const bytes = socket.writableLength + replies.written() - sentTo;
  account.set(bytes > countedBytesMin ? bytes : 0);
};

const carryOut = (state: State): void => {
  state.isMore = false;
  state.server.execute(state.batch);
  // Replies that wait for the disk wait in as much memory as they need.
  if (state.unreleased.count() > 0) state.replies.settle();
  count(state);
};

/** Looks again at the command that waits, and goes on behind it. */
const proceed = (state: State): void => {
  const { session, socket, parser } = state;
  if (session.isClosing || socket.destroyed) return;
  carryOut(state);
  if (hasMore(state)) pump(state);
  parser.keep();
  goOn(state);
};

const hasMore = ({ isMore }: State): boolean => isMore;

/** What a batch may have to send before it ends: about what fits into the buffer that replies are written into. */
const batchBytesMax = 48 * 1024;

/** Whether there may be more to carry out. */
const runBatch = (state: State, turn: Turn): boolean => {
  const { session, server, parser, replies } = state;
  const hot = hotOf(state, turn);
  const first = replies.written();
  const firstBytes = turn.holding.bytes;
  session.activeAtMs = server.clock.nowMs();
  let family: Family | null = null;
  try {
    if (session.pending !== null && !answerPending(state, turn)) return false;
    while (!session.isClosing) {
      if (hot.next >= hot.ahead.count) foresee(hot, parser);
      const count = parser.read();
      if (count === 0) return false;
      server.counters.commands++;
      const start = replies.written();
      const name = session.transaction === null ? runPlain(hot, parser, count) : null;
      hot.next++;
      if (name !== null) session.lastCommand = name;
      else if (!runAny(state, turn)) return false;
      server.counters.calls.count(session.lastCommand);
      if (family === null) state.family = family = familyOf(session.lastCommand);
      if (session.answers !== "on") mute(session, replies, start);
      if (session.pending !== null) return false;
      if (replies.written() - first > batchBytesMax) return true;
      if (turn.holding.bytes - firstBytes > turnRecordBytesMax) return true;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    replies.error(`ERR Protocol error: ${messageOf(error)}`);
    session.isClosing = true;
  }
  return false;
};

/** Whether the command that waits is answered now. */
const answerPending = ({ session, replies }: State, turn: Turn): boolean => {
  if (session.pending === readAgain) {
    session.pending = null;
    return true;
  }
  const start = replies.written();
  if (session.pending?.(turn, replies) === false) return false;
  session.pending = null;
  if (session.answers !== "on") mute(session, replies, start);
  return true;
};

const hotOf = (state: State, turn: Turn): Hot => {
  const { session, server, replies } = state;
  const hot = (state.hot ??= createHot(turn, replies));
  const { slots, reads, writes } = server.plain(session.isReadonly);
  hot.turn = turn;
  // Other bytes may lie there now.
  hot.ahead.count = 0;
  hot.slots = slots;
  hot.reads = reads;
  hot.writes = writes && !turn.isFull && !turn.isShort;
  return hot;
};

const runPlain = (hot: Hot, { command }: Parser, count: number): string | null => {
  const start = hot.reply.written();
  try {
    return runHot(hot, command, count);
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    // There was no room for the reply, and dispatch says so.
    hot.reply.cut(start);
    return null;
  }
};

/** False, and the command is still to be read, where it has to wait for its slot. */
const runAny = (state: State, turn: Turn): boolean => {
  const { session, server, parser, replies, hot } = state;
  const { isReadonly } = session;
  try {
    dispatch({ turn, reply: replies, session, server }, parser.args());
  } catch (error) {
    if (!(error instanceof MustWait)) throw error;
    parser.unread();
    server.counters.commands--;
    waitForSlot(state);
    return false;
  }
  // What comes next may be served, or not any more.
  if (session.isReadonly !== isReadonly && hot !== null) hotOf(state, turn);
  return true;
};

/** What a command waits with that is still to be read. */
const readAgain: Pending = () => true;

const waitForSlot = (state: State): void => {
  const { session, server } = state;
  session.pending = readAgain;
  if (state.isParked) return;
  state.isParked = true;
  server.parked.park({
    // They are counted as half received.
    bytes: 0,
    answer: (isLast) => {
      if (isLast) session.mayWait = false;
      session.proceed();
      session.mayWait = true;
      state.isParked = session.pending === readAgain && !session.isClosing && !state.socket.destroyed;
      return !state.isParked;
    },
  });
};

const mute = (session: Session, replies: Replies, start: number): void => {
  replies.cut(start);
  if (session.answers === "skipNext") session.answers = "skipping";
  else if (session.answers === "skipping") session.answers = "on";
};

const release = (state: State, isDurable: boolean): void => {
  const { session, server, socket } = state;
  const { unreleased } = state;
  unreleased.take();
  if (!isDurable) {
    // What the replies say may not be so: an ended connection says just that.
    socket.destroy();
    return;
  }
  state.releasedTo = unreleased.end();
  flush(state);
  server.latency.record(state.family, server.clock.nowMs() - unreleased.startMs());
  if (session.isClosing) finish(state);
  else goOn(state);
};

/** Reads again what was not read because replies had piled up. */
const goOn = (state: State): void => {
  if (!state.isPaused || isFull(state) || state.session.pending !== null) return;
  state.isPaused = false;
  pump(state);
  state.parser.keep();
  // It may have been paused again.
  if (!isPausedNow(state)) state.socket.resume();
};

const isPausedNow = ({ isPaused }: State): boolean => isPaused;

const flush = (state: State): void => {
  const { socket, replies } = state;
  if (state.releasedTo === state.sentTo || socket.destroyed) return;
  replies.take(state.releasedTo, state.send);
  state.server.counters.outputBytes += state.releasedTo - state.sentTo;
  state.sentTo = state.releasedTo;
  if (socket.writableLength === 0) {
    state.stalledSinceMs = null;
    replies.reuse();
  } else state.stalledSinceMs ??= state.server.clock.nowMs();
};

const finish = ({ socket, sentTo, releasedTo, replies }: State): void => {
  if (socket.destroyed || sentTo < releasedTo || releasedTo < replies.written()) return;
  socket.end();
};

const isFull = ({ socket, replies, sentTo, server }: State): boolean =>
  socket.writableLength + replies.written() - sentTo > unsentBytesSoftMax ||
  server.roles.undurableBytes() > undurableBytesMax;
