import type { DiskFile } from "./disk.ts";
import type { Setting } from "./setting.ts";

/** What is taken out of a log is kept for a person to look at: what was kept last, and not without end. Nothing reads it. */
export type Quarantine = {
  /** Copies a part of a file; answers where to, null where there is too much already. */
  readonly keepPart: (part: Part) => Promise<string | null>;
  /** Moves a file, or removes it where there is too much already. */
  readonly keepFile: (name: string, bytes: number) => Promise<string | null>;
};

export type Part = {
  readonly name: string;
  readonly file: DiskFile;
  readonly from: number;
  readonly to: number;
};

export const quarantineName = "quarantine";
const copiedBytes = 1024 * 1024;

export const createQuarantine = ({ disk, folder, limits }: Setting): Quarantine => {
  const inside = `${folder}/${quarantineName}`;
  let left = limits.quarantineBytes;
  let isEmpty = false;
  const makeRoom = async (bytes: number): Promise<boolean> => {
    if (!isEmpty) {
      isEmpty = true;
      for (const name of await disk.list(inside)) await disk.remove(`${inside}/${name}`);
      await disk.makeFolder(inside);
    }
    if (bytes > left) return false;
    left -= bytes;
    return true;
  };
  return {
    keepPart: async ({ name, file, from, to }) => {
      if (!(await makeRoom(to - from))) return null;
      const path = `${inside}/${name}.from-${from}`;
      const copy = await disk.open(path, "create");
      try {
        const buffer = Buffer.allocUnsafeSlow(Math.min(copiedBytes, to - from));
        for (let at = from; at < to; at += buffer.length) {
          const piece = buffer.subarray(0, Math.min(buffer.length, to - at));
          await file.read(piece, at);
          await copy.write([piece], at - from);
        }
        await copy.sync();
      } finally {
        await copy.close();
      }
      await disk.syncFolder(inside);
      return path;
    },
    keepFile: async (name, bytes) => {
      if (!(await makeRoom(bytes))) {
        await disk.remove(`${folder}/${name}`);
        return null;
      }
      await disk.rename(`${folder}/${name}`, `${inside}/${name}`);
      return `${inside}/${name}`;
    },
  };
};
