import {
  respArgumentsMax,
  respCommandBytesMax,
  respInlineBytesMax,
  valueBytesMax,
} from "../../../core/limits.ts";
import { parseLength } from "./numbers.ts";

/**
 * Cuts what a client sends into commands (RESP arrays of bulk strings, or inline lines), wherever the bytes were cut on
 * their way. A command is a list of views: they hold until the next call.
 */
export type Parser = {
  /** Takes bytes; the caller must take all commands before it hands over more. */
  readonly feed: (chunk: Buffer) => void;
  /** The next whole command, null where more bytes are needed. Throws a ProtocolError: nothing after it can be read. */
  readonly next: () => readonly Buffer[] | null;
  /** Bytes held of a command that is not whole yet. */
  readonly held: () => number;
};

/** What cannot be read as RESP; the message is what Redis says, without `ERR Protocol error: `. */
export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ProtocolError";
  }
}

type State = {
  buffer: Buffer;
  /** Of the command that is being read. */
  start: number;
  /** The next byte to look at. */
  at: number;
  end: number;
  /** Bulk strings still to come; -1 between commands. */
  missing: number;
  /** Length of the bulk string that is being read; -1 where its length is not known yet. */
  bulk: number;
  /** Offsets of the arguments that are whole, relative to `start`: from, to. */
  readonly offsets: number[];
  /** Whether `buffer` is the parser's own, so that it may be written to. */
  own: boolean;
};

const none = Buffer.alloc(0);
const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const star = 0x2a;
const dollar = 0x24;

export const createParser = (): Parser => {
  const state: State = {
    ...{ buffer: none, start: 0, at: 0, end: 0, missing: -1, bulk: -1 },
    ...{ offsets: [], own: false },
  };
  return {
    feed: (chunk) => {
      feed(state, chunk);
    },
    next: () => {
      for (;;) {
        const command = readCommand(state);
        if (command === null || command.length > 0) return command;
        // An empty line or array asks for nothing.
      }
    },
    held: () => state.end - state.start,
  };
};

const feed = (state: State, chunk: Buffer): void => {
  const { start } = state;
  const held = state.end - start;
  if (held === 0) {
    // The usual case: whole commands, read where they lie.
    state.buffer = chunk;
    state.own = false;
    state.end = chunk.length;
  } else {
    const wanted = held + chunk.length;
    if (!state.own || start + wanted > state.buffer.length) {
      // Twice as much as is there: what was promised and never comes costs nothing.
      const grown = Buffer.allocUnsafeSlow(wanted * 2);
      state.buffer.copy(grown, 0, start, state.end);
      state.buffer = grown;
      state.own = true;
      state.at -= start;
      state.start = 0;
    }
    chunk.copy(state.buffer, state.start + held);
    state.end = state.start + wanted;
    return;
  }
  state.at = 0;
  state.start = 0;
};

const readCommand = (state: State): readonly Buffer[] | null => {
  if (state.missing < 0) {
    if (state.at === state.end) {
      // Nothing is held: the chunk can go.
      state.start = state.at;
      return null;
    }
    if (state.buffer[state.at] !== star) return readInline(state);
    const line = readLine(state, "too big mbulk count string");
    if (line === null) return null;
    const count = parseLength(state.buffer, line.from + 1, line.to);
    if (count === undefined || count > respArgumentsMax) throw new ProtocolError("invalid multibulk length");
    if (count <= 0) return finish(state, []);
    state.missing = count;
    state.offsets.length = 0;
  }
  while (state.missing > 0) if (!readBulk(state)) return null;
  const { buffer, offsets, start } = state;
  const parts: Buffer[] = [];
  for (let i = 0; i < offsets.length; i += 2)
    parts.push(buffer.subarray(start + (offsets[i] ?? 0), start + (offsets[i + 1] ?? 0)));
  return finish(state, parts);
};

const finish = (state: State, command: readonly Buffer[]): readonly Buffer[] => {
  state.missing = -1;
  state.start = state.at;
  return command;
};

const readBulk = (state: State): boolean => {
  if (state.bulk < 0) {
    const line = readLine(state, "too big bulk count string");
    if (line === null) return false;
    const first = state.buffer[line.from] ?? 0;
    if (first !== dollar)
      throw new ProtocolError(`expected '$', got '${String.fromCharCode(first === 0 ? 0x20 : first)}'`);
    const length = parseLength(state.buffer, line.from + 1, line.to);
    if (length === undefined || length < 0 || length > valueBytesMax)
      throw new ProtocolError("invalid bulk length");
    state.bulk = length;
    if (state.at - state.start + length > respCommandBytesMax)
      throw new ProtocolError(`a command has more than ${respCommandBytesMax} bytes`);
  }
  if (state.end - state.at < state.bulk + 2) return false;
  const from = state.at - state.start;
  state.offsets.push(from, from + state.bulk);
  state.at += state.bulk + 2;
  state.bulk = -1;
  state.missing--;
  return true;
};

type Line = { readonly from: number; readonly to: number };

/** The line at `at`, without its end; null where it has not come whole. */
const readLine = (state: State, tooLong: string): Line | null => {
  const { buffer, at, end } = state;
  // As Redis does: the byte behind the carriage return is not looked at.
  const found = indexOf(buffer, carriageReturn, at, end);
  if (found === -1 || found + 1 >= end) {
    if (found === -1 && end - at > respInlineBytesMax) throw new ProtocolError(tooLong);
    return null;
  }
  state.at = found + 2;
  return { from: at, to: found };
};

const indexOf = (
  buffer: Buffer,
  byte: number,
  ...[from, end]: readonly [from: number, end: number]
): number => {
  // Lengths are short lines: a loop is faster than a call.
  const near = Math.min(end, from + 32);
  for (let i = from; i < near; i++) if (buffer[i] === byte) return i;
  if (near === end) return -1;
  const found = buffer.indexOf(byte, near);
  return found === -1 || found >= end ? -1 : found;
};

const readInline = (state: State): readonly Buffer[] | null => {
  const { buffer, at, end } = state;
  const found = indexOf(buffer, lineFeed, at, end);
  if (found === -1) {
    if (end - at > respInlineBytesMax) throw new ProtocolError("too big inline request");
    return null;
  }
  const to = found > at && buffer[found - 1] === carriageReturn ? found - 1 : found;
  const words = splitWords(buffer.subarray(at, to));
  if (words === null) throw new ProtocolError("unbalanced quotes in request");
  state.at = found + 1;
  return finish(state, words);
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
