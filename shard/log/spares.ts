import type { Clock } from "../../core/clock.ts";
import { isNoSpace, type Disk, type DiskFile } from "./disk.ts";
import { segmentFile } from "./layout.ts";
import type { LogLimits } from "./logLimits.ts";

/** Makes the file of a line's next segment before it is needed, so that nothing waits for it. */
export type Spares = {
  /** Begins to make the first one. */
  readonly open: () => void;
  /** The file to go on in, and begins to make the next; null as long as it is being made. */
  readonly take: () => Spare | null;
  readonly isReady: () => boolean;
  /** The sequence of the next segment. */
  readonly next: () => number;
  /** Resolves once none is being made, though perhaps for want of room. */
  readonly settled: () => Promise<void>;
  /** Makes no more; answers the one that is there. */
  readonly leave: () => Promise<Spare | null>;
};

export type Spare = { readonly sequence: number; readonly path: string; readonly file: DiskFile };

export type SparesOptions = {
  readonly disk: Disk;
  readonly folder: string;
  readonly clock: Clock;
  readonly limits: LogLimits;
  readonly line: number;
  readonly nextSequence: number;
  readonly ready: () => void;
  readonly failed: (error: unknown) => void;
};

export const createSpares = (options: SparesOptions): Spares => {
  const { clock, limits, ready, failed } = options;
  let sequence = options.nextSequence;
  let spare: Spare | null = null;
  let making: Promise<void> | null = null;
  let isLeft = false;
  const open = (): void => {
    if (making !== null || spare !== null || isLeft) return;
    making = make(options, sequence).then(
      (made) => {
        making = null;
        spare = made;
        if (!isLeft) ready();
      },
      (error: unknown) => {
        making = null;
        if (isNoSpace(error)) clock.after(limits.retryMs, open);
        else failed(error);
      },
    );
  };
  return {
    open,
    take: () => {
      const taken = spare;
      if (taken === null) return null;
      spare = null;
      sequence++;
      open();
      return taken;
    },
    isReady: () => spare !== null,
    next: () => sequence,
    settled: async () => {
      await making;
    },
    leave: async () => {
      isLeft = true;
      await making;
      return spare;
    },
  };
};

const make = async ({ disk, folder, line }: SparesOptions, sequence: number): Promise<Spare> => {
  const path = `${folder}/${segmentFile({ line, sequence })}`;
  const file = await disk.open(path, "create");
  await disk.syncFolder(folder);
  return { sequence, path, file };
};
