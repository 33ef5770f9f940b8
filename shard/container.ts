import { totalmem } from "node:os";

/** Program, heap, buffers of connections and of replication: see limits.ts. */
const processBytes = 128 * 1024 * 1024;

/** What keys and values may take of a container: the process has its share, and compaction keeps a quarter of the rest busy. */
export const storeShareOf = (containerBytes: number): number =>
  Math.floor(Math.max(containerBytes / 4, (containerBytes - processBytes) * 0.75));

/** The memory limit of the container that this process runs in; null where there is none. */
export const containerBytes = (): number | null => {
  const limit = process.constrainedMemory();
  // What is not limited is a very large number, or 0.
  return limit > 0 && limit < totalmem() ? limit : null;
};
