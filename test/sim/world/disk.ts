import type { Disk, DiskFile } from "../../../shard/log/disk.ts";
import { inputOutput, type MemoryDisk } from "../../support/memoryDisk.ts";
import type { Seeded } from "./seeded.ts";
import type { Process, Timeline } from "./timeline.ts";

/** A pod's volume: what is on it outlives its processes. */
export type Volume = {
  disk: MemoryDisk;
  /** Every operation takes up to this much longer. */
  slowMs: number;
  /** The next sync fails. */
  failsSync: boolean;
};

/** The volume as one process uses it. What the process has asked for is done by the kernel, whether or not the process lives on. */
export const diskFor = ({
  timeline,
  random,
  process,
  volume,
}: {
  timeline: Timeline;
  random: Seeded;
  process: Process;
  volume: Volume;
}): Disk => {
  const { disk } = volume;
  /** Does it after a while, and tells the process if that is still there. */
  const later = <T>(usualMs: number, act: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      if (!process.isAlive) return;
      const ms = usualMs * (0.5 + random.next()) + (volume.slowMs > 0 ? random.next() * volume.slowMs : 0);
      timeline.at(timeline.nowMs() + ms, null, () => {
        const tell = (settle: () => void): void => {
          timeline.at(timeline.nowMs(), process, settle);
        };
        act().then(
          (value) => {
            tell(() => {
              resolve(value);
            });
          },
          (error: unknown) => {
            tell(() => {
              reject(error instanceof Error ? error : new Error(String(error)));
            });
          },
        );
      });
    });
  const fileOf = (file: DiskFile): DiskFile => ({
    size: () => later(0.02, file.size),
    writeNow: (chunks, at) => {
      if (!process.isAlive) throw new Error("The process has ended");
      return file.writeNow(chunks, at);
    },
    write: (chunks, at) => later(0.1, () => file.write(chunks, at)),
    read: (target, at) => later(0.05, () => file.read(target, at)),
    sync: () => {
      const fails = volume.failsSync;
      volume.failsSync = false;
      return later(1, fails ? () => Promise.reject(inputOutput()) : file.sync);
    },
    truncate: (bytes) => later(0.1, () => file.truncate(bytes)),
    // Files that are open when a process ends are closed by the kernel; nothing is to be done for it.
    close: () => later(0.02, () => Promise.resolve()),
  });
  return {
    list: (folder) => later(0.05, () => disk.list(folder)),
    makeFolder: (folder) => later(0.1, () => disk.makeFolder(folder)),
    open: (path, how) => later(0.1, async () => fileOf(await disk.open(path, how))),
    rename: (from, to) => later(0.1, () => disk.rename(from, to)),
    remove: (path) => later(0.1, () => disk.remove(path)),
    removeFolder: (folder) => later(0.1, () => disk.removeFolder(folder)),
    syncFolder: (folder) => later(0.5, () => disk.syncFolder(folder)),
    space: (folder) => later(0.02, () => disk.space(folder)),
    lock: (path) => disk.lock(path),
    // The platform's word is all there is.
    kernel: () => later(0.02, () => Promise.resolve("")),
  };
};
