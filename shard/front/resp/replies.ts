import { respReplyBytesMax } from "../../../core/limits.ts";
import type { Store } from "../../store/store.ts";
import { ReplyError } from "./command.ts";
import type { Send } from "./send.ts";

/**
 * Replies of one connection, written one behind the other into one growing buffer. What is written is taken in pieces,
 * by position: replies that wait for their records to be durable stay in it until then.
 */
export type Replies = {
  /** 2 or 3; the writer says the same in the words of either. */
  protocol: 2 | 3;
  readonly ok: () => void;
  readonly simple: (text: string) => void;
  /** `text` begins with its code: `ERR …`. */
  readonly error: (text: string) => void;
  readonly integer: (n: number | bigint) => void;
  readonly bulk: (bytes: Uint8Array) => void;
  /** The value of the key that was sought in a store, copied from where it lies. */
  readonly sought: (store: Pick<Store, "valueBytes" | "copyValue">) => void;
  readonly text: (text: string) => void;
  readonly bulkOrNull: (bytes: Uint8Array | undefined) => void;
  readonly null: () => void;
  readonly nullArray: () => void;
  readonly array: (length: number) => void;
  /** A map of so many pairs; RESP2 has an array of twice as many. */
  readonly map: (pairs: number) => void;
  readonly set: (length: number) => void;
  /** Text for people. */
  readonly verbatim: (text: string) => void;
  /** How many bytes were ever written. */
  readonly written: () => number;
  /** Takes back what was written after this position. */
  readonly cut: (position: number) => void;
  /** Sends the bytes up to this position that were not taken yet; they hold until `reuse` or the next `take`. */
  readonly take: (position: number, send: Send) => void;
  /** What was taken has been sent: its room may be written over. Not called, it is left alone. */
  readonly reuse: () => void;
  /** What is not taken has to wait: it moves to a buffer of its size. */
  readonly settle: () => void;
};

/** Buffers that replies are written into: a connection that has none to send holds none. */
export type ReplyBuffers = { readonly take: () => Buffer; readonly give: (buffer: Buffer) => void };

const firstBytes = 1024;
const pooledBytes = 64 * 1024;
/** Those that are neither written nor sent at the moment: one for each of some slow clients. */
const pooledMax = 16;

export const createReplyBuffers = (): ReplyBuffers => {
  const free: Buffer[] = [];
  return {
    take: () => free.pop() ?? Buffer.allocUnsafeSlow(pooledBytes),
    give: (buffer) => {
      if (buffer.length === pooledBytes && free.length < pooledMax) free.push(buffer);
    },
  };
};

type State = {
  readonly buffers: ReplyBuffers;
  buffer: Buffer;
  /** Where the next byte goes. */
  at: number;
  /** Where the bytes begin that were not taken yet. */
  from: number;
  /** Position of the first byte of the buffer. */
  base: number;
  /** Whether something of the buffer was taken and may be on its way still. */
  isTaken: boolean;
};

const none = Buffer.alloc(0);
const ok = Buffer.from("+OK\r\n");
const nullBulk = Buffer.from("$-1\r\n");
const nullArray = Buffer.from("*-1\r\n");
const null3 = Buffer.from("_\r\n");
const colon = 0x3a;
const dollar = 0x24;
const star = 0x2a;

export const createReplies = (buffers: ReplyBuffers): Replies => {
  const state: State = { buffers, buffer: none, at: 0, from: 0, base: 0, isTaken: false };
  const bulk = (bytes: Uint8Array): void => {
    writeLength(state, dollar, bytes.length);
    room(state, bytes.length + 2);
    state.buffer.set(bytes, state.at);
    state.at += bytes.length;
    end(state);
  };
  const text = (value: string): void => {
    const length = Buffer.byteLength(value);
    writeLength(state, dollar, length);
    writeText(state, value, length + 2);
    end(state);
  };
  const isTwo = (): boolean => replies.protocol === 2;
  const replies: Replies = {
    protocol: 2,
    bulk,
    text,
    ok: () => {
      raw(state, ok);
    },
    simple: (value) => {
      if (value === "OK") raw(state, ok);
      else line(state, `+${value}`);
    },
    sought: (store) => {
      const length = store.valueBytes();
      room(state, length + 24);
      writeLength(state, dollar, length);
      state.at = store.copyValue(state.buffer, state.at);
      end(state);
    },
    error: (value) => {
      // One line it has to stay.
      line(state, `-${value.replaceAll(/[\r\n]/g, " ")}`);
    },
    integer: (n) => {
      if (typeof n === "number" && n >= 0) writeLength(state, colon, n);
      else line(state, `:${n}`);
    },
    bulkOrNull: (bytes) => {
      if (bytes === undefined) replies.null();
      else bulk(bytes);
    },
    null: () => {
      raw(state, replies.protocol === 2 ? nullBulk : null3);
    },
    nullArray: () => {
      raw(state, replies.protocol === 2 ? nullArray : null3);
    },
    ...containersOf(state, isTwo),
    verbatim: (value) => {
      if (replies.protocol === 2) {
        text(value);
        return;
      }
      const length = Buffer.byteLength(value) + 4;
      writeLength(state, 0x3d, length);
      writeText(state, `txt:${value}`, length + 2);
      end(state);
    },
    ...takenFrom(state),
  };
  return replies;
};

const containersOf = (state: State, isTwo: () => boolean): Pick<Replies, "array" | "map" | "set"> => ({
  array: (length) => {
    writeLength(state, star, length);
  },
  map: (pairs) => {
    if (isTwo()) writeLength(state, star, pairs * 2);
    else writeLength(state, 0x25, pairs);
  },
  set: (length) => {
    writeLength(state, isTwo() ? star : 0x7e, length);
  },
});

const takenFrom = (state: State): Pick<Replies, "written" | "cut" | "take" | "reuse" | "settle"> => ({
  written: () => state.base + state.at,
  cut: (position) => {
    state.at = position - state.base;
  },
  take: (position, send) => {
    const { buffer, from } = state;
    state.from = position - state.base;
    state.isTaken = true;
    send(buffer, from, state.from);
  },
  reuse: () => {
    state.isTaken = false;
    if (state.from < state.at) return;
    state.base += state.at;
    state.at = 0;
    state.from = 0;
    state.buffers.give(state.buffer);
    state.buffer = none;
  },
  settle: () => {
    if (!state.isTaken && state.buffer.length > state.at) move(state, state.at - state.from);
  },
});

const room = (state: State, bytes: number): void => {
  const { buffer, at, from } = state;
  if (buffer.length - at >= bytes) return;
  const kept = at - from;
  if (kept + bytes > respReplyBytesMax)
    throw new ReplyError(`ERR the reply has more than ${respReplyBytesMax} bytes`);
  move(state, Math.max(firstBytes, kept * 2 + bytes));
};

/** Up to here a buffer is a part of one that Node cuts up: memory of its own takes longer to get, and to collect, than to fill. */
const sharedBytesMax = 512;

const bufferOf = (bytes: number): Buffer =>
  bytes <= sharedBytesMax ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes);

/** To a buffer of so many bytes at least. */
const move = (state: State, bytes: number): void => {
  const { buffers, buffer, at, from, isTaken } = state;
  const isPooled = bytes <= pooledBytes && buffer.length === 0;
  const next = isPooled ? buffers.take() : bufferOf(bytes);
  if (at > from) buffer.copy(next, 0, from, at);
  // One that may be on its way still is left as it is.
  if (!isTaken) buffers.give(buffer);
  state.buffer = next;
  state.isTaken = false;
  state.base += from;
  state.at = at - from;
  state.from = 0;
};

const end = (state: State): void => {
  state.buffer[state.at++] = 0x0d;
  state.buffer[state.at++] = 0x0a;
};

const raw = (state: State, bytes: Buffer): void => {
  room(state, bytes.length);
  const { buffer, at } = state;
  for (let i = 0; i < bytes.length; i++) buffer[at + i] = bytes[i] ?? 0;
  state.at = at + bytes.length;
};

const line = (state: State, text: string): void => {
  room(state, text.length + 2);
  state.at += state.buffer.write(text, state.at, "latin1");
  end(state);
};

const writeText = (state: State, text: string, bytesMax: number): void => {
  room(state, bytesMax);
  state.at += state.buffer.write(text, state.at, "utf8");
};

/** A mark, a number from 0 up, and the end of the line. */
const writeLength = (state: State, mark: number, n: number): void => {
  room(state, 24);
  const { buffer } = state;
  buffer[state.at++] = mark;
  if (n < 10) {
    buffer[state.at++] = 0x30 + n;
  } else if (n < 1_000_000_000) {
    let digits = 1;
    for (let rest = n; rest >= 10; rest = (rest / 10) | 0) digits++;
    let rest = n;
    for (let at = state.at + digits - 1; at >= state.at; at--) {
      const next = (rest / 10) | 0;
      buffer[at] = 0x30 + rest - next * 10;
      rest = next;
    }
    state.at += digits;
  } else {
    state.at += buffer.write(String(n), state.at, "latin1");
  }
  end(state);
};
