import * as fs from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";

/**
 * What the log needs of a file system. Everything but `writeNow` happens off the main thread. Whoever wants to know what
 * a log does when a disk fails gives it a disk that fails.
 */
export type Disk = {
  /** The names in a folder; none where there is no such folder. */
  readonly list: (folder: string) => Promise<readonly string[]>;
  /** With those above it, where they are not there yet. */
  readonly makeFolder: (folder: string) => Promise<void>;
  readonly open: (path: string, how: OpenHow) => Promise<DiskFile>;
  readonly rename: (from: string, to: string) => Promise<void>;
  readonly remove: (path: string) => Promise<void>;
  /** With all that is in it. */
  readonly removeFolder: (folder: string) => Promise<void>;
  /** Makes the names in it survive a loss of power. */
  readonly syncFolder: (folder: string) => Promise<void>;
  readonly space: (folder: string) => Promise<Space>;
  /**
   * Takes a file for this process alone, until it is released or the process has ended, however it ends. Null where another one
   * has it. Throws where it cannot be made.
   */
  readonly lock: (path: string) => (() => void) | null;
  /** Names this run of the operating system, whose locks these are; empty where it cannot be told. */
  readonly kernel: () => Promise<string>;
};

/** To read it, to change what is there, or empty (what was there is gone). */
export type OpenHow = "read" | "change" | "create";

/** Bytes. */
export type Space = { readonly free: number; readonly total: number };

export type DiskFile = {
  readonly size: () => Promise<number>;
  /** Writes at an offset before it returns; says how many bytes, which may be less than all. */
  readonly writeNow: (chunks: readonly Uint8Array[], at: number) => number;
  /** Writes everything at an offset. The chunks must not change before it is done. */
  readonly write: (chunks: readonly Uint8Array[], at: number) => Promise<void>;
  /** Fills the target from an offset; says how many bytes there were. */
  readonly read: (target: Uint8Array, at: number) => Promise<number>;
  /** Makes what was written survive a loss of power. */
  readonly sync: () => Promise<void>;
  /** Cuts it, so that it survives a loss of power. */
  readonly truncate: (bytes: number) => Promise<void>;
  readonly close: () => Promise<void>;
};

/** Whether a disk refused for want of room, which passes; anything else does not. */
export const isNoSpace = (error: unknown): boolean =>
  hasCode(error) && (error.code === "ENOSPC" || error.code === "EDQUOT");

export const isNotFound = (error: unknown): boolean => hasCode(error) && error.code === "ENOENT";

const hasCode = (error: unknown): error is Error & { readonly code: unknown } =>
  error instanceof Error && "code" in error;

/** The chunks without their first bytes. */
export const behind = (chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] => {
  let left = bytes;
  const rest: Uint8Array[] = [];
  for (const chunk of chunks) {
    if (left < chunk.length) rest.push(left === 0 ? chunk : chunk.subarray(left));
    left = Math.max(0, left - chunk.length);
  }
  return rest;
};

const open = promisify(fs.open);
const close = promisify(fs.close);
const fstat = promisify(fs.fstat);
const ftruncate = promisify(fs.ftruncate);
const fdatasync = promisify(fs.fdatasync);
const fsync = promisify(fs.fsync);
const read = promisify(fs.read);
const writev = promisify(fs.writev);

const flags = { read: "r", change: "r+", create: "w+" } as const;

export const systemDisk: Disk = {
  list: async (folder) => {
    try {
      return await fs.promises.readdir(folder);
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  },
  makeFolder: async (folder) => {
    await fs.promises.mkdir(folder, { recursive: true });
  },
  open: async (path, how) => systemFile(await open(path, flags[how])),
  rename: (from, to) => fs.promises.rename(from, to),
  remove: (path) => fs.promises.unlink(path),
  removeFolder: (folder) => fs.promises.rm(folder, { recursive: true }),
  syncFolder: async (folder) => {
    const descriptor = await open(folder, "r");
    try {
      await fdatasync(descriptor);
    } finally {
      await close(descriptor);
    }
  },
  space: async (folder) => {
    const { bavail, blocks, bsize } = await fs.promises.statfs(folder);
    return { free: bavail * bsize, total: blocks * bsize };
  },
  lock: (path) => {
    const file = new DatabaseSync(path, { timeout: 0 });
    try {
      file.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    } catch (error) {
      file.close();
      if (isLocked(error)) return null;
      throw error;
    }
    locked.add(file);
    return () => {
      if (locked.delete(file)) file.close();
    };
  },
  kernel: async () => {
    try {
      return (await fs.promises.readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    } catch {
      return "";
    }
  },
};

/** Node has no locks on files of its own; SQLite's hold wherever the file system has any. What is collected is released. */
const locked = new Set<DatabaseSync>();
/** SQLITE_BUSY. */
const isLocked = (error: unknown): boolean =>
  error instanceof Error && "errcode" in error && error.errcode === 5;

/** Operations under way end before the descriptor is closed: its number may be another file's right afterwards. */
const systemFile = (descriptor: number): DiskFile => {
  let running = 0;
  let idle: (() => void) | null = null;
  let isClosed = false;
  const during = async <T>(operation: () => Promise<T>): Promise<T> => {
    if (isClosed) throw new Error("The file was closed");
    running++;
    try {
      return await operation();
    } finally {
      if (--running === 0) idle?.();
    }
  };
  return {
    size: () => during(async () => (await fstat(descriptor)).size),
    writeNow: (chunks, at) => {
      if (isClosed) throw new Error("The file was closed");
      return fs.writevSync(descriptor, chunks, at);
    },
    write: (chunks, at) => during(() => writeAll(descriptor, chunks, at)),
    read: (target, at) => during(() => readAll(descriptor, target, at)),
    sync: () => during(() => fdatasync(descriptor)),
    truncate: (bytes) =>
      during(async () => {
        await ftruncate(descriptor, bytes);
        await fsync(descriptor);
      }),
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      if (running > 0)
        await new Promise<void>((resolve) => {
          idle = resolve;
        });
      await close(descriptor);
    },
  };
};

const writeAll = async (descriptor: number, chunks: readonly Uint8Array[], at: number): Promise<void> => {
  let left = chunks;
  for (let offset = at; left.length > 0;) {
    const { bytesWritten } = await writev(descriptor, left, offset);
    offset += bytesWritten;
    left = behind(left, bytesWritten);
  }
};

const readAll = async (descriptor: number, target: Uint8Array, at: number): Promise<number> => {
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await read(descriptor, target, filled, target.length - filled, at + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
};
