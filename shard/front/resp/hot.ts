import { epoch, slot, version, type Slot } from "../../../core/ids.ts";
import { foreseenKeysMax, keyBytesMax } from "../../../core/limits.ts";
import { slotOfRange } from "../../../core/slot.ts";
import type { SlotSet } from "../../route.ts";
import { makeRoom } from "../../memory.ts";
import type { SetPieces } from "../../replication/recordEncoder.ts";
import type { KeyBatch } from "../../store/store.ts";
import { countLook, record, recordExpired, recordSet, seekLive, type Turn } from "../../turn.ts";
import { parseLength } from "./numbers.ts";
import type { Parser, RawCommand } from "./parser.ts";
import type { Replies } from "./replies.ts";

/**
 * The plainest forms of the most frequent commands, carried out on the bytes as they came: no strings, no lists, no views
 * where none is needed. Whatever is not quite plain (another form, a wrong number of arguments, a key that is not served
 * here) is left to `dispatch` before anything has been done, so there is one place that words errors.
 */
export type Hot = {
  turn: Turn;
  reply: Replies;
  /** Which slots are served here, and whether plain reads and writes of their keys are. */
  slots: SlotSet;
  reads: boolean;
  writes: boolean;
  /** The key that is worked on. */
  readonly key: { bytes: Buffer; from: number; to: number; slot: Slot; hash: number | undefined };
  /** The set that is carried out: of that key. */
  readonly set: HotSet;
  /** Keys of commands that have come and are not carried out yet, and which of them is next. */
  readonly ahead: KeyBatch;
  next: number;
};

type HotSet = SetPieces & { readonly value: { bytes: Buffer; from: number; to: number } };

const none = Buffer.alloc(0);

export const createHot = (turn: Turn, reply: Replies): Hot => {
  const key = { bytes: none, from: 0, to: 0, slot: slot(0), hash: undefined };
  const value = { bytes: none, from: 0, to: 0 };
  const set = { epoch: epoch(0), version: version(0), key, value, expiresAtMs: null };
  return { turn, reply, slots: new Uint8Array(0), reads: false, writes: false, key, set, ...aheadOf() };
};

const aheadOf = (): Pick<Hot, "ahead" | "next"> => ({
  ahead: {
    ...{ bytes: none, count: 0 },
    ...{ froms: new Int32Array(foreseenKeysMax), tos: new Int32Array(foreseenKeysMax) },
    ...{ slots: new Int32Array(foreseenKeysMax), hashes: new Int32Array(foreseenKeysMax) },
  },
  next: 0,
});

/** Keeps nothing of what was read: it may be large. */
export const letGo = ({ key, set, ahead }: Hot): void => {
  key.bytes = none;
  set.value.bytes = none;
  ahead.bytes = none;
  ahead.count = 0;
};

/** With fewer there is nothing to gain. */
const foreseenMin = 4;

/** Looks at the keys of the commands that come next, where what was foreseen is used up; to be called before each command. */
export const foresee = (hot: Hot, parser: Parser): void => {
  const { ahead, turn } = hot;
  hot.next = 0;
  parser.foresee(ahead);
  if (ahead.count < foreseenMin) {
    ahead.count = 0;
    return;
  }
  const { bytes, froms, tos, slots, count } = ahead;
  for (let i = 0; i < count; i++) slots[i] = slotOfRange(bytes, froms[i] ?? 0, tos[i] ?? 0);
  turn.holding.store.foresee(ahead);
};

/** Carries the command of `count` arguments out and answers its name in lower case; null, and nothing done, where it is not a plain one. */
export const runHot = (hot: Hot, command: RawCommand, count: number): string | null => {
  const { bytes, start, offsets } = command;
  const from = start + (offsets[0] ?? 0);
  const to = start + (offsets[1] ?? 0);
  switch (to - from) {
    case 3:
      return runThree(hot, command, count);
    case 4:
      return runFour(hot, command, count);
    case 5:
      return isNamed(bytes, from, "setex") && count === 4 && setEx(hot, command) ? "setex" : null;
    case 6:
      if (isNamed(bytes, from, "exists")) return exists(hot, command, count) ? "exists" : null;
      return isNamed(bytes, from, "unlink") && del(hot, command, count) ? "unlink" : null;
    default:
      return null;
  }
};

const runThree = (hot: Hot, command: RawCommand, count: number): string | null => {
  switch (codeOf(command, 3)) {
    case codes.get:
      return count === 2 && get(hot, command) ? "get" : null;
    case codes.set:
      return count === 3 && set(hot, command) ? "set" : null;
    case codes.del:
      return del(hot, command, count) ? "del" : null;
    case codes.ttl:
      return count === 2 && timeToLive(hot, command, false) ? "ttl" : null;
    default:
      return null;
  }
};

const runFour = (hot: Hot, command: RawCommand, count: number): string | null => {
  switch (codeOf(command, 4)) {
    case codes.incr:
      return count === 2 && increment(hot, command, 1) ? "incr" : null;
    case codes.decr:
      return count === 2 && increment(hot, command, -1) ? "decr" : null;
    case codes.mget:
      return mGet(hot, command, count) ? "mget" : null;
    case codes.mset:
      return mSet(hot, command, count) ? "mset" : null;
    case codes.pttl:
      return count === 2 && timeToLive(hot, command, true) ? "pttl" : null;
    default:
      return null;
  }
};

const textCode = (name: string): number =>
  Buffer.from(name).reduce((sum, letter, i) => sum | (letter << (i * 8)), 0);
const codes = {
  ...{ get: textCode("get"), set: textCode("set"), del: textCode("del"), ttl: textCode("ttl") },
  ...{ incr: textCode("incr"), decr: textCode("decr"), mget: textCode("mget"), mset: textCode("mset") },
  pttl: textCode("pttl"),
} as const;

/** The bit in which the cases of a letter differ; of bytes that are no letters it makes none. */
const lowerCase = 0x20;

/** The first three or four bytes of the name, as one number. */
const codeOf = ({ bytes, start, offsets }: RawCommand, length: 3 | 4): number => {
  const at = start + (offsets[0] ?? 0);
  const three =
    (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | (lowerCase * 0x10101);
  return length === 3 ? three : three | (((bytes[at + 3] ?? 0) | lowerCase) << 24);
};

const isNamed = (bytes: Uint8Array, from: number, name: string): boolean => {
  for (let i = 0; i < name.length; i++)
    if (((bytes[from + i] ?? 0) | lowerCase) !== name.charCodeAt(i)) return false;
  return true;
};

/** Points at the argument, as a key; whether it can be one. */
const pointAt = (hot: Hot, { bytes, start, offsets }: RawCommand, index: number): boolean => {
  const { key } = hot;
  const from = start + (offsets[index * 2] ?? 0);
  const to = start + (offsets[index * 2 + 1] ?? 0);
  if (to === from || to - from > keyBytesMax) return false;
  key.bytes = bytes;
  key.from = from;
  key.to = to;
  const { ahead, next } = hot;
  if (next < ahead.count && ahead.froms[next] === from && ahead.tos[next] === to && ahead.bytes === bytes) {
    key.slot = slot(ahead.slots[next] ?? 0);
    key.hash = ahead.hashes[next];
  } else {
    key.slot = slotOfRange(bytes, from, to);
    key.hash = undefined;
  }
  return true;
};

/** The same, where the key's slot is served here. */
const pointAtServed = (hot: Hot, command: RawCommand, index: number): boolean =>
  pointAt(hot, command, index) && hot.slots[hot.key.slot] === 1;

/** Whether all of these arguments are keys of one slot, which is served here. */
const areServed = (
  hot: Hot,
  command: RawCommand,
  { count, step }: { readonly count: number; readonly step: 1 | 2 },
): boolean => {
  if (!pointAtServed(hot, command, 1)) return false;
  const { slot } = hot.key;
  for (let i = 1 + step; i < count; i += step)
    if (!pointAt(hot, command, i) || hot.key.slot !== slot) return false;
  return true;
};

const get = (hot: Hot, command: RawCommand): boolean => {
  if (!hot.reads || !pointAtServed(hot, command, 1)) return false;
  answerSought(hot);
  return true;
};

const answerSought = (hot: Hot): void => {
  const { turn, reply } = hot;
  if (seekCounted(hot)) reply.sought(turn.holding.store);
  else reply.null();
};

const seekCounted = ({ turn, key }: Hot): boolean => {
  const isThere = seekLive(turn, key);
  countLook(turn, isThere);
  return isThere;
};

const set = (hot: Hot, command: RawCommand): boolean => {
  if (!hot.writes || !pointAtServed(hot, command, 1) || !makeRoom(hot.turn)) return false;
  hot.set.expiresAtMs = null;
  put(hot, command, 2);
  hot.reply.ok();
  return true;
};

/** Gives the key that is pointed at the argument as its value. */
const put = (hot: Hot, { bytes, start, offsets }: RawCommand, index: number): void => {
  const { turn, key, set } = hot;
  const { value } = set;
  value.bytes = bytes;
  value.from = start + (offsets[index * 2] ?? 0);
  value.to = start + (offsets[index * 2 + 1] ?? 0);
  const { store } = turn.holding;
  store.seekRange(key);
  store.putPiece(value, set.expiresAtMs);
  recordSet(turn, set);
};

const putSought = ({ turn, key }: Hot, value: Buffer, expiresAtMs: number | null): void => {
  turn.holding.store.put(value, expiresAtMs);
  record(turn, { kind: "set", key: key.bytes.subarray(key.from, key.to), value, expiresAtMs });
};

/** Seconds that are surely within every bound: 30 years. */
const plainSecondsMax = 1e9;

const setEx = (hot: Hot, command: RawCommand): boolean => {
  const { bytes, start, offsets } = command;
  const seconds = parseLength(bytes, start + (offsets[4] ?? 0), start + (offsets[5] ?? 0)) ?? 0;
  if (seconds <= 0 || seconds > plainSecondsMax) return false;
  if (!hot.writes || !pointAtServed(hot, command, 1) || !makeRoom(hot.turn)) return false;
  hot.set.expiresAtMs = hot.turn.wallMs + seconds * 1000;
  put(hot, command, 3);
  hot.reply.ok();
  return true;
};

const mGet = (hot: Hot, command: RawCommand, count: number): boolean => {
  if (count < 2 || !hot.reads || !areServed(hot, command, { count, step: 1 })) return false;
  hot.reply.array(count - 1);
  for (let i = 1; i < count; i++) if (pointAt(hot, command, i)) answerSought(hot);
  return true;
};

const mSet = (hot: Hot, command: RawCommand, count: number): boolean => {
  const isPaired = count > 2 && count % 2 === 1;
  if (!isPaired || !hot.writes || !areServed(hot, command, { count, step: 2 })) return false;
  if (!makeRoom(hot.turn)) return false;
  hot.set.expiresAtMs = null;
  for (let i = 1; i < count; i += 2) if (pointAt(hot, command, i)) put(hot, command, i + 1);
  hot.reply.ok();
  return true;
};

const exists = (hot: Hot, command: RawCommand, count: number): boolean => {
  if (count < 2 || !hot.reads || !areServed(hot, command, { count, step: 1 })) return false;
  let found = 0;
  for (let i = 1; i < count; i++) if (pointAt(hot, command, i) && seekCounted(hot)) found++;
  hot.reply.integer(found);
  return true;
};

const del = (hot: Hot, command: RawCommand, count: number): boolean => {
  if (count < 2 || !hot.writes || !areServed(hot, command, { count, step: 1 })) return false;
  const { turn, key } = hot;
  let removed = 0;
  for (let i = 1; i < count; i++) {
    pointAt(hot, command, i);
    const isLive = seekLive(turn, key);
    // One that expired is in the store still: its record is written, so that it is gone.
    if (!turn.holding.store.remove()) continue;
    const bytes = key.bytes.subarray(key.from, key.to);
    if (isLive) {
      removed++;
      record(turn, { kind: "delete", key: bytes });
    } else recordExpired(turn, bytes);
  }
  hot.reply.integer(removed);
  return true;
};

/** Numbers of so many digits have room to be counted up. */
const plainDigitsMax = 15;

const increment = (hot: Hot, command: RawCommand, by: 1 | -1): boolean => {
  if (!hot.writes || !pointAtServed(hot, command, 1) || !makeRoom(hot.turn)) return false;
  const { turn, key, reply } = hot;
  const { store } = turn.holding;
  let before = 0;
  let expiresAtMs: number | null = null;
  if (seekLive(turn, key)) {
    const length = store.valueBytes();
    if (length > plainDigitsMax) return false;
    const n = parseLength(store.value(), 0, length);
    if (n === undefined) return false;
    before = n;
    expiresAtMs = store.expiresAtMs();
  }
  putSought(hot, Buffer.from(String(before + by), "latin1"), expiresAtMs);
  reply.integer(before + by);
  return true;
};

const seconds = (ms: number): number => Math.floor((ms + 500) / 1000);

const timeToLive = (hot: Hot, command: RawCommand, inMs: boolean): boolean => {
  if (!hot.reads || !pointAtServed(hot, command, 1)) return false;
  const { turn, reply } = hot;
  if (!seekCounted(hot)) {
    reply.integer(-2);
    return true;
  }
  const expiresAtMs = turn.holding.store.expiresAtMs();
  if (expiresAtMs === null) reply.integer(-1);
  else reply.integer(inMs ? expiresAtMs - turn.wallMs : seconds(expiresAtMs - turn.wallMs));
  return true;
};
