import { join } from "node:path";
import * as v from "valibot";
import type { Clock } from "../core/clock.ts";
import { EdisError, messageOf } from "../core/errors.ts";
import { endedProcessesMax } from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import type { ProcessId } from "../core/message.ts";
import type { Disk } from "./log/disk.ts";
import { readDocument, writeDocument } from "./log/document.ts";

/** This process, and that its volume is its alone. */
export type Taken = ProcessId & {
  /** Processes that had it before and are known to have ended; the latest first. */
  readonly ended: readonly ProcessId[];
  /** Processes that had it before, be they known to have ended or not; the latest first. */
  readonly had: readonly ProcessId[];
  readonly release: () => void;
};

export type TakeOptions = {
  readonly disk: Disk;
  readonly folder: string;
  /** Of this process's pod; empty where it has none. */
  readonly uid: string;
  readonly clock: Clock;
  readonly logger: Logger;
};

const lockName = "lock";
const holderName = "holder.json";
const lookEveryMs = 50;

const processId = v.object({ uid: v.string(), startedAtMs: v.number() });
const holderSchema = v.object({
  ...{ kernel: v.string(), held: processId, ended: v.array(processId) },
  had: v.optional(v.array(processId), []),
});

/**
 * Waits until no other process has the volume, and takes it. A pod can be replaced while its container still runs (deleted by
 * force; a supervisor that was killed), and two processes that write one log destroy it. Locks are let go by the kernel when a
 * process ends, so that whoever gets one that was taken under the same kernel knows that its holder has ended. Under another kernel
 * (another node, a virtual machine for each pod) it knows nothing. Rejects with `bad-argument` where the folder cannot be used.
 */
export const takeVolume = async (options: TakeOptions): Promise<Taken> => {
  const { disk, folder, uid, clock, logger } = options;
  const self = { uid, startedAtMs: clock.wallMs() };
  let release = await lockIn(disk, folder);
  if (release === null) logger.warn({ folder }, "another process still has this volume: waiting for its end");
  while (release === null) {
    await clock.sleep(lookEveryMs);
    release = await lockIn(disk, folder);
  }
  const kernel = await disk.kernel();
  const before = await holderBefore(disk, folder, logger);
  const isSame = before !== null && kernel !== "" && before.kernel === kernel;
  const ended = isSame ? [before.held, ...before.ended].slice(0, endedProcessesMax) : [];
  const had = before === null ? [] : [before.held, ...before.had].slice(0, endedProcessesMax);
  try {
    await writeDocument(disk, { folder, name: holderName }, { kernel, held: self, ended, had });
  } catch (error) {
    // A full volume. Whoever comes next does not learn that this process has ended, and says less for it.
    logger.warn({ folder, why: messageOf(error) }, "cannot note who has this volume");
  }
  return { ...self, ended, had, release };
};

const lockIn = async (disk: Disk, folder: string): Promise<Taken["release"] | null> => {
  try {
    await disk.makeFolder(folder);
    return disk.lock(join(folder, lockName));
  } catch (error) {
    throw new EdisError(
      "bad-argument",
      `Cannot use ${folder} for data: ${messageOf(error)}; name a folder that can be written with EDIS_DATA`,
      { cause: error },
    );
  }
};

/** What was noted by whoever had the volume last; null where nothing was, or nothing that can be read. */
const holderBefore = async (
  disk: Disk,
  folder: string,
  logger: Logger,
): Promise<v.InferOutput<typeof holderSchema> | null> => {
  try {
    if (!(await disk.list(folder)).includes(holderName)) return null;
    return await readDocument(disk, { folder, name: holderName }, holderSchema);
  } catch (error) {
    logger.warn({ folder, why: messageOf(error) }, "cannot tell who had this volume last");
    return null;
  }
};
