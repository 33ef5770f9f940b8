import { decode, encode, type Budget } from "../../core/cbor.ts";
import { EdisError, isErrorCode } from "../../core/errors.ts";
import { epoch, shardId, version, type Epoch, type Version } from "../../core/ids.ts";
import {
  frameBytesMax,
  frameItemsMax,
  keyBytesMax,
  operationsPerFrameMax,
  textBytesMax,
  valueBytesMax,
} from "../../core/limits.ts";
import type {
  Condition,
  Expiry,
  ReadLevel,
  ReplyFrame,
  Request,
  RequestFrame,
  Result,
} from "../../core/request.ts";

/** The frames of core/request.ts by a general CBOR library: slow, plain, and what the hand-written codec is compared with. */

export const encodeRequests = ({ id, shard, epoch, requests }: RequestFrame): Uint8Array =>
  encode([id, shard, epoch, requests.map(requestFields)]);

export const encodeReplies = ({ id, results }: ReplyFrame): Uint8Array =>
  encode([id, results.map(resultFields)]);

const levels = ["eventual", "session", "linearizable"] as const;
const conditions = ["always", "ifAbsent", "ifPresent", "ifEqual"] as const;
const expiries = ["never", "in", "at", "keep"] as const;

const requestFields = (request: Request): unknown[] => {
  switch (request.kind) {
    case "get": {
      const { read } = request;
      const lagMsMax = read.kind === "eventual" ? (read.lagMsMax ?? 0) : 0;
      const [e, ver] = read.kind === "session" ? [read.epoch, read.version] : [0, 0];
      return [1, request.key, levels.indexOf(read.kind), lagMsMax, e, ver];
    }
    case "set": {
      const { key, value, condition, expiry } = request;
      const expected = condition.kind === "ifEqual" ? condition.value : null;
      const ms = expiry.kind === "in" || expiry.kind === "at" ? expiry.ms : 0;
      return [2, key, value, conditions.indexOf(condition.kind), expected, expiries.indexOf(expiry.kind), ms];
    }
    case "delete":
      return [3, request.key];
    case "increment":
      return [4, request.key, request.by];
  }
};

const resultFields = (result: Result): unknown[] => {
  switch (result.kind) {
    case "value":
      return [1, result.value, result.epoch, result.version, result.lagMs];
    case "set":
      return [2, result.applied, result.epoch, result.version];
    case "deleted":
      return [3, result.existed, result.epoch, result.version];
    case "integer":
      return [4, result.value, result.epoch, result.version];
    case "error":
      return [0, result.code, result.message];
  }
};

const budget: Budget = { bytesMax: frameBytesMax, depthMax: 4, itemsMax: frameItemsMax };

export const decodeRequests = (bytes: Uint8Array): RequestFrame => {
  const [id, shard, e, requests] = arrayIn(decode(bytes, budget), "the frame");
  return {
    id: countIn(id, "a request id"),
    shard: ranged(() => shardId(countIn(shard, "a shard"))),
    epoch: epochIn(e),
    requests: operationsIn(requests).map((request) => requestIn(arrayIn(request, "an operation"))),
  };
};

export const decodeReplies = (bytes: Uint8Array): ReplyFrame => {
  const [id, results] = arrayIn(decode(bytes, budget), "the frame");
  return {
    id: countIn(id, "a request id"),
    results: operationsIn(results).map((result) => resultIn(arrayIn(result, "a result"))),
  };
};

const requestIn = (fields: readonly unknown[]): Request => {
  switch (fields[0]) {
    case 1:
      return { kind: "get", key: keyIn(fields[1]), read: readIn(fields) };
    case 2:
      return {
        kind: "set",
        key: keyIn(fields[1]),
        value: valueIn(fields[2]),
        condition: conditionIn(fields[3], fields[4]),
        expiry: expiryIn(fields[5], fields[6]),
      };
    case 3:
      return { kind: "delete", key: keyIn(fields[1]) };
    case 4:
      return { kind: "increment", key: keyIn(fields[1]), by: integerIn(fields[2], "an increment") };
    default:
      throw badMessage("an operation is none of get (1), set (2), delete (3), increment (4)");
  }
};

const readIn = ([, , level, lagMsMax, e, ver]: readonly unknown[]): ReadLevel => {
  switch (oneOf(levels, level, "a read level")) {
    case "eventual": {
      const bound = countIn(lagMsMax, "a lag bound");
      return { kind: "eventual", lagMsMax: bound === 0 ? null : bound };
    }
    case "session":
      return { kind: "session", epoch: epochIn(e), version: versionIn(ver) };
    case "linearizable":
      return { kind: "linearizable" };
  }
};

const conditionIn = (index: unknown, expected: unknown): Condition => {
  const kind = oneOf(conditions, index, "a condition");
  switch (kind) {
    case "always":
    case "ifAbsent":
    case "ifPresent":
      return { kind };
    case "ifEqual":
      return { kind, value: valueIn(expected) };
  }
};

const expiryIn = (index: unknown, field: unknown): Expiry => {
  const kind = oneOf(expiries, index, "an expiry");
  switch (kind) {
    case "never":
    case "keep":
      return { kind };
    case "in":
    case "at": {
      const ms = countIn(field, "an expiry in milliseconds");
      if (ms === 0) throw badMessage("an expiry must be at least 1 millisecond");
      return { kind, ms };
    }
  }
};

const resultIn = (fields: readonly unknown[]): Result => {
  const [kind, first, second, third] = fields;
  switch (kind) {
    case 0:
      if (!isErrorCode(first) || typeof second !== "string") throw badMessage("an error has no known code");
      return { kind: "error", code: first, message: second.slice(0, textBytesMax) };
    case 1: {
      const value = first === null ? null : valueIn(first);
      const lagMs = typeof fields[4] === "number" ? fields[4] : 0;
      return { kind: "value", value, epoch: epochIn(second), version: versionIn(third), lagMs };
    }
    case 2:
      return { kind: "set", applied: first === true, epoch: epochIn(second), version: versionIn(third) };
    case 3:
      return { kind: "deleted", existed: first === true, epoch: epochIn(second), version: versionIn(third) };
    case 4: {
      const value = integerIn(first, "an integer");
      return { kind: "integer", value, epoch: epochIn(second), version: versionIn(third) };
    }
    default:
      throw badMessage("a result has an unknown kind");
  }
};

const arrayIn = (field: unknown, what: string): readonly unknown[] => {
  if (Array.isArray(field)) return field as unknown[];
  throw badMessage(`${what} is not an array`);
};

const operationsIn = (field: unknown): readonly unknown[] => {
  const operations = arrayIn(field, "the list of operations");
  if (operations.length > 0 && operations.length <= operationsPerFrameMax) return operations;
  throw badMessage(`a frame holds ${operations.length} operations, wanted are 1 to ${operationsPerFrameMax}`);
};

const integerIn = (field: unknown, what: string): number => {
  if (typeof field === "number" && Number.isSafeInteger(field)) return field;
  throw badMessage(`${what} is not an integer of at most 53 bits`);
};

const oneOf = <Name extends string>(names: readonly Name[], field: unknown, what: string): Name => {
  const name = names[countIn(field, what)];
  if (name !== undefined) return name;
  throw badMessage(`${what} is none of ${names.join(", ")}`);
};

const countIn = (field: unknown, what: string): number => {
  const n = integerIn(field, what);
  if (n >= 0) return n;
  throw badMessage(`${what} is negative`);
};

const ranged = <T>(make: () => T): T => {
  try {
    return make();
  } catch (error) {
    throw new EdisError("bad-message", "Cannot read the message: a number in it is out of range", {
      cause: error,
    });
  }
};
const epochIn = (field: unknown): Epoch => ranged(() => epoch(countIn(field, "an epoch")));
const versionIn = (field: unknown): Version => ranged(() => version(countIn(field, "a version")));

const badMessage = (what: string): EdisError =>
  new EdisError("bad-message", `Cannot read the message: ${what}`);
const keyIn = (field: unknown): Uint8Array => {
  if (field instanceof Uint8Array && field.length > 0 && field.length <= keyBytesMax) return field;
  throw badMessage("not a key");
};
const valueIn = (field: unknown): Uint8Array => {
  if (field instanceof Uint8Array && field.length <= valueBytesMax) return field;
  throw badMessage("not a value");
};
