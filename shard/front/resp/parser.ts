import {
  respArgumentsMax,
  respCommandBytesMax,
  respInlineBytesMax,
  valueBytesMax,
} from "../../../core/limits.ts";
import { parseLength } from "./numbers.ts";

/**
 * Cuts what a client sends into commands (RESP arrays of bulk strings, or inline lines), wherever the bytes were cut on
 * their way. Where arguments lie is told by offsets, so that reading a command makes no objects.
 */
export type Parser = {
  /**
   * Takes the bytes of `chunk` between `from` and `end`; all commands must have been taken before. Bytes before `from` may be
   * written over. The chunk is the parser's until `keep` is called, or all commands have been taken.
   */
  readonly feed: (chunk: Buffer, from: number, end: number) => void;
  /** Reads the next whole command; answers how many arguments it has, 0 where more bytes are needed. Throws a ProtocolError: nothing after it can be read. */
  readonly read: () => number;
  /** The command that was read last; holds until the next call of any function. */
  readonly command: RawCommand;
  /**
   * Looks ahead at the commands that are whole already and notes where the first argument of each lies in `bytes`, as long as
   * there is room in the lists and nothing is odd. Reads none of them.
   */
  readonly foresee: (keys: FirstArguments) => void;
  /** The command that was read last is the next one again. Nothing may have been called since `read` but `args`. */
  readonly unread: () => void;
  /** Its arguments, as views. */
  readonly args: () => readonly Buffer[];
  /** Copies what is left, so that the chunk may be used again. */
  readonly keep: () => void;
  /** Bytes held of a command that is not whole yet. */
  readonly held: () => number;
};

export type FirstArguments = {
  bytes: Uint8Array;
  count: number;
  readonly froms: Int32Array;
  readonly tos: Int32Array;
};

/** Argument i lies in `bytes` from `start + offsets[2 * i]` to `start + offsets[2 * i + 1]`. */
export type RawCommand = { readonly bytes: Buffer; readonly start: number; readonly offsets: Int32Array };

/** What cannot be read as RESP; the message is what Redis says, without `ERR Protocol error: `. */
export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ProtocolError";
  }
}

type State = {
  /** What is read from. */
  buffer: Buffer;
  /** Where the command begins that is being read, or is next. */
  from: number;
  /** Where the command began that was read last. */
  last: number;
  /** The next byte to look at. */
  at: number;
  end: number;
  /** Bulk strings still to come; -1 between commands. */
  missing: number;
  /** Length of the bulk string that is being read; -1 where its length is not known yet. */
  bulk: number;
  /** How many arguments are whole. */
  count: number;
  /** Whether `buffer` is the parser's own, so that it may be written to. */
  own: boolean;
  // As in RawCommand. An inline command's bytes are made of its line.
  bytes: Buffer;
  start: number;
  offsets: Int32Array;
};

const none = Buffer.alloc(0);
const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const star = 0x2a;
const dollar = 0x24;
const zero = 0x30;
/** More offsets than that are not kept for the next command. */
const keptOffsets = 1024;
const firstOffsets = 16;

/** Instead of a length: its line has not come whole; it is none. */
const unknown = Number.MIN_SAFE_INTEGER;
const invalid = Number.MAX_SAFE_INTEGER;

export const createParser = (): Parser => {
  const state: State = {
    ...{ buffer: none, from: 0, last: 0, at: 0, end: 0, missing: -1, bulk: -1, count: 0, own: false },
    ...{ bytes: none, start: 0, offsets: new Int32Array(firstOffsets) },
  };
  return {
    command: state,
    feed: (chunk, from, end) => {
      feed(state, chunk, { from, end });
    },
    read: () => {
      for (;;) {
        const count = readCommand(state);
        // An empty line or array asks for nothing.
        if (count !== 0) return Math.max(count, 0);
      }
    },
    foresee: (keys) => {
      foresee(state, keys);
    },
    unread: () => {
      state.from = state.last;
      state.at = state.last;
    },
    args: () => argumentsOf(state),
    keep: () => {
      keep(state);
    },
    held: () => state.end - state.from,
  };
};

const feed = (
  state: State,
  chunk: Buffer,
  { from, end }: { readonly from: number; readonly end: number },
): void => {
  const held = state.end - state.from;
  const offset = state.at - state.from;
  if (held <= from) {
    // The usual case: commands are read where they lie; the beginning of the first is put before them.
    if (held > 0) state.buffer.copy(chunk, from - held, state.from, state.end);
    state.buffer = chunk;
    state.own = false;
    state.from = from - held;
    state.end = end;
  } else {
    const wanted = held + end - from;
    if (!state.own || state.from + wanted > state.buffer.length) {
      // Twice as much as is there: what was promised and never comes costs nothing.
      const grown = Buffer.allocUnsafeSlow(wanted * 2);
      state.buffer.copy(grown, 0, state.from, state.end);
      state.buffer = grown;
      state.own = true;
      state.from = 0;
    }
    chunk.copy(state.buffer, state.from + held, from, end);
    state.end = state.from + wanted;
  }
  state.at = state.from + offset;
};

const keep = (state: State): void => {
  const { buffer, from, end } = state;
  const held = end - from;
  // A command that is growing stays where it grows; the room of a large one that is done is given back.
  if (held > 0 && state.own && held * 4 > buffer.length) return;
  state.own = held > 0;
  state.buffer = none;
  if (held > 0) {
    state.buffer = Buffer.allocUnsafeSlow(held);
    buffer.copy(state.buffer, 0, from, end);
  }
  state.bytes = none;
  state.at -= from;
  state.from = 0;
  state.end = held;
};

const argumentsOf = ({ bytes, start, offsets, count }: State): readonly Buffer[] => {
  const args: Buffer[] = [];
  for (let i = 0; i < count * 2; i += 2)
    args.push(bytes.subarray(start + (offsets[i] ?? 0), start + (offsets[i + 1] ?? 0)));
  return args;
};

/** How many arguments the next command has; -1 where it has not come whole. */
const readCommand = (state: State): number => {
  if (state.missing < 0) {
    if (state.at === state.end) return -1;
    if (state.buffer[state.at] !== star) return readInline(state);
    const count = readLength(state, "too big mbulk count string");
    if (count === unknown) return -1;
    if (count > respArgumentsMax) throw new ProtocolError("invalid multibulk length");
    state.count = 0;
    if (count <= 0) {
      state.from = state.at;
      return 0;
    }
    state.missing = count;
    if (state.offsets.length > keptOffsets) state.offsets = new Int32Array(firstOffsets);
  }
  while (state.missing > 0) {
    if (state.bulk < 0 && !readBulkLength(state)) return -1;
    const { at, bulk, count } = state;
    if (state.end - at < bulk + 2) return -1;
    const { offsets } = count * 2 < state.offsets.length ? state : withMoreOffsets(state);
    offsets[count * 2] = at - state.from;
    offsets[count * 2 + 1] = at - state.from + bulk;
    state.count = count + 1;
    state.at = at + bulk + 2;
    state.bulk = -1;
    state.missing--;
  }
  state.missing = -1;
  state.bytes = state.buffer;
  state.start = state.from;
  state.last = state.from;
  state.from = state.at;
  return state.count;
};

const withMoreOffsets = (state: State): State => {
  const offsets = new Int32Array(state.offsets.length * 2);
  offsets.set(state.offsets);
  state.offsets = offsets;
  return state;
};

const readBulkLength = (state: State): boolean => {
  const { at, buffer } = state;
  const length = readLength(state, "too big bulk count string");
  if (length === unknown) return false;
  const first = buffer[at] ?? 0;
  if (first !== dollar)
    throw new ProtocolError(`expected '$', got '${String.fromCharCode(first === 0 ? 0x20 : first)}'`);
  if (length < 0 || length > valueBytesMax) throw new ProtocolError("invalid bulk length");
  if (state.at - state.from + length > respCommandBytesMax)
    throw new ProtocolError(`a command has more than ${respCommandBytesMax} bytes`);
  state.bulk = length;
  return true;
};

/** A longer one takes longer to look at than there is to gain. */
const foreseenBytesMax = 256;

const foresee = ({ buffer, at: start, end, missing }: State, keys: FirstArguments): void => {
  const { froms, tos } = keys;
  keys.bytes = buffer;
  keys.count = 0;
  if (missing >= 0) return;
  for (let at = start; keys.count < froms.length && buffer[at] === star;) {
    const args = (buffer[at + 1] ?? 0) - zero;
    if (args < 2 || args > 9 || buffer[at + 2] !== carriageReturn) return;
    at += 4;
    for (let i = 0; i < args; i++) {
      if (at >= end || buffer[at] !== dollar) return;
      let n = 0;
      for (at++; at < end && buffer[at] !== carriageReturn; at++) n = (n * 10 + (buffer[at] ?? 0) - zero) | 0;
      at += 2;
      if (n < 0 || n > end - at - 2) return;
      if (i === 1) {
        if (n > foreseenBytesMax) return;
        froms[keys.count] = at;
        tos[keys.count] = at + n;
      }
      at += n + 2;
    }
    keys.count++;
  }
};

/** The number that stands behind the mark at `at`, and goes on behind its line; or `unknown`, or `invalid`. */
const readLength = (state: State, tooLong: string): number => {
  const { buffer, at, end } = state;
  let to = at + 1;
  let n = 0;
  // The byte behind the carriage return has to be there, too.
  const limit = Math.min(end - 1, at + 9);
  while (to < limit) {
    const digit = (buffer[to] ?? 0) - zero;
    if (digit < 0 || digit > 9) break;
    n = n * 10 + digit;
    to++;
  }
  const isPlain = to < end - 1 && buffer[to] === carriageReturn && to > at + 1;
  if (isPlain && (buffer[at + 1] !== zero || to === at + 2)) {
    state.at = to + 2;
    return n;
  }
  return readOddLength(state, tooLong);
};

const readOddLength = (state: State, tooLong: string): number => {
  const { buffer, at, end } = state;
  // As Redis does: the byte behind the carriage return is not looked at.
  const found = indexOf(buffer, carriageReturn, { from: at, end });
  if (found === -1 || found + 1 >= end) {
    if (found === -1 && end - at > respInlineBytesMax) throw new ProtocolError(tooLong);
    return unknown;
  }
  state.at = found + 2;
  return parseLength(buffer, at + 1, found) ?? invalid;
};

const indexOf = (
  buffer: Buffer,
  byte: number,
  { from, end }: { readonly from: number; readonly end: number },
): number => {
  const found = buffer.subarray(from, end).indexOf(byte);
  return found === -1 ? -1 : from + found;
};

const readInline = (state: State): number => {
  const { buffer, at, end } = state;
  const found = indexOf(buffer, lineFeed, { from: at, end });
  if (found === -1) {
    if (end - at > respInlineBytesMax) throw new ProtocolError("too big inline request");
    return -1;
  }
  const to = found > at && buffer[found - 1] === carriageReturn ? found - 1 : found;
  const words = splitWords(buffer.subarray(at, to));
  if (words === null) throw new ProtocolError("unbalanced quotes in request");
  state.at = found + 1;
  state.last = state.from;
  state.from = state.at;
  state.bytes = Buffer.concat(words);
  state.start = 0;
  state.offsets = new Int32Array(Math.max(words.length * 2, firstOffsets));
  let offset = 0;
  for (const [i, { length }] of words.entries()) {
    state.offsets[i * 2] = offset;
    state.offsets[i * 2 + 1] = offset += length;
  }
  state.count = words.length;
  return words.length;
};

const escapes: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, b: 8, a: 7 };

/** Words of a line, with quotes and escapes as in a shell; null where a quote is not closed, or more follows it at once. */
const splitWords = (line: Buffer): Buffer[] | null => {
  const text = line.toString("latin1").split("\0", 1)[0] ?? "";
  const words: Buffer[] = [];
  for (let at = 0; ;) {
    while (at < text.length && isSpace(text.charCodeAt(at))) at++;
    if (at === text.length) return words;
    const bytes: number[] = [];
    while (at < text.length && !isSpace(text.charCodeAt(at))) {
      const quote = text[at];
      if (quote !== '"' && quote !== "'") {
        bytes.push(text.charCodeAt(at++));
        continue;
      }
      const close = quoted(text, at, bytes);
      if (close === -1 || (close < text.length && !isSpace(text.charCodeAt(close)))) return null;
      at = close;
      break;
    }
    words.push(Buffer.from(bytes));
  }
};

/** Adds what stands between the quote at `open` and its partner; the offset behind that, -1 where there is none. */
const quoted = (text: string, open: number, bytes: number[]): number => {
  const quote = text[open];
  for (let at = open + 1; at < text.length; at++) {
    const char = text[at] ?? "";
    if (char === quote) return at + 1;
    if (char !== "\\") {
      bytes.push(text.charCodeAt(at));
      continue;
    }
    const next = text[at + 1] ?? "";
    if (quote === "'") {
      if (next === "'") at++;
      bytes.push(text.charCodeAt(at));
      continue;
    }
    const hex = /^x([0-9a-fA-F]{2})/.exec(text.slice(at + 1, at + 4))?.[1];
    if (hex !== undefined) {
      bytes.push(Number.parseInt(hex, 16));
      at += 3;
    } else if (next !== "") {
      bytes.push(escapes[next] ?? next.charCodeAt(0));
      at++;
    } else {
      bytes.push(0x5c);
    }
  }
  return -1;
};

const isSpace = (code: number): boolean => code === 0x20 || (code >= 9 && code <= 13);
