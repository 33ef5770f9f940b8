/* eslint-disable @typescript-eslint/require-await -- everything here is asynchronous as on a real disk */
import { behind, type Disk, type DiskFile, type Space } from "../../shard/log/disk.ts";

/**
 * A disk in memory that knows what has been synced. It can fail at any operation, run full, and lose its power: then each
 * write that was not synced is there, or not, or in part, and names that were not synced may be as they were before.
 */
export type MemoryDisk = Disk & {
  /** Operations that change something, so far. */
  readonly operations: () => number;
  /** From this operation on, everything fails: the process has ended there. */
  readonly stopAt: (operation: number) => void;
  /** What `fault` answers is thrown. */
  fault: (operation: Operation) => Error | null;
  /** Writes are taken only so far in one call. */
  writeBytesMax: number;
  /** Bytes for all files. */
  capacity: number;
  /** Bytes that the next writes may not touch but `space` does not tell of; see `full`. */
  readonly bytes: () => number;
  /** What a process that starts afterwards finds: everything that was written. */
  readonly restarted: () => MemoryDisk;
  /** What it finds after a loss of power; `random(n)` is an integer in [0, n). */
  readonly afterPowerLoss: (random: (n: number) => number) => MemoryDisk;
  /** As they are, by path. */
  readonly files: () => ReadonlyMap<string, Buffer>;
  readonly put: (path: string, bytes: Uint8Array) => void;
  /** Resolves a sync of a path with this name's part only once it is called; null: at once. */
  syncGate: ((path: string) => Promise<void>) | null;
};

export type Operation = {
  readonly kind:
    "write" | "sync" | "truncate" | "open" | "rename" | "remove" | "syncFolder" | "makeFolder" | "read";
  readonly path: string;
};

type Content = {
  bytes: Buffer;
  synced: Buffer;
  /** Since the last sync. */
  writes: { at: number; bytes: Buffer }[];
};
/** What the names were before. */
type NameChange = {
  readonly folder: string;
  readonly before: readonly (readonly [path: string, content: Content | undefined])[];
};

export const noSpace = (): Error =>
  Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
export const inputOutput = (): Error => Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
const notFound = (path: string): Error => Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" });

export const createMemoryDisk = (initial: ReadonlyMap<string, Uint8Array> = new Map()): MemoryDisk =>
  create({ names: new Map([...initial].map(([path, bytes]) => [path, contentOf(bytes)])), changes: [] });

type Medium = { readonly names: Map<string, Content>; changes: NameChange[] };

const create = (medium: Medium): MemoryDisk => {
  const { names } = medium;
  let operations = 0;
  let stop = Infinity;

  const used = (): number => [...new Set(names.values())].reduce((sum, { bytes }) => sum + bytes.length, 0);
  const step = (kind: Operation["kind"], path: string): void => {
    if (kind !== "read") operations++;
    if (operations > stop) throw new Error("The process has ended");
    const fault = disk.fault({ kind, path });
    if (fault !== null) throw fault;
  };
  const put = (content: Content, chunks: readonly Uint8Array[], at: number): void => {
    const bytes = Buffer.concat(chunks);
    const end = at + bytes.length;
    if (used() + Math.max(0, end - content.bytes.length) > disk.capacity) throw noSpace();
    if (end > content.bytes.length)
      content.bytes = Buffer.concat([content.bytes, Buffer.alloc(end - content.bytes.length)]);
    else content.bytes = Buffer.from(content.bytes);
    bytes.copy(content.bytes, at);
    content.writes.push({ at, bytes });
  };
  const fileOf = (path: string, content: Content): DiskFile => {
    let isClosed = false;
    const begin = (kind: Operation["kind"]): void => {
      if (isClosed) throw new Error(`${path} was closed`);
      step(kind, path);
    };
    return {
      size: async () => content.bytes.length,
      writeNow: (chunks, at) => {
        begin("write");
        const all = Buffer.concat(chunks);
        const taken = all.subarray(0, disk.writeBytesMax);
        put(content, [taken], at);
        return taken.length;
      },
      write: async (chunks, at) => {
        let left = chunks;
        for (let offset = at; left.length > 0;) {
          begin("write");
          const taken = Buffer.concat(left).subarray(0, disk.writeBytesMax);
          put(content, [taken], offset);
          offset += taken.length;
          left = behind(left, taken.length);
          await Promise.resolve();
        }
      },
      read: async (target, at) => {
        begin("read");
        return content.bytes.copy(target, 0, at);
      },
      sync: async () => {
        begin("sync");
        const { bytes } = content;
        const count = content.writes.length;
        await (disk.syncGate?.(path) ?? Promise.resolve());
        if (operations > stop) throw new Error("The process has ended");
        content.synced = bytes;
        content.writes.splice(0, count);
      },
      truncate: async (bytes) => {
        begin("truncate");
        content.bytes = Buffer.from(content.bytes.subarray(0, bytes));
        content.synced = Buffer.from(content.synced.subarray(0, bytes));
        content.writes = content.writes
          .filter(({ at }) => at < bytes)
          .map(({ at, bytes: written }) => ({ at, bytes: written.subarray(0, bytes - at) }));
      },
      close: async () => {
        isClosed = true;
      },
    };
  };
  const change = (folder: string, ...paths: readonly string[]): void => {
    medium.changes.push({ folder, before: paths.map((path) => [path, names.get(path)] as const) });
  };
  /** With all that is in it, at once; what was changed in it and is not synced was changed under its new name. */
  const renameFolder = (from: string, to: string): void => {
    const inside = [...names].filter(([path]) => path.startsWith(`${from}/`));
    if (inside.length === 0) throw notFound(from);
    const moved = (path: string): string =>
      path === from || path.startsWith(`${from}/`) ? `${to}${path.slice(from.length)}` : path;
    medium.changes = medium.changes.map(({ folder, before }) => ({
      folder: moved(folder),
      before: before.map(([path, content]) => [moved(path), content] as const),
    }));
    change(folderOf(to), ...inside.flatMap(([path]) => [path, moved(path)]));
    for (const [path, content] of inside) {
      names.delete(path);
      names.set(moved(path), content);
    }
  };
  const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

  const disk: MemoryDisk = {
    operations: () => operations,
    stopAt: (operation) => {
      stop = operation;
    },
    fault: () => null,
    writeBytesMax: Infinity,
    capacity: Infinity,
    bytes: used,
    syncGate: null,
    files: () => new Map([...names].map(([path, { bytes }]) => [path, bytes])),
    put: (path, bytes) => {
      names.set(path, contentOf(bytes));
    },
    restarted: () => create({ names: copyOf(names), changes: [...medium.changes] }),
    afterPowerLoss: (random) => {
      const found = new Map(names);
      // Names that were not synced: those changed last are undone, as many as chance has it.
      const { changes } = medium;
      const undone = random(changes.length + 1);
      for (const { before } of changes.slice(changes.length - undone).toReversed())
        for (const [path, content] of before)
          if (content === undefined) found.delete(path);
          else found.set(path, content);
      return createMemoryDisk(
        new Map([...found].map(([path, content]) => [path, survivor(content, random)])),
      );
    },
    list: async (folder) => [
      ...new Set(
        [...names.keys()]
          .filter((path) => path.startsWith(`${folder}/`))
          .map((path) => path.slice(folder.length + 1).split("/")[0] ?? ""),
      ),
    ],
    makeFolder: async (folder) => {
      step("makeFolder", folder);
    },
    open: async (path, how) => {
      if (how === "create") {
        step("open", path);
        change(folderOf(path), path);
        names.set(path, contentOf(Buffer.alloc(0)));
      }
      const content = names.get(path);
      if (content === undefined) throw notFound(path);
      return fileOf(path, content);
    },
    rename: async (from, to) => {
      step("rename", to);
      const content = names.get(from);
      if (content === undefined) {
        renameFolder(from, to);
        return;
      }
      change(folderOf(to), from, to);
      names.delete(from);
      names.set(to, content);
    },
    remove: async (path) => {
      step("remove", path);
      if (!names.has(path)) throw notFound(path);
      change(folderOf(path), path);
      names.delete(path);
    },
    removeFolder: async (folder) => {
      // One name after the other: a process may end between two.
      for (const path of [...names.keys()]) {
        if (!path.startsWith(`${folder}/`)) continue;
        step("remove", path);
        change(folderOf(path), path);
        names.delete(path);
      }
    },
    syncFolder: async (folder) => {
      step("syncFolder", folder);
      medium.changes = medium.changes.filter((one) => one.folder !== folder);
    },
    space: async (): Promise<Space> => ({ free: Math.max(0, disk.capacity - used()), total: disk.capacity }),
    // Its tests have no two processes at once.
    lock: () => () => undefined,
    kernel: async () => "memory",
  };
  return disk;
};

const copyOf = (names: ReadonlyMap<string, Content>): Map<string, Content> =>
  new Map(
    [...names].map(([path, { bytes, synced, writes }]) => [path, { bytes, synced, writes: [...writes] }]),
  );

const contentOf = (bytes: Uint8Array): Content => ({
  bytes: Buffer.from(bytes),
  synced: Buffer.from(bytes),
  writes: [],
});

/** What was synced, and of each later write all, nothing or its beginning. */
const survivor = ({ synced, writes }: Content, random: (n: number) => number): Buffer => {
  let bytes = Buffer.from(synced);
  for (const write of writes) {
    const kept = [write.bytes.length, 0, random(write.bytes.length + 1)][random(3)] ?? 0;
    // The size may have grown though the bytes were not written.
    const end = random(4) === 0 ? write.at + write.bytes.length : write.at + kept;
    if (kept === 0 && end === write.at) continue;
    if (end > bytes.length) bytes = Buffer.concat([bytes, Buffer.alloc(end - bytes.length)]);
    write.bytes.copy(bytes, write.at, 0, kept);
  }
  return bytes;
};
