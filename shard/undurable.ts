import type { Version } from "../core/ids.ts";

/** How many bytes of an owner's records are not durable yet, as of what goes into the log once a turn. */
export type Undurable = {
  /** A new epoch begins with everything durable. */
  readonly begin: (bytes: number) => void;
  /** Records up to `version`, `bytes` in all, go into the log. */
  readonly wrote: (version: Version, bytes: number) => void;
  readonly durable: (through: Version) => void;
  /** Of `bytes` in all. */
  readonly of: (bytes: number) => number;
};

export const createUndurable = (): Undurable => {
  let durableBytes = 0;
  let marks: { readonly version: Version; readonly bytes: number }[] = [];
  return {
    begin: (bytes) => {
      durableBytes = bytes;
      marks = [];
    },
    wrote: (version, bytes) => {
      marks.push({ version, bytes });
    },
    durable: (through) => {
      const passed = marks.findLastIndex(({ version }) => version <= through);
      durableBytes = marks[passed]?.bytes ?? durableBytes;
      marks.splice(0, passed + 1);
    },
    of: (bytes) => bytes - durableBytes,
  };
};
