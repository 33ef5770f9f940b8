import * as v from "valibot";
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import type { Version } from "../../core/ids.ts";
import { snapshotAheadBytesMax, snapshotUnsyncedBytesMax } from "../../core/limits.ts";
import { damaged } from "./damage.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { createFileReader, type FileReader } from "./fileReader.ts";
import * as layout from "./layout.ts";
import { placeSchema, type SnapshotInfo, type SnapshotPlace } from "./manifest.ts";
import { createSlices, type Slices } from "./slices.ts";

/** A snapshot that is being written: its place, blocks of entries, a trailer. It counts once a manifest names it. */
export type SnapshotWriter = {
  /** Entries as a CBOR sequence. Their bytes must not change before it is resolved; it always is. */
  readonly add: (entries: Uint8Array, count: number) => Promise<void>;
  /** Resolves once the disk is not far behind. Rejects where a write has failed. */
  readonly taken: () => Promise<void>;
  /** Says how far records have to be replayed on it, and syncs it. */
  readonly finish: (through: Version) => Promise<SnapshotInfo>;
  /** Closes and removes the file. */
  readonly abort: () => Promise<void>;
};

export type SnapshotFile = { readonly folder: string; readonly sequence: number };

export const snapshotPath = ({ folder, sequence }: SnapshotFile): string =>
  `${folder}/${layout.snapshotFile(sequence)}`;

export const openSnapshot = (disk: Disk, at: SnapshotFile): Promise<DiskFile> =>
  disk.open(snapshotPath(at), "create");

/** Begins to write to a file that was just opened. */
export const writeSnapshot = (
  disk: Disk,
  { file, at }: { readonly file: DiskFile; readonly at: SnapshotFile },
  place: SnapshotPlace,
): SnapshotWriter => {
  const output = createOutput(file);
  const text = Buffer.from(JSON.stringify(place));
  const { header, checksum: begun } = layout.encodeSnapshotHeader(text);
  let checksum = begun;
  let entries = 0;
  let bytes = 0;
  void output.write([header, text]);
  return {
    add: (payload, count) => {
      const block = layout.encodeBlockHeader(payload, count, checksum);
      checksum = block.checksum;
      entries += count;
      bytes += payload.length;
      return output.write([block.header, payload]);
    },
    taken: output.taken,
    finish: async (through) => {
      const trailer = layout.encodeTrailer({ through, entries, bytes, previous: checksum });
      void output.write([trailer]);
      await output.drained();
      await file.sync();
      await file.close();
      await disk.syncFolder(at.folder);
      const { sequence } = at;
      return {
        ...{ sequence, version: place.version, through, entries, bytes: output.bytes(), verified: false },
        checksum: trailer.readUInt32LE(layout.trailerBytes - 4),
      };
    },
    abort: async () => {
      output.stop();
      await file.close();
      await disk.remove(snapshotPath(at));
    },
  };
};

type Output = {
  /** Resolves once the chunks are needed no more, whatever came of it. */
  readonly write: (chunks: readonly Uint8Array[]) => Promise<void>;
  readonly taken: () => Promise<void>;
  readonly drained: () => Promise<void>;
  readonly bytes: () => number;
  readonly stop: () => void;
};

/** Writes one after the other, and syncs now and then. */
const createOutput = (file: DiskFile): Output => {
  let bytes = 0;
  let done = 0;
  let unsynced = 0;
  let isStopped = false;
  let failure: { readonly error: unknown } | null = null;
  let tail = Promise.resolve();
  let wake: (() => void) | null = null;
  const put = async (chunks: readonly Uint8Array[], at: number): Promise<void> => {
    if (failure !== null || isStopped) return;
    try {
      await file.write(chunks, at);
      const size = chunks.reduce((sum, { length }) => sum + length, 0);
      done = at + size;
      unsynced += size;
      if (unsynced >= snapshotUnsyncedBytesMax) {
        unsynced = 0;
        await file.sync();
      }
    } catch (error) {
      failure = { error };
    }
    wake?.();
  };
  const check = (): void => {
    if (failure !== null) throw failure.error;
  };
  return {
    write: (chunks) => {
      const at = bytes;
      for (const { length } of chunks) bytes += length;
      tail = tail.then(() => put(chunks, at));
      return tail;
    },
    taken: async () => {
      while (bytes - done > snapshotAheadBytesMax && failure === null && !isStopped)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      check();
    },
    drained: async () => {
      await tail;
      check();
    },
    bytes: () => bytes,
    stop: () => {
      isStopped = true;
      wake?.();
    },
  };
};

/** Takes a block: entries between two offsets. What it throws is said to be damage of the file. */
export type TakeBlock = (bytes: Buffer, start: number, end: number) => void;

/** Reads a snapshot from front to back and checks all of it. Rejects with `damaged`. */
export const readSnapshot = async (
  { disk, clock, at, info, sliceMs }: ReadOptions,
  takeBlock: TakeBlock,
): Promise<SnapshotPlace> => {
  const path = snapshotPath(at);
  let file;
  try {
    file = await disk.open(path, "read");
  } catch (error) {
    throw damaged({ file: path, offset: 0, what: `it cannot be opened: ${messageOf(error)}` });
  }
  try {
    const size = await file.size();
    if (size !== info.bytes)
      throw damaged({
        ...{ file: path, offset: Math.min(size, info.bytes) },
        what: `it has ${size} bytes, ${info.bytes} were written`,
      });
    return await readAll(
      { path, reader: createFileReader(file, size), slices: createSlices(clock, sliceMs) },
      info,
      takeBlock,
    );
  } finally {
    await file.close();
  }
};

export type ReadOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly at: SnapshotFile;
  readonly info: SnapshotInfo;
  /** Work in one turn of the event loop; some milliseconds where nothing is said. */
  readonly sliceMs?: number;
};

type Reading = { readonly path: string; readonly reader: FileReader; readonly slices: Slices };

const readAll = async (
  reading: Reading,
  info: SnapshotInfo,
  takeBlock: TakeBlock,
): Promise<SnapshotPlace> => {
  const { place, checksum: begun } = await readHeader(reading);
  const { reader, slices } = reading;
  const seen = { checksum: begun, entries: 0, bytes: 0 };
  for (;;) {
    await want(reading, layout.trailerBytes);
    const block = layout.decodeBlockHeader(reader.bytes, reader.at);
    if (block === null) break;
    if (block.bytes > info.bytes) throw flaw(reading, "the block here says that it is larger than the file");
    await want(reading, layout.blockHeaderBytes + block.bytes);
    const { bytes, at } = reader;
    if (block.previous !== seen.checksum)
      throw flaw(reading, "the block here does not follow the one before");
    if (!layout.isSoundBlock(bytes, at, block))
      throw flaw(reading, "the block here does not match its checksum");
    const start = at + layout.blockHeaderBytes;
    try {
      takeBlock(bytes, start, start + block.bytes);
    } catch (error) {
      throw flaw(reading, `the block here cannot be read: ${messageOf(error)}`);
    }
    reader.at = start + block.bytes;
    seen.checksum = block.checksum;
    seen.entries += block.entries;
    seen.bytes += block.bytes;
    if (slices.isOver()) await slices.next();
  }
  checkTrailer(reading, info, seen);
  return place;
};

const checkTrailer = (
  reading: Reading,
  info: SnapshotInfo,
  seen: { readonly checksum: number; readonly entries: number; readonly bytes: number },
): void => {
  const { reader } = reading;
  const trailer = layout.decodeTrailer(reader.bytes, reader.at);
  if (trailer === null) throw flaw(reading, "neither a block nor the end begins here");
  if (
    trailer.previous !== seen.checksum ||
    trailer.entries !== seen.entries ||
    trailer.bytes !== seen.bytes ||
    trailer.through !== info.through ||
    trailer.checksum !== info.checksum ||
    reader.available() !== layout.trailerBytes
  )
    throw flaw(reading, "the end here is not that of this snapshot");
};

const readHeader = async (reading: Reading): Promise<{ place: SnapshotPlace; checksum: number }> => {
  const { reader } = reading;
  await want(reading, layout.snapshotHeaderBytes);
  const length = layout.decodeSnapshotHeader(reader.bytes.subarray(reader.at));
  if (length === null) throw flaw(reading, "it does not begin as a snapshot does");
  const size = layout.snapshotHeaderBytes + length;
  await want(reading, size);
  const header = reader.bytes.subarray(reader.at, reader.at + layout.snapshotHeaderBytes);
  const text = reader.bytes.subarray(reader.at + layout.snapshotHeaderBytes, reader.at + size);
  const checksum = layout.checkSnapshotHeader(header, text);
  if (checksum === null) throw flaw(reading, "its header does not match its checksum");
  const place = v.safeParse(placeSchema, JSON.parse(text.toString()));
  if (!place.success) throw flaw(reading, "its header has another shape");
  reader.at += size;
  return { place: place.output, checksum };
};

const want = async (reading: Reading, count: number): Promise<void> => {
  let isThere;
  try {
    isThere = await reading.reader.want(count);
  } catch (error) {
    throw flaw(reading, `it cannot be read: ${messageOf(error)}`);
  }
  if (!isThere) throw flaw(reading, "it ends too early");
};

const flaw = ({ path, reader }: Reading, what: string): Error =>
  damaged({ file: path, offset: reader.offset(), what });
