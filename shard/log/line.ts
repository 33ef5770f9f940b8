import { check } from "../../core/check.ts";
import type { Cancel, Clock } from "../../core/clock.ts";
import { EdisError } from "../../core/errors.ts";
import { version, type Version } from "../../core/ids.ts";
import { logBatchBytesMax } from "../../core/limits.ts";
import { diskFailed } from "./damage.ts";
import { behind, isNoSpace, type Disk } from "./disk.ts";
import { encodeFrameHeader, encodeSegmentHeader, frameHeaderBytes } from "./layout.ts";
import type { Batch, Fsync } from "./log.ts";
import type { LogLimits } from "./logLimits.ts";
import { addBatch, dropPieces, frameUp, type Frames, type Pending } from "./pending.ts";
import { createSegment, noteFrame, segmentOf, type Extent, type Segment } from "./segment.ts";
import { createSpares, type Spares } from "./spares.ts";

/**
 * A line of segments that follow one another, and what is appended to it. Records are written once per turn of the event
 * loop; one sync is under way at a time, off the main thread, and what came meanwhile goes with the next. A line takes
 * nothing back: a file that was left is never written again, and a start begins a new one.
 */
export type Line = {
  readonly id: number;
  readonly append: (batch: Batch) => void;
  /** Does at once what would be done at the end of this turn of the event loop. */
  readonly flush: () => Version;
  readonly newest: () => Version;
  readonly written: () => Version;
  readonly synced: () => Version;
  readonly durable: () => Version;
  /** The version of the oldest record that is there, or would be. */
  readonly first: () => Version;
  readonly segments: () => readonly Segment[];
  readonly pending: () => Pending;
  /** The checksum that the first segment goes on from, and where the line stands on the disk. */
  readonly extent: () => Extent;
  /** Resolves once everything up to here is synced, in whichever mode. Rejects once the line has failed. */
  readonly syncThrough: (through: Version) => Promise<void>;
  /** From now on a restart finds this line: what is appended can become durable. */
  readonly commit: () => void;
  /** Takes segments that hold nothing from `keep` on off the line; answers them. */
  readonly dropBefore: (keep: Version) => readonly Segment[];
  /** Makes the first file to write to; nothing is written before. */
  readonly open: () => void;
  /** Resolves once there is a file to write to. */
  readonly ready: () => Promise<void>;
  /** Writes and syncs everything, closes the files. */
  readonly close: () => Promise<void>;
  /** Closes the files as they are; answers their paths. */
  readonly leave: () => Promise<readonly string[]>;
};

export type LineOptions = {
  readonly disk: Disk;
  readonly folder: string;
  readonly clock: Clock;
  readonly fsync: () => Fsync;
  readonly limits: LogLimits;
  /** What may be held of what counts as written. Asked each time: there has to be room for it on the volume. */
  readonly heldBytes: () => number;
  readonly events: LineEvents;
};

export type LineEvents = {
  readonly durable: (through: Version) => void;
  readonly wrote: (bytes: number) => void;
  /** A write found no room (true), or was done after all (false). */
  readonly stuck: (isStuck: boolean) => void;
  /** Another segment is written to. */
  readonly moved: () => void;
  readonly failed: (error: EdisError) => void;
};

/** Where a line begins, or goes on. */
export type LineStart = {
  readonly id: number;
  /** Oldest first; nothing is written to them any more. */
  readonly segments: readonly Segment[];
  readonly nextSequence: number;
  readonly newest: Version;
  readonly checksum: number;
  readonly isCommitted: boolean;
};

type State = {
  readonly options: LineOptions;
  readonly id: number;
  segments: Segment[];
  /** The last of `segments`, where it was begun by this process. */
  active: Segment | null;
  readonly spares: Spares;
  checksum: number;
  readonly pending: Pending;
  newest: Version;
  written: Version;
  synced: Version;
  durable: Version;
  /** What the newest frame says is synced. */
  said: Version;
  isCommitted: boolean;
  isFlushDue: boolean;
  isWriting: boolean;
  /** Since when records are held that count as written; null where none are. */
  heldSinceMs: number | null;
  isFull: boolean;
  isClosing: boolean;
  /** When the sync under way began; null while there is none. */
  syncingSinceMs: number | null;
  waiters: Waiter[];
  /** Failed or closed: nothing is done any more. */
  over: EdisError | null;
  cancelTick: Cancel;
};
type Waiter = {
  readonly through: Version;
  readonly resolve: () => void;
  readonly reject: (error: EdisError) => void;
};

export const createLine = (options: LineOptions, start: LineStart): Line => {
  const state = createState(options, start);
  return {
    id: state.id,
    append: (batch) => {
      append(state, batch);
    },
    flush: () => {
      flush(state);
      return state.written;
    },
    newest: () => state.newest,
    written: () => state.written,
    synced: () => state.synced,
    durable: () => (state.isCommitted ? state.durable : version(0)),
    first: () => state.segments[0]?.first ?? version(state.written + 1),
    segments: () => state.segments,
    pending: () => state.pending,
    extent: () => extentOf(state),
    syncThrough: (through) => syncThrough(state, through),
    commit: () => {
      state.isCommitted = true;
      flush(state);
    },
    dropBefore: (keep) => dropBefore(state, keep),
    open: () => {
      state.spares.open();
    },
    ready: async () => {
      await state.spares.settled();
      if (state.over !== null) throw state.over;
    },
    close: async () => {
      state.isClosing = true;
      try {
        await syncThrough(state, state.newest);
      } finally {
        await leave(state);
      }
    },
    leave: () => leave(state),
  };
};

const createState = (options: LineOptions, start: LineStart): State => {
  const { id, newest, nextSequence, checksum, isCommitted } = start;
  const spares = createSpares({
    ...{ ...options, line: id, nextSequence },
    ready: () => {
      flush(state);
    },
    failed: (error) => {
      fail(state, "its next file could not be made", error);
    },
  });
  const state: State = {
    ...{ options, id, segments: [...start.segments], active: null, spares },
    ...{ checksum, pending: { pieces: [], bytes: 0 }, isCommitted },
    ...{ newest, written: newest, synced: newest, durable: newest, said: newest },
    ...{ isFlushDue: false, isWriting: false, heldSinceMs: null, isFull: false, isClosing: false },
    ...{ syncingSinceMs: null, waiters: [], over: null },
    cancelTick: () => undefined,
  };
  state.cancelTick = options.clock.every(options.limits.syncEveryMs, () => {
    tick(state);
  });
  return state;
};

const append = (state: State, batch: Batch): void => {
  const { options, pending } = state;
  check(batch.first === state.newest + 1 && batch.last >= batch.first, "records are appended in order");
  check(!state.isClosing, "nothing is appended to a log that is closed");
  check(batch.bytes.length <= logBatchBytesMax, "a batch is not larger than a frame may be");
  state.newest = batch.last;
  if (state.over !== null) return;
  addBatch(pending, batch, options.limits.frameBytes);
  if (state.isFlushDue) return;
  state.isFlushDue = true;
  options.clock.soon(() => {
    state.isFlushDue = false;
    flush(state);
  });
};

/** Does what can be done now. Called whenever something has changed. */
const flush = (state: State): void => {
  if (state.over !== null || state.isFull) return;
  if (state.isWriting) {
    // What was held is being written, off the main thread: what comes meanwhile is held as well.
    if (state.heldSinceMs !== null && state.options.fsync() === "everysec") hold(state, state.heldSinceMs);
    return;
  }
  if (state.syncingSinceMs !== null && !state.isClosing) {
    const mode = state.options.fsync();
    // What comes while a sync is under way goes with the next one.
    if (mode === "always") return;
    // A write to a file that is being synced may block the process for as long.
    if (mode === "everysec") {
      state.heldSinceMs ??= state.syncingSinceMs;
      hold(state, state.heldSinceMs);
      return;
    }
  }
  if (state.pending.pieces.length > 0) write(state);
  else settle(state);
};

/** Nothing is left to be written. */
const settle = (state: State): void => {
  state.heldSinceMs = null;
  const mode = state.options.fsync();
  confirm(state, mode === "always" ? state.synced : state.written);
  if (state.syncingSinceMs !== null) return;
  const isWanted = mode === "always" || state.isClosing || state.waiters.length > 0;
  if (isWanted && state.written > state.synced) startSync(state);
};

/** Every second, so that what was answered for while it is held is never older than that by much. */
const hold = (state: State, sinceMs: number): void => {
  const { clock, limits, heldBytes } = state.options;
  if (state.pending.bytes <= heldBytes() && clock.nowMs() - sinceMs <= limits.heldMs)
    confirm(state, state.newest);
};

const confirm = (state: State, through: Version): void => {
  if (state.over !== null || !state.isCommitted || through <= state.durable) return;
  state.durable = through;
  state.options.events.durable(through);
};

const write = (state: State): void => {
  const { limits } = state.options;
  while (state.pending.pieces.length > 0) {
    const segment = activeSegment(state);
    if (segment === null) return;
    const { pending } = state;
    const isLarge = pending.bytes > limits.writeBytes;
    const frames = frameUp(pending, {
      ...{ previous: state.checksum, seed: segment.checksum, synced: state.synced },
      ...{ frameBytesMax: limits.frameBytes, bytesMax: limits.writeBytes * (isLarge ? 4 : 1) },
    });
    const chunks = segment.bytes === 0 ? [encodeSegmentHeader(segment), ...frames.chunks] : frames.chunks;
    if (isLarge) {
      writeAside(state, segment, { frames, chunks });
      return;
    }
    try {
      writeAll(segment, chunks);
    } catch (error) {
      refused(state, segment, error);
      return;
    }
    wrote(state, segment, frames);
  }
  settle(state);
};

const writeAll = ({ file, bytes }: Segment, chunks: readonly Uint8Array[]): void => {
  let left = chunks;
  for (let at = bytes; left.length > 0;) {
    const written = file.writeNow(left, at);
    if (written === 0) throw new Error("The disk took nothing and said nothing");
    at += written;
    left = behind(left, written);
  }
};

type Writing = { readonly frames: Frames; readonly chunks: readonly Uint8Array[] };

/** Some milliseconds of work, which the event loop does not wait for. */
const writeAside = (state: State, segment: Segment, { frames, chunks }: Writing): void => {
  state.isWriting = true;
  segment.file.write(chunks, segment.bytes).then(
    () => {
      state.isWriting = false;
      wrote(state, segment, frames);
      if (state.options.fsync() !== "always") confirm(state, state.written);
      flush(state);
    },
    (error: unknown) => {
      state.isWriting = false;
      refused(state, segment, error);
    },
  );
};

const wrote = (state: State, segment: Segment, frames: Frames): void => {
  const isFirst = segment.bytes === 0;
  const start = isFirst ? encodeSegmentHeader(segment).length : segment.bytes;
  for (const { first, offset } of frames.starts) noteFrame(segment, { first, offset: start + offset });
  segment.bytes = start + frames.bytes;
  segment.last = frames.last;
  segment.isDirty = true;
  state.checksum = frames.checksum;
  state.written = frames.last;
  state.said = frames.synced;
  dropPieces(state.pending, frames.pieces);
  state.options.events.wrote(frames.bytes);
};

/** A full disk gets room some time; anything else is the end. */
const refused = (state: State, segment: Segment, error: unknown): void => {
  if (!isNoSpace(error) || state.over !== null) {
    fail(state, `a write to ${segment.path} failed`, error);
    return;
  }
  const { clock, limits, events } = state.options;
  if (state.isClosing) {
    giveUp(state, new EdisError("disk-full", `Cannot write the end of the log to ${segment.path}: no room`));
    return;
  }
  state.isFull = true;
  events.stuck(true);
  // The flush may find it full again.
  const isFull = (): boolean => state.isFull;
  const again = (): void => {
    clock.after(limits.retryMs, () => {
      state.isFull = false;
      flush(state);
      events.stuck(isFull());
    });
  };
  // A part of a frame may have been written.
  segment.file.truncate(segment.bytes).then(again, again);
};

/** The segment to write to; null as long as there is no file. */
const activeSegment = (state: State): Segment | null => {
  const { active, spares, options, pending } = state;
  if (active !== null && (!spares.isReady() || active.bytes < options.limits.segmentBytes)) return active;
  const spare = spares.take();
  if (spare === null) return null;
  const first = pending.pieces[0]?.first ?? version(state.written + 1);
  const { sequence, path, file } = spare;
  const segment = createSegment({ line: state.id, sequence, first, checksum: state.checksum }, path, file);
  state.active = segment;
  state.segments.push(segment);
  // Whatever the mode: a segment that was left is synced.
  if (active !== null && state.syncingSinceMs === null) startSync(state);
  options.events.moved();
  return segment;
};

const startSync = (state: State): void => {
  const dirty = state.segments.filter(({ isDirty }) => isDirty);
  const target = state.written;
  state.syncingSinceMs = state.options.clock.nowMs();
  for (const segment of dirty) segment.isDirty = false;
  Promise.all(dirty.map(({ file }) => file.sync())).then(
    () => {
      state.syncingSinceMs = null;
      if (state.over !== null) return;
      state.synced = target;
      if (state.options.fsync() === "always") confirm(state, target);
      state.waiters = state.waiters.filter(({ through, resolve }) => {
        if (through <= target) resolve();
        return through > target;
      });
      flush(state);
    },
    (error: unknown) => {
      fail(state, "a sync of it failed", error);
    },
  );
};

const syncThrough = (state: State, through: Version): Promise<void> =>
  new Promise((resolve, reject) => {
    if (state.over !== null) reject(state.over);
    else if (through <= state.synced) resolve();
    else {
      state.waiters.push({ through, resolve, reject });
      flush(state);
    }
  });

const tick = (state: State): void => {
  const { pending, synced, written, said } = state;
  if (state.over !== null || state.isWriting || state.isFull || state.syncingSinceMs !== null) return;
  if (pending.pieces.length > 0) return;
  if (written > synced) {
    if (state.options.fsync() !== "never") startSync(state);
  } else if (said < synced) saySynced(state);
};

/** A frame without records: nothing more came, and what is there was synced, so that damage to its end is not taken for a torn one. */
const saySynced = (state: State): void => {
  const { active: segment, synced, written } = state;
  if (segment === null || segment.bytes === 0) return;
  const place = { first: version(written + 1), last: written, synced, previous: state.checksum };
  const { header, checksum } = encodeFrameHeader(place, [], segment.checksum);
  try {
    writeAll(segment, [header]);
  } catch (error) {
    refused(state, segment, error);
    return;
  }
  segment.bytes += frameHeaderBytes;
  segment.isDirty = true;
  state.checksum = checksum;
  state.said = synced;
};

const dropBefore = (state: State, keep: Version): readonly Segment[] => {
  const oldest = segmentOf(state.segments, keep);
  const count = oldest === undefined ? 0 : state.segments.indexOf(oldest);
  return state.segments.splice(0, count);
};

const extentOf = ({ id, segments, spares, written, checksum }: State): Extent => {
  const [first] = segments;
  const last = segments.at(-1);
  if (first === undefined || last === undefined) {
    const sequence = spares.next();
    return { line: id, first: sequence, last: sequence - 1, version: version(written + 1), checksum };
  }
  return {
    ...{ line: id, first: first.sequence, last: last.sequence },
    ...{ version: first.first, checksum: first.checksum },
  };
};

const fail = (state: State, what: string, cause: unknown): void => {
  if (state.over !== null) return;
  const error = diskFailed(state.options.folder, what, cause);
  giveUp(state, error);
  state.options.events.failed(error);
};

const giveUp = (state: State, error: EdisError): void => {
  state.over = error;
  state.cancelTick();
  const { waiters } = state;
  state.waiters = [];
  for (const { reject } of waiters) reject(error);
};

const leave = async (state: State): Promise<readonly string[]> => {
  if (state.over === null) giveUp(state, new EdisError("closed", "Cannot use the log: it was closed"));
  const spare = await state.spares.leave();
  const files = [...state.segments, ...(spare === null ? [] : [spare])];
  await Promise.all(files.map(({ file }) => file.close()));
  return files.map(({ path }) => path);
};
