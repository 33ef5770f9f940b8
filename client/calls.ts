import type { Clock } from "../core/clock.ts";
import { check } from "../core/check.ts";
import { EdisError } from "../core/errors.ts";
import type { Place } from "../core/request.ts";
import type { Data } from "./data.ts";
import type { Dispatcher } from "./dispatcher.ts";
import {
  operation,
  requestOf,
  type BatchOperation,
  type CallOptions,
  type GetOptions,
  type Operation,
  type Outcome,
  type ReadChoice,
  type SetOptions,
  type Success,
} from "./operation.ts";
import type { Places } from "./session.ts";

/** What a read found, and where: `place` orders what one key's owners wrote, `lagMs` is the reader's lag at that moment. */
export type Entry = { readonly value: Uint8Array | null; readonly place: Place; readonly lagMs: number };

/** What became of one operation of a batch. */
export type BatchResult =
  | ({ readonly kind: "value" } & Entry)
  /** `applied` is false where the condition did not hold. */
  | { readonly kind: "set"; readonly applied: boolean; readonly place: Place }
  | { readonly kind: "deleted"; readonly existed: boolean; readonly place: Place }
  | { readonly kind: "integer"; readonly value: number; readonly place: Place }
  | { readonly kind: "error"; readonly error: EdisError };

/** The calls. All reject with an EdisError; its `next` says what to do. */
export type Calls = {
  /** The value; null where there is none. */
  readonly get: (key: Data, options?: GetOptions) => Promise<Uint8Array | null>;
  /** The value as UTF-8 text. */
  readonly getText: (key: Data, options?: GetOptions) => Promise<string | null>;
  /** The value, and how fresh it is. */
  readonly getEntry: (key: Data, options?: GetOptions) => Promise<Entry>;
  /** False where the condition (ifAbsent, ifPresent, ifEqual) did not hold. */
  readonly set: (key: Data, value: Data, options?: SetOptions) => Promise<boolean>;
  /** Whether it was there. */
  readonly delete: (key: Data, options?: CallOptions) => Promise<boolean>;
  /** The integer after adding `by` (1 by default); an absent key counts as 0. */
  readonly increment: (key: Data, by?: number, options?: CallOptions) => Promise<number>;
  /**
   * Many operations at once, each by itself: no transaction, and one may fail without the others. Results in the order of
   * the operations. Rejects only where an argument is wrong; nothing was sent then.
   */
  readonly batch: (
    operations: readonly BatchOperation[],
    options?: CallOptions,
  ) => Promise<readonly BatchResult[]>;
};

export type CallsOptions = {
  readonly places: Places;
  readonly clock: Clock;
  readonly dispatcher: Dispatcher;
  readonly defaults: ReadChoice;
  readonly timeoutMs: number;
};

export const createCalls = (calls: CallsOptions): Calls => {
  const call = async (what: BatchOperation, options: CallOptions | undefined): Promise<Success> =>
    one(calls, what, options);
  return {
    get: async (key, options) =>
      copyOf(as(await call({ kind: "get", key, ...readChoice(options) }, options), "value").value),
    getText: async (key, options) => {
      const { value } = as(await call({ kind: "get", key, ...readChoice(options) }, options), "value");
      return value === null ? null : textOf(value);
    },
    getEntry: async (key, options) => {
      const result = as(await call({ kind: "get", key, ...readChoice(options) }, options), "value");
      return { value: copyOf(result.value), place: placeOf(result), lagMs: result.lagMs };
    },
    set: async (key, value, options) =>
      as(await call({ ...options, kind: "set", key, value }, options), "set").applied,
    delete: async (key, options) => as(await call({ kind: "delete", key }, options), "deleted").existed,
    increment: async (key, by, options) =>
      as(await call({ kind: "increment", key, by }, options), "integer").value,
    batch: async (operations, options) => many(calls, operations, options),
  };
};

const readChoice = (options: GetOptions | undefined): ReadChoice => ({
  consistency: options?.consistency,
  lagMsMax: options?.lagMsMax,
});

const one = async (
  calls: CallsOptions,
  what: BatchOperation,
  options: CallOptions | undefined,
): Promise<Success> => {
  const request = requestOf(what, calls.defaults);
  const start = starter(calls, options);
  return new Promise((resolve, reject) => {
    start(request, (outcome) => {
      if (outcome instanceof EdisError) reject(outcome);
      else resolve(outcome);
    });
  });
};

const many = async (
  calls: CallsOptions,
  operations: readonly BatchOperation[],
  options: CallOptions | undefined,
): Promise<readonly BatchResult[]> => {
  const requests = operations.map((what) => requestOf(what, calls.defaults));
  if (requests.length === 0) return [];
  const start = starter(calls, options);
  return new Promise((resolve) => {
    const results = new Array<BatchResult>(requests.length);
    let left = requests.length;
    for (const [i, request] of requests.entries()) {
      start(request, (outcome) => {
        results[i] = resultOf(outcome);
        if (--left === 0) resolve(results);
      });
    }
  });
};

/** Starts operations that share one deadline and one signal. */
const starter = (calls: CallsOptions, options: CallOptions | undefined) => {
  const { clock, dispatcher, places } = calls;
  const timeoutMs = options?.timeoutMs ?? calls.timeoutMs;
  if (!(timeoutMs > 0))
    throw new EdisError(
      "bad-argument",
      `Cannot use ${timeoutMs} as timeoutMs: wanted are milliseconds above 0`,
    );
  const deadlineMs = clock.nowMs() + timeoutMs;
  const signal = options?.signal;
  return (request: Operation["request"], done: (outcome: Outcome) => void): void => {
    const started = operation(request, {
      session: places,
      deadlineMs,
      timeoutMs,
      done: (outcome) => {
        signal?.removeEventListener("abort", abort);
        done(outcome);
      },
    });
    const abort = (): void => {
      dispatcher.abort(started, signal?.reason);
    };
    if (signal?.aborted === true) {
      abort();
      return;
    }
    signal?.addEventListener("abort", abort);
    dispatcher.submit(started);
  };
};

const resultOf = (outcome: Outcome): BatchResult => {
  if (outcome instanceof EdisError) return { kind: "error", error: outcome };
  const place = placeOf(outcome);
  switch (outcome.kind) {
    case "value":
      return { kind: "value", value: copyOf(outcome.value), place, lagMs: outcome.lagMs };
    case "set":
      return { kind: "set", applied: outcome.applied, place };
    case "deleted":
      return { kind: "deleted", existed: outcome.existed, place };
    case "integer":
      return { kind: "integer", value: outcome.value, place };
  }
};

/** The connection lets no other kind of result through (expectedResult there). */
const as = <Kind extends Success["kind"]>(
  result: Success,
  kind: Kind,
): Extract<Success, { readonly kind: Kind }> => {
  check(isKind(result, kind), `a request is answered with its own kind of result, ${kind}`);
  return result;
};

const isKind = <Kind extends Success["kind"]>(
  result: Success,
  kind: Kind,
): result is Extract<Success, { readonly kind: Kind }> => result.kind === kind;

const placeOf = ({ epoch, version }: Place): Place => ({ epoch, version });

/** Results are views of a whole frame, which a value that is kept must not keep alive. */
const copyOf = (value: Uint8Array | null): Uint8Array | null => (value === null ? null : Buffer.from(value));

const textOf = (value: Uint8Array): string =>
  Buffer.from(value.buffer, value.byteOffset, value.length).toString();
