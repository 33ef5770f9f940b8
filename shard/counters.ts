import type { ErrorCode } from "../core/errors.ts";
import type { Request, Result } from "../core/request.ts";

/** What this process has done since it started: plain numbers, cheap enough for every request. health.ts shows them. */
export type Counters = {
  /** By kind of request, by outcome. */
  readonly requests: Readonly<globalThis.Record<Request["kind"], Map<Outcome, number>>>;
  /** Bytes of records and entries. */
  sentBytes: number;
  receivedBytes: number;
  /** Full copies, given and taken. */
  copiesServed: number;
  copiesTaken: number;
  /** Readers that told this source where they stand, and times that this reader told its source. */
  resyncsServed: number;
  resyncsSent: number;
  /** Streams that this reader had to break off, because they did not go on where it stood. */
  brokenStreams: number;
  expiredKeys: number;
  /** Records that were held here and are not in the shard's history any more: kept aside when the owner changed. */
  quarantinedRecords: number;
  /** Requests refused, and batches of commands begun, for want of a lease. */
  noLease: number;
  /** Bytes of keys and records that left with a move of slots, and that came with one. */
  movedOutBytes: number;
  movedInBytes: number;
  /** Frames and batches of commands that clients have asked for. */
  asked: number;
  /** Of Edis's own clients: reads of keys that were there, and that were not. */
  hits: number;
  misses: number;
};
export type Outcome = "ok" | ErrorCode;

export const createCounters = (): Counters => ({
  requests: { get: new Map(), set: new Map(), delete: new Map(), increment: new Map() },
  sentBytes: 0,
  receivedBytes: 0,
  copiesServed: 0,
  copiesTaken: 0,
  resyncsServed: 0,
  resyncsSent: 0,
  brokenStreams: 0,
  expiredKeys: 0,
  quarantinedRecords: 0,
  noLease: 0,
  movedOutBytes: 0,
  movedInBytes: 0,
  asked: 0,
  hits: 0,
  misses: 0,
});

/** Counts the results of one frame. */
export const countResults = (
  counters: Counters,
  requests: readonly Request[],
  results: readonly Result[],
): void => {
  for (let i = 0; i < requests.length; i++) {
    const request = requests[i];
    const result = results[i];
    if (request === undefined || result === undefined) continue;
    const outcome = result.kind === "error" ? result.code : "ok";
    if (result.kind === "value") {
      if (result.value === null) counters.misses++;
      else counters.hits++;
    }
    const byOutcome = counters.requests[request.kind];
    byOutcome.set(outcome, (byOutcome.get(outcome) ?? 0) + 1);
  }
};
