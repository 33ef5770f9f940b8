import type { Version } from "../../core/ids.ts";
import type { EdisError } from "../../core/errors.ts";

/** When a write counts as durable: once it is synced, or once the operating system has it and a sync follows within a second, or at some time. */
export type Fsync = "always" | "everysec" | "never";

/** Records that follow one another: a CBOR sequence of the versions `first` to `last`. The bytes do not change before they are written, nor for as long as anybody else needs them. */
export type Batch = { readonly bytes: Uint8Array; readonly first: Version; readonly last: Version };

/**
 * The log of one shard on this process's volume: records as they were written, in segments, and snapshots that let old
 * segments go. Opening it (open.ts) fills a holding from what is there; from then on whoever changes the holding appends.
 */
export type Log = {
  /**
   * Takes the next records: `batch.first` is one more than the newest. Costs a reference; what one turn of the event loop
   * brings is written together at its end.
   */
  readonly append: (batch: Batch) => void;
  /** Writes what was appended now: this turn of the event loop brings no more. Answers up to which version all is written: the bytes of those batches are needed no more. */
  readonly flush: () => Version;
  /** Resolves once everything up to here is synced, in whichever mode. Rejects once the log has failed, or its line was replaced. */
  readonly sync: (through: Version) => Promise<void>;
  /** The newest version that was appended. */
  readonly newest: () => Version;
  /** Everything up to here survives as the mode promises; 0 during a full copy, as a restart finds what was before it. */
  readonly durable: () => Version;
  /** The oldest version that `read` can give; one more than the newest where there is none. */
  readonly first: () => Version;
  /**
   * Records from `from` on, which must be between `first` and `newest`: at least one, more as long as `bytesMax` allows.
   * Rejects with `damaged` where the file does not hold what was written.
   */
  readonly read: (from: Version, bytesMax: number) => Promise<Batch>;
  /** Keeps the records from `from` on, until the hold is released. */
  readonly hold: (from: Version) => { readonly release: () => void };
  /** Writes a snapshot now; resolves once older ones and the log before them may go. One at a time: waits for the one under way. */
  readonly snapshot: () => Promise<void>;
  /**
   * A full copy replaces everything: `place` is where its walk began; entries come as the CBOR sequences that
   * core/record.ts describes. Records after `place` may be appended once it has begun. What was here before is let go
   * when the copy is complete; until then a restart finds the old data.
   */
  readonly beginCopy: (place: CopyPlace) => CopyWriter;
  /** What it is doing, for people. */
  readonly figures: () => LogFigures;
  /** Writes and syncs everything, closes the files. */
  readonly close: () => Promise<void>;
};

/**
 * The holding stands at `version` when a copy begins: its epoch, bytes, history and map go with it. `quarantineFrom`: records of
 * the old log from there on are not part of the new history; the newest of them are kept aside.
 */
export type CopyPlace = { readonly version: Version; readonly quarantineFrom?: Version };

export type LogFigures = {
  readonly segments: number;
  /** Of segments and snapshots. */
  readonly bytes: number;
  /** Behind the newest snapshot. */
  readonly bytesBehindSnapshot: number;
  readonly isSnapshotting: boolean;
  /** Of the newest snapshot; null where there is none. */
  readonly snapshotVersion: Version | null;
  readonly snapshots: number;
  readonly failedSnapshots: number;
  /** The longest turn of the event loop that a snapshot has taken. */
  readonly longestSnapshotTurnMs: number;
};

export type CopyWriter = {
  /** Takes a frame of entries; resolves when more may come, so that a slow disk holds its source up. */
  readonly add: (entries: Uint8Array) => Promise<void>;
  /** All entries have been taken, and records up to the newest were appended: makes the copy what a restart finds. */
  readonly finish: () => Promise<void>;
  readonly abort: () => Promise<void>;
};

/** What a log tells whoever appends. */
export type LogEvents = {
  readonly durable: (through: Version) => void;
  /** The volume is full (false), or has room again. What was appended stays and is written once there is room; no more should be. */
  readonly room: (isThere: boolean) => void;
  /** A write or a sync failed: nothing more becomes durable, the process has to end. */
  readonly failed: (error: EdisError) => void;
};
