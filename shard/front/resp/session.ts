import type { Socket } from "node:net";
import { messageOf } from "../../../core/errors.ts";
import { unsentBytesSoftMax } from "../../../core/limits.ts";
import type { Account } from "../../../net/unsent.ts";
import type { Batch } from "../../writer.ts";
import { dispatch } from "./dispatch.ts";
import { createParser, ProtocolError, type Parser } from "./parser.ts";
import { createReplies, type Replies } from "./replies.ts";
import type { Server } from "./server.ts";
import { unwatchAll, watchNothing, type Transaction, type Watching } from "./transaction.ts";

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
  /** What was made is still sent, nothing more is read. */
  isClosing: boolean;
  readonly protocol: () => 2 | 3;
  /** Bytes of a command that is not whole, and of a transaction. */
  readonly held: () => number;
  /** Since when it takes nothing of what is ready for it; null where nothing is. Monotonic milliseconds. */
  readonly stalledSinceMs: () => number | null;
  /** Lets the client go: at once, or when it has got its replies. */
  readonly cut: () => void;
  readonly end: () => void;
};

type State = {
  readonly socket: Socket;
  readonly session: Session;
  readonly server: Server;
  readonly parser: Parser;
  readonly replies: Replies;
  /** Replies up to here may be sent. */
  releasedTo: number;
  sentTo: number;
  isPaused: boolean;
  stalledSinceMs: number | null;
  readonly account: Account;
};

export const openSession = (socket: Socket, id: number, server: Server): Session => {
  const { clock } = server;
  const parser = createParser();
  const replies = createReplies();
  const nowMs = clock.nowMs();
  const session: Session = {
    id,
    address: `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`,
    localAddress: `${socket.localAddress ?? "?"}:${socket.localPort ?? 0}`,
    ...{ openedAtMs: nowMs, activeAtMs: nowMs },
    ...{ name: "", libName: "", libVersion: "", lastCommand: "NULL" },
    ...{ isReadonly: false, noEvict: false, transaction: null, watching: watchNothing() },
    ...{ answers: "on", isClosing: false },
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
  const state: State = {
    ...{ socket, session, server, parser, replies },
    ...{ releasedTo: 0, sentTo: 0, isPaused: false, stalledSinceMs: null },
    account: server.unsent.open(() => {
      socket.destroy();
    }),
  };
  socket.on("data", (chunk: Buffer) => {
    if (session.isClosing) return;
    parser.feed(chunk);
    pump(state);
  });
  socket.on("drain", () => {
    state.stalledSinceMs = null;
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
  return session;
};

/** Carries out what has been read, batch after batch, as long as the client takes the replies. */
const pump = (state: State): void => {
  const { session, server, socket } = state;
  let isMore = true;
  while (isMore && !session.isClosing && !socket.destroyed) {
    if (isFull(state)) {
      // It asks and does not read: neither is it read.
      state.isPaused = true;
      socket.pause();
      return;
    }
    isMore = false;
    let end = 0;
    const batch: Batch = {
      run: (turn) => {
        isMore = runBatch(state, turn);
        end = state.replies.written();
      },
      release: (isDurable) => {
        release(state, isDurable, end);
      },
    };
    server.execute(batch);
    count(state);
  }
};

/** What is less than a socket buffers by itself comes and goes without a word. */
const countedBytesMin = 64 * 1024;

const count = ({ account, socket, replies, sentTo }: State): void => {
  const bytes = socket.writableLength + replies.written() - sentTo;
  account.set(bytes > countedBytesMin ? bytes : 0);
};

/** Whether there may be more to carry out. */
const runBatch = (state: State, turn: Parameters<Batch["run"]>[0]): boolean => {
  const { session, server, parser, replies } = state;
  const surroundings = { turn, reply: replies, session, server };
  session.activeAtMs = server.clock.nowMs();
  try {
    while (!session.isClosing) {
      const args = parser.next();
      if (args === null) return false;
      server.counters.commands++;
      const start = replies.written();
      dispatch(surroundings, args);
      if (session.answers !== "on") mute(session, replies, start);
      if (replies.written() - state.sentTo > unsentBytesSoftMax) return true;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    replies.error(`ERR Protocol error: ${messageOf(error)}`);
    session.isClosing = true;
  }
  return false;
};

const mute = (session: Session, replies: Replies, start: number): void => {
  replies.cut(start);
  if (session.answers === "skipNext") session.answers = "skipping";
  else if (session.answers === "skipping") session.answers = "on";
};

const release = (state: State, isDurable: boolean, end: number): void => {
  if (!isDurable) {
    // What the replies say may not be so: an ended connection says just that.
    state.socket.destroy();
    return;
  }
  state.releasedTo = end;
  flush(state);
  if (state.session.isClosing) finish(state);
  else goOn(state);
};

/** Reads again what was not read because replies had piled up. */
const goOn = (state: State): void => {
  if (!state.isPaused || isFull(state)) return;
  state.isPaused = false;
  pump(state);
  if (!isFull(state)) state.socket.resume();
};

const flush = (state: State): void => {
  const { socket, replies } = state;
  if (state.releasedTo === state.sentTo || socket.destroyed) return;
  socket.write(replies.take(state.releasedTo));
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

const isFull = ({ socket, replies, sentTo }: State): boolean =>
  socket.writableLength + replies.written() - sentTo > unsentBytesSoftMax;
