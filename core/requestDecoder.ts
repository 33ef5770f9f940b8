import { badMessage, tooLarge } from "./cbor.ts";
import {
  createCborReader,
  peek,
  skipItem,
  takeArray,
  takeCount,
  takeInteger,
  takeKey,
  takeNumber,
  takeText,
  takeValue,
} from "./cborReader.ts";
import { isErrorCode, type EdisError } from "./errors.ts";
import { epoch, shardId, shardsMax, version, type Epoch, type Version } from "./ids.ts";
import { frameBytesMax, frameItemsMax, operationsPerFrameMax, textBytesMax } from "./limits.ts";
import {
  conditions,
  expiries,
  readLevels,
  type Condition,
  type Expiry,
  type ReadLevel,
  type ReplyFrame,
  type Request,
  type RequestFrame,
  type Result,
} from "./request.ts";

/** Reads frames of requests and replies. Every field is checked where it stands; what is surplus is skipped. */

// Both used within one call only.
const reader = createCborReader();
const room = { itemsLeft: 0 };

/** Reads a frame of requests. Keys and values are views of `bytes`. Throws `bad-message` or `too-large`. */
export const decodeRequests = (bytes: Uint8Array): RequestFrame => {
  const elements = openFrame(bytes, 4);
  const id = takeCount(reader, "a request id");
  const shard = takeCount(reader, "a shard");
  if (shard >= shardsMax) throw outOfRange();
  const e = takeEpoch();
  const count = openOperations();
  const requests: Request[] = [];
  for (let i = 0; i < count; i++) requests.push(takeRequest());
  closeFrame(elements - 4);
  return { id, shard: shardId(shard), epoch: e, requests };
};

/** Reads a frame of replies. Values are views of `bytes`. Throws `bad-message` or `too-large`. */
export const decodeReplies = (bytes: Uint8Array): ReplyFrame => {
  const elements = openFrame(bytes, 2);
  const id = takeCount(reader, "a request id");
  const count = openOperations();
  const results: Result[] = [];
  for (let i = 0; i < count; i++) results.push(takeResult());
  closeFrame(elements - 2);
  return { id, results };
};

const openFrame = (bytes: Uint8Array, wanted: number): number => {
  if (bytes.length > frameBytesMax)
    throw tooLarge(`it has ${bytes.length} bytes, the maximum is ${frameBytesMax}`);
  reader.bytes = bytes;
  reader.at = 0;
  room.itemsLeft = frameItemsMax;
  return openArray("the frame", wanted);
};

const closeFrame = (surplus: number): void => {
  skip(surplus, 3);
  const { bytes, at } = reader;
  reader.bytes = nothing;
  if (at !== bytes.length) throw badMessage(`${bytes.length - at} bytes follow its value`);
};
// The frame that was read last is not kept by the reader.
const nothing = new Uint8Array();

const openOperations = (): number => {
  const count = openArray("the list of operations", 0);
  if (count > 0 && count <= operationsPerFrameMax) return count;
  throw badMessage(`a frame holds ${count} operations, wanted are 1 to ${operationsPerFrameMax}`);
};

/** Takes the header of an array that has at least `wanted` elements: how many it has. */
const openArray = (what: string, wanted: number): number => {
  const elements = takeArray(reader, what);
  room.itemsLeft -= elements;
  if (room.itemsLeft < 0) throw tooLarge(`it holds more than ${frameItemsMax} items`);
  expect(what, elements, wanted);
  return elements;
};

const expect = (what: string, elements: number, wanted: number): void => {
  if (elements < wanted) throw badMessage(`${what} has ${elements} elements, wanted are ${wanted}`);
};

/** Skips `items` items that nest no deeper than `depthMax`. */
const skip = (items: number, depthMax: number): void => {
  for (let i = 0; i < items; i++) room.itemsLeft = skipItem(reader, depthMax, room.itemsLeft);
};

const takeRequest = (): Request => {
  const elements = openArray("an operation", 2);
  const opcode = takeCount(reader, "an operation's kind");
  switch (opcode) {
    case 1: {
      expect("a get", elements, 3);
      return { kind: "get", key: keyView(), read: takeReadLevel(elements) };
    }
    case 2:
      expect("a set", elements, 6);
      return {
        kind: "set",
        key: keyView(),
        value: valueView(),
        condition: takeCondition(),
        expiry: takeExpiry(elements),
      };
    case 3: {
      const key = keyView();
      skip(elements - 2, 1);
      return { kind: "delete", key };
    }
    case 4: {
      expect("an increment", elements, 3);
      const key = keyView();
      const by = takeInteger(reader, "an increment");
      skip(elements - 3, 1);
      return { kind: "increment", key, by };
    }
    default:
      throw badMessage("an operation is none of get (1), set (2), delete (3), increment (4)");
  }
};

const linearizable: ReadLevel = { kind: "linearizable" };
const anyLag: ReadLevel = { kind: "eventual", lagMsMax: null };

const takeReadLevel = (elements: number): ReadLevel => {
  switch (takeOneOf(readLevels, "a read level")) {
    case "eventual": {
      expect("an eventual get", elements, 4);
      const lagMsMax = takeCount(reader, "a lag bound");
      skip(elements - 4, 1);
      return lagMsMax === 0 ? anyLag : { kind: "eventual", lagMsMax };
    }
    case "session": {
      expect("a session's get", elements, 6);
      skip(1, 1);
      const e = takeEpoch();
      const ver = takeVersion();
      skip(elements - 6, 1);
      return { kind: "session", epoch: e, version: ver };
    }
    case "linearizable":
      skip(elements - 3, 1);
      return linearizable;
  }
};

const always: Condition = { kind: "always" };

const takeCondition = (): Condition => {
  const kind = takeOneOf(conditions, "a condition");
  switch (kind) {
    case "always":
      skip(1, 1);
      return always;
    case "ifAbsent":
    case "ifPresent":
      skip(1, 1);
      return { kind };
    case "ifEqual":
      return { kind, value: valueView() };
  }
};

const never: Expiry = { kind: "never" };

const takeExpiry = (elements: number): Expiry => {
  const kind = takeOneOf(expiries, "an expiry");
  switch (kind) {
    case "never":
      skip(elements - 6, 1);
      return never;
    case "keep":
      skip(elements - 6, 1);
      return { kind };
    case "in":
    case "at": {
      expect("a set that expires", elements, 7);
      const ms = takeCount(reader, "an expiry in milliseconds");
      if (ms === 0) throw badMessage("an expiry must be at least 1 millisecond");
      skip(elements - 7, 1);
      return { kind, ms };
    }
  }
};

const takeResult = (): Result => {
  const elements = openArray("a result", 3);
  const kind = takeCount(reader, "a result's kind");
  if (kind > 0 && kind <= 4) expect("a result", elements, 4);
  switch (kind) {
    case 0:
      return takeError(elements);
    case 1: {
      const value = valueOrNull();
      const place = takePlace();
      const lagMs = elements > 4 ? takeLag() : 0;
      skip(elements - 5, 1);
      return { kind: "value", value, ...place, lagMs };
    }
    case 2: {
      const applied = takeTrue();
      const place = takePlace();
      skip(elements - 4, 1);
      return { kind: "set", applied, ...place };
    }
    case 3: {
      const existed = takeTrue();
      const place = takePlace();
      skip(elements - 4, 1);
      return { kind: "deleted", existed, ...place };
    }
    case 4: {
      const value = takeInteger(reader, "an integer");
      const place = takePlace();
      skip(elements - 4, 1);
      return { kind: "integer", value, ...place };
    }
    default:
      throw badMessage("a result has an unknown kind");
  }
};

const takeError = (elements: number): Result => {
  const code = takeString();
  const message = takeString();
  if (!isErrorCode(code)) throw badMessage("an error has no known code");
  skip(elements - 3, 1);
  return { kind: "error", code, message: message.slice(0, textBytesMax) };
};

const utf8 = new TextDecoder();

const takeString = (): string => {
  if (takeText(reader) < 0) throw badMessage("an error has no known code");
  return utf8.decode(reader.bytes.subarray(reader.start, reader.at));
};

const keyView = (): Uint8Array => {
  takeKey(reader);
  return reader.bytes.subarray(reader.start, reader.at);
};

const valueView = (): Uint8Array => {
  takeValue(reader);
  return reader.bytes.subarray(reader.start, reader.at);
};

const valueOrNull = (): Uint8Array | null => {
  if (peek(reader) !== 0xf6) return valueView();
  reader.at++;
  return null;
};

/** Everything but `true` is false. */
const takeTrue = (): boolean => {
  const is = peek(reader) === 0xf5;
  skip(1, 1);
  return is;
};

/** What is no number is no lag. */
const takeLag = (): number => {
  const { at } = reader;
  const lagMs = takeNumber(reader);
  if (reader.at > at) return lagMs;
  skip(1, 1);
  return 0;
};

const takePlace = (): { readonly epoch: Epoch; readonly version: Version } => {
  const e = takeEpoch();
  return { epoch: e, version: takeVersion() };
};

const takeEpoch = (): Epoch => {
  const n = takeCount(reader, "an epoch");
  if (n === Number.MAX_SAFE_INTEGER) throw outOfRange();
  return epoch(n);
};

const takeVersion = (): Version => {
  const n = takeCount(reader, "a version");
  if (n === Number.MAX_SAFE_INTEGER) throw outOfRange();
  return version(n);
};

const takeOneOf = <Name extends string>(names: readonly Name[], what: string): Name => {
  const name = names[takeCount(reader, what)];
  if (name !== undefined) return name;
  throw badMessage(`${what} is none of ${names.join(", ")}`);
};

const outOfRange = (): EdisError => badMessage("a number in it is out of range");
