import * as limits from "../../core/limits.ts";

/** Bytes and milliseconds; smaller ones than usual bring a test to the edges sooner. */
export type LogLimits = {
  readonly segmentBytes: number;
  readonly frameBytes: number;
  /** Written before the event loop goes on; more is written off the main thread. */
  readonly writeBytes: number;
  /** Counted as written while a sync is under way… */
  readonly heldBytes: number;
  /** …for as long. */
  readonly heldMs: number;
  readonly syncEveryMs: number;
  readonly reserveBytes: number;
  /** Written before the room is looked at again; after a quarter of a second it is in any case. */
  readonly lookEveryBytes: number;
  readonly retryMs: number;
  /** Log behind a snapshot before the next one is taken, at least… */
  readonly snapshotEveryBytes: number;
  /** …and at most, as a share of the volume. */
  readonly snapshotEveryShareMax: number;
  readonly blockBytes: number;
  /** Work of a snapshot in one turn of the event loop. */
  readonly sliceMs: number;
  readonly quarantineBytes: number;
};

export const usualLimits: LogLimits = {
  segmentBytes: limits.logSegmentBytesMax,
  frameBytes: limits.logFrameBytesMax,
  writeBytes: limits.logWriteBytesMax,
  heldBytes: limits.logHeldBytesMax,
  heldMs: 1_000,
  syncEveryMs: 1_000,
  reserveBytes: limits.logReserveBytesMax,
  lookEveryBytes: limits.logLookBytesMax,
  retryMs: 200,
  snapshotEveryBytes: limits.logBytesPerSnapshotMin,
  snapshotEveryShareMax: limits.logPerSnapshotShareMax,
  blockBytes: limits.snapshotBlockBytesMax,
  sliceMs: 1,
  quarantineBytes: limits.quarantineBytesMax,
};
