import { EdisError } from "../core/errors.ts";
import { epoch, version, type Slot } from "../core/ids.ts";
import type { Condition, Expiry, ReadLevel, Request, Result } from "../core/request.ts";
import { frameBytesMax, operationOverheadBytesMax } from "../core/limits.ts";
import { slotOf } from "../core/slot.ts";
import type { Shard } from "../core/topology.ts";
import { keyBytes, valueBytes, type Data } from "./data.ts";
import type { Places } from "./session.ts";

/**
 * How fresh a read is:
 * - `eventual`: any reader whose lag is in bounds;
 * - `session`: any reader that holds all that this session has written and read;
 * - `linearizable`: the owner.
 */
export type Consistency = "eventual" | "session" | "linearizable";

export type CallOptions = {
  /** Gives up when aborted, with `aborted`. */
  readonly signal?: AbortSignal | undefined;
  /** How long to try in all. Milliseconds. */
  readonly timeoutMs?: number | undefined;
};

export type ReadChoice = {
  readonly consistency?: Consistency | undefined;
  /** Eventual reads: the reader may be at most this far behind. Milliseconds; the cluster's own bound by default. */
  readonly lagMsMax?: number | undefined;
};
export type GetOptions = CallOptions & ReadChoice;

/** At most one condition and at most one expiry. Without an expiry the value stays for ever. */
export type WriteChoice = {
  readonly ifAbsent?: boolean | undefined;
  readonly ifPresent?: boolean | undefined;
  readonly ifEqual?: Data | undefined;
  readonly expiresInMs?: number | undefined;
  /** A Date, or milliseconds since 1970. */
  readonly expiresAt?: number | { readonly getTime: () => number } | undefined;
  /** Leaves the expiry as it was. */
  readonly keepExpiry?: boolean | undefined;
};
export type SetOptions = CallOptions & WriteChoice;

/** One operation of a batch. */
export type BatchOperation =
  | ({ readonly kind: "get"; readonly key: Data } & ReadChoice)
  | ({ readonly kind: "set"; readonly key: Data; readonly value: Data } & WriteChoice)
  | { readonly kind: "delete"; readonly key: Data }
  | { readonly kind: "increment"; readonly key: Data; readonly by?: number | undefined };

export type Success = Exclude<Result, { readonly kind: "error" }>;
export type Outcome = Success | EdisError;

/** One request on its way: what it is, and where it stands. The dispatcher owns the fields that change. */
export type Operation = {
  request: Request;
  readonly slot: Slot;
  /** About what it adds to a frame. */
  readonly bytes: number;
  readonly session: Places;
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly done: (outcome: Outcome) => void;
  /** The frame it is under way in. A reply to any other frame is late and ignored. */
  frame: object | null;
  finished: boolean;
  /** Where it stands among those that are pending; -1 before it was submitted. */
  place: number;
  /** Failed attempts, for the backoff. */
  attempts: number;
  /** The shard, in the epoch, that it was last sent to; and how often that was another epoch than before. */
  sentTo: Shard | null;
  hops: number;
  /** It has to have a frame of its own. */
  alone: boolean;
  /** Pods that did not answer this read; asked again once all have been. */
  tried: readonly string[];
  /** When it is tried again; 0 while it is under way. */
  dueMs: number;
  reason: EdisError | null;
};

export type Draft = Pick<Operation, "session" | "deadlineMs" | "timeoutMs" | "done">;

/** An operation at its start. */
export const operation = (request: Request, draft: Draft): Operation => ({
  request,
  slot: slotOf(request.key),
  bytes: requestBytes(request),
  ...draft,
  frame: null,
  finished: false,
  place: -1,
  attempts: 0,
  sentTo: null,
  hops: 0,
  alone: false,
  tried: [],
  dueMs: 0,
  reason: null,
});

export const isWrite = ({ request }: Operation): boolean => request.kind !== "get";

const requestBytes = (request: Request): number => {
  switch (request.kind) {
    case "get":
    case "delete":
    case "increment":
      return request.key.length + 32;
    case "set": {
      const expected = request.condition.kind === "ifEqual" ? request.condition.value.length : 0;
      return request.key.length + request.value.length + expected + 48;
    }
  }
};

/** What is sent for a call. Throws `bad-argument` or `too-large`. */
export const requestOf = (call: BatchOperation, defaults: ReadChoice): Request => {
  switch (call.kind) {
    case "get":
      return { kind: "get", key: keyBytes(call.key), read: levelOf(call, defaults) };
    case "set":
      return fitting({
        kind: "set",
        key: keyBytes(call.key),
        value: valueBytes(call.value),
        condition: conditionOf(call),
        expiry: expiryOf(call),
      });
    case "delete":
      return { kind: "delete", key: keyBytes(call.key) };
    case "increment":
      return { kind: "increment", key: keyBytes(call.key), by: integer(call.by ?? 1, "an increment") };
  }
};

/** A value and the one it must equal share a frame. */
const fitting = (request: Extract<Request, { readonly kind: "set" }>): Request => {
  const { key, value, condition } = request;
  const expected = condition.kind === "ifEqual" ? condition.value.length : 0;
  const bytes = key.length + value.length + expected;
  if (expected === 0 || bytes + operationOverheadBytesMax <= frameBytesMax) return request;
  throw new EdisError(
    "too-large",
    `Cannot send a key, a value and the one it must equal of ${bytes} bytes: all of a frame has at most ${frameBytesMax}`,
  );
};

const levelOf = (choice: ReadChoice, defaults: ReadChoice): ReadLevel => {
  const consistency = choice.consistency ?? defaults.consistency ?? "eventual";
  switch (consistency) {
    case "eventual": {
      const lagMsMax = choice.lagMsMax ?? defaults.lagMsMax;
      if (lagMsMax === undefined) return { kind: "eventual", lagMsMax: null };
      return { kind: "eventual", lagMsMax: positive(lagMsMax, "lagMsMax") };
    }
    case "session":
      // The place is filled in once the shard is known.
      return { kind: "session", epoch: epoch(0), version: version(0) };
    case "linearizable":
      return { kind: "linearizable" };
    default:
      throw new EdisError(
        "bad-argument",
        `Cannot read with consistency ${String(consistency)}: wanted is eventual, session or linearizable`,
      );
  }
};

const conditionOf = ({ ifAbsent, ifPresent, ifEqual }: WriteChoice): Condition => {
  if (Number(ifAbsent === true) + Number(ifPresent === true) + Number(ifEqual !== undefined) > 1) {
    throw new EdisError(
      "bad-argument",
      "Cannot set with two conditions: give one of ifAbsent, ifPresent, ifEqual",
    );
  }
  if (ifAbsent === true) return { kind: "ifAbsent" };
  if (ifPresent === true) return { kind: "ifPresent" };
  if (ifEqual !== undefined) return { kind: "ifEqual", value: valueBytes(ifEqual) };
  return { kind: "always" };
};

const expiryOf = ({ expiresInMs, expiresAt, keepExpiry }: WriteChoice): Expiry => {
  if (Number(keepExpiry === true) + Number(expiresInMs !== undefined) + Number(expiresAt !== undefined) > 1) {
    throw new EdisError(
      "bad-argument",
      "Cannot set with two expiries: give one of expiresInMs, expiresAt, keepExpiry",
    );
  }
  if (expiresInMs !== undefined) return { kind: "in", ms: positive(expiresInMs, "expiresInMs") };
  if (expiresAt !== undefined) {
    const ms = typeof expiresAt === "number" ? expiresAt : expiresAt.getTime();
    return { kind: "at", ms: positive(ms, "expiresAt") };
  }
  return { kind: keepExpiry === true ? "keep" : "never" };
};

const positive = (n: number, what: string): number => {
  if (Number.isSafeInteger(n) && n > 0) return n;
  throw new EdisError(
    "bad-argument",
    `Cannot use ${String(n)} as ${what}: wanted are whole milliseconds above 0`,
  );
};

const integer = (n: number, what: string): number => {
  if (Number.isSafeInteger(n)) return n;
  throw new EdisError(
    "bad-argument",
    `Cannot use ${String(n)} as ${what}: wanted is an integer of at most 53 bits`,
  );
};
