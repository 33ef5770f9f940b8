import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** One log file before it is set aside as `<name>.1` and begun anew: two of them at most are kept. */
const logBytesMax = 8 * 1024 * 1024;

export type LogFile = { readonly write: (bytes: Uint8Array) => void; readonly close: () => void };

/** Appends to a file. Writes wait for the disk: whoever logs too fast is slowed, nothing piles up here. */
export const openLogFile = (path: string): LogFile => {
  mkdirSync(dirname(path), { recursive: true });
  let file = openSync(path, "a", 0o600);
  let size = fstatSync(file).size;
  return {
    write: (bytes) => {
      if (size + bytes.length > logBytesMax) {
        closeSync(file);
        renameSync(path, `${path}.1`);
        file = openSync(path, "a", 0o600);
        size = 0;
      }
      writeSync(file, bytes);
      size += bytes.length;
    },
    close: () => {
      closeSync(file);
    },
  };
};
