import { decode, encode, type Budget } from "./cbor.ts";
import { EdisError, isErrorCode, type ErrorCode } from "./errors.ts";
import { epoch, shardId, version, type Epoch, type ShardId, type Version } from "./ids.ts";
import { badMessage, keyIn, valueIn } from "./keyValue.ts";
import { frameBytesMax, frameItemsMax, operationsPerFrameMax, textBytesMax } from "./limits.ts";

/**
 * What clients ask of shards, and the answers: CBOR arrays, many operations in a frame.
 *
 *     request frame  [id, shard, epoch, [operation, …]]
 *     reply frame    [id, [result, …]]                     results in the order of the operations
 *
 * `epoch` is the one the client's topology names for that shard. Writes and linearizable reads are answered only where
 * it is the owner's own; otherwise the answer is `stale-epoch`.
 */
export type RequestFrame = {
  readonly id: number;
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly requests: readonly Request[];
};

export type Request =
  /** `[1, key, level, lagMsMax, epoch, version]`; lagMsMax 0: the cluster's own bound; (epoch, version): the session's place. */
  | { readonly kind: "get"; readonly key: Uint8Array; readonly read: ReadLevel }
  /** `[2, key, value, condition, expected | null, expiry, expiryMs]` */
  | {
      readonly kind: "set";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      readonly condition: Condition;
      readonly expiry: Expiry;
    }
  /** `[3, key]` */
  | { readonly kind: "delete"; readonly key: Uint8Array }
  /** `[4, key, by]`: the value is a decimal integer, absent counts as 0; the expiry stays. */
  | { readonly kind: "increment"; readonly key: Uint8Array; readonly by: number };

export type ReadLevel =
  | { readonly kind: "eventual"; readonly lagMsMax: number | null }
  | { readonly kind: "session"; readonly epoch: Epoch; readonly version: Version }
  | { readonly kind: "linearizable" };

export type Condition =
  | { readonly kind: "always" }
  | { readonly kind: "ifAbsent" }
  | { readonly kind: "ifPresent" }
  | { readonly kind: "ifEqual"; readonly value: Uint8Array };

export type Expiry =
  | { readonly kind: "never" }
  /** Milliseconds from when the owner takes the write. */
  | { readonly kind: "in"; readonly ms: number }
  /** Milliseconds since 1970. */
  | { readonly kind: "at"; readonly ms: number }
  /** As it was. */
  | { readonly kind: "keep" };

/** Every answer but an error carries the place (epoch, version) it was given at: a session reads on from there. */
export type Result =
  /** `[1, value | null, epoch, version, lagMs]` */
  | (Place & { readonly kind: "value"; readonly value: Uint8Array | null; readonly lagMs: number })
  /** `[2, applied, epoch, version]`: false where the condition did not hold. */
  | (Place & { readonly kind: "set"; readonly applied: boolean })
  /** `[3, existed, epoch, version]` */
  | (Place & { readonly kind: "deleted"; readonly existed: boolean })
  /** `[4, value, epoch, version]` */
  | (Place & { readonly kind: "integer"; readonly value: number })
  /** `[0, code, message]` */
  | { readonly kind: "error"; readonly code: ErrorCode; readonly message: string };

export type Place = { readonly epoch: Epoch; readonly version: Version };
export type ReplyFrame = { readonly id: number; readonly results: readonly Result[] };

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

/** Reads a frame of requests. Keys and values are views of `bytes`. Throws `bad-message` or `too-large`. */
export const decodeRequests = (bytes: Uint8Array): RequestFrame => {
  const [id, shard, e, requests] = arrayIn(decode(bytes, budget), "the frame");
  return {
    id: countIn(id, "a request id"),
    shard: ranged(() => shardId(countIn(shard, "a shard"))),
    epoch: epochIn(e),
    requests: operationsIn(requests).map((request) => requestIn(arrayIn(request, "an operation"))),
  };
};

/** Reads a frame of replies. Values are views of `bytes`. Throws `bad-message` or `too-large`. */
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
