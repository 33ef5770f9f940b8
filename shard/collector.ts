import { setFlagsFromString } from "node:v8";

/**
 * How the garbage collector counts what lies outside the JavaScript heap. By itself V8 collects the whole heap each time that has grown
 * by 64 MiB: a store that grows, or sends or writes 64 MiB of its keys, would stand still for it, several times a second
 * when much is written. Counted with the heap, as here, it grows in proportion before the whole is collected; buffers that were short of
 * life go with the young generation, which is collected often and within a millisecond, and the store gives its own memory back itself.
 */
export const tuneCollector = (): void => {
  setFlagsFromString("--external-memory-accounted-in-global-limit");
};
