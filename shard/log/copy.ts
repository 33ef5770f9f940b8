import { check } from "../../core/check.ts";
import { EdisError, messageOf } from "../../core/errors.ts";
import { createRecordCursor, entryOpcode } from "../../core/recordCursor.ts";
import type { Holding } from "../holding.ts";
import type { Catalog } from "./catalog.ts";
import { isNoSpace } from "./disk.ts";
import type { Line } from "./line.ts";
import type { CopyPlace, CopyWriter } from "./log.ts";
import type { SnapshotInfo } from "./manifest.ts";
import { createQuarantine } from "./quarantine.ts";
import type { Segment } from "./segment.ts";
import type { Setting } from "./setting.ts";
import { openSnapshot, snapshotPath, writeSnapshot, type SnapshotWriter } from "./snapshotFile.ts";

export type Copy = CopyWriter & { readonly line: Line };

export type CopyOptions = {
  readonly setting: Setting;
  readonly catalog: Catalog;
  readonly holding: Holding;
  readonly place: CopyPlace;
  /** Where records of the copy go. */
  readonly line: Line;
  /** The copy is what a restart finds, or was given up. */
  readonly ended: (isFinished: boolean) => void;
  readonly failed: (error: EdisError) => void;
};

type State = CopyOptions & {
  readonly sequence: number;
  readonly writer: Promise<SnapshotWriter>;
  /** `switching`: the manifest is being written, there is no way back. */
  phase: "open" | "finishing" | "switching" | "ended";
};

/**
 * A full copy: a snapshot whose entries come from elsewhere, and a new line of segments for the records behind its place.
 * Both count once the manifest names them; until then a restart finds what was here before.
 */
export const createCopy = (options: CopyOptions): Copy => {
  const { setting, catalog, holding, line } = options;
  const { version, epoch, bytes, history, mapVersion } = holding;
  check(version === options.place.version, "a holding stands where its copy begins");
  const at = { folder: setting.folder, sequence: catalog.nextSnapshot++ };
  const writer = openSnapshot(setting.disk, at).then((file) =>
    writeSnapshot(setting.disk, { file, at }, { version, epoch, bytes, history, mapVersion }),
  );
  // Whoever adds or finishes hears of it.
  writer.catch(() => undefined);
  const state: State = { ...options, sequence: at.sequence, writer, phase: "open" };
  return {
    line,
    add: (entries) => said(state, () => add(state, entries)),
    finish: () => said(state, () => finish(state)),
    abort: () => abort(state),
  };
};

/** Lets the outside world hear what a disk says with a code. */
const said = async ({ setting }: State, work: () => Promise<void>): Promise<void> => {
  try {
    await work();
  } catch (error) {
    if (error instanceof EdisError) throw error;
    const code = isNoSpace(error) ? "disk-full" : "disk-failed";
    throw new EdisError(code, `Cannot keep the copy in ${setting.folder}: ${messageOf(error)}`, {
      cause: error,
    });
  }
};

const add = async (state: State, entries: Uint8Array): Promise<void> => {
  const sink = await state.writer;
  if (state.phase !== "open") throw givenUp();
  void sink.add(entries, countEntries(entries));
  await sink.taken();
};

const cursor = createRecordCursor();

const countEntries = (entries: Uint8Array): number => {
  let count = 0;
  for (let at = 0; at < entries.length; count++) {
    at = cursor.next(entries, at);
    check(cursor.opcode === entryOpcode, "a copy is made of entries");
  }
  return count;
};

const finish = async (state: State): Promise<void> => {
  const { catalog, line, setting } = state;
  if (state.phase !== "open") throw givenUp();
  state.phase = "finishing";
  const sink = await state.writer;
  const through = line.newest();
  const info = await sink.finish(through);
  await line.syncThrough(through);
  if (isGivenUp(state)) throw givenUp();
  state.phase = "switching";
  const before = { line: catalog.line, snapshots: catalog.snapshots };
  catalog.line = line;
  catalog.snapshots = [info];
  try {
    await catalog.commit();
  } catch (error) {
    throw notSwitched(state, before, error);
  }
  state.phase = "ended";
  line.commit();
  state.ended(true);
  await removeOld(setting, before, state.place);
};

// It changes while something is waited for.
const isGivenUp = ({ phase }: State): boolean => phase === "ended";

const givenUp = (): EdisError => new EdisError("aborted", "Cannot go on with the copy: it was given up");

/** Where there was no room, nothing has changed; after anything else nobody knows what a restart finds. */
const notSwitched = (state: State, { line, snapshots }: Before, cause: unknown): unknown => {
  const { catalog, setting, failed } = state;
  if (isNoSpace(cause)) {
    catalog.line = line;
    catalog.snapshots = snapshots;
    state.phase = "finishing";
    return new EdisError("disk-full", `Cannot end the copy: ${setting.folder} has no room`, { cause });
  }
  const error = new EdisError(
    "disk-failed",
    `Cannot end the copy: the manifest in ${setting.folder} was not written: ${messageOf(cause)}; the process has to end`,
    { cause },
  );
  failed(error);
  return error;
};

type Before = { readonly line: Line; readonly snapshots: readonly SnapshotInfo[] };

const removeOld = async (
  setting: Setting,
  { line, snapshots }: Before,
  { quarantineFrom }: CopyPlace,
): Promise<void> => {
  const { disk, folder } = setting;
  const lost = line.segments().filter(({ last }) => quarantineFrom !== undefined && last >= quarantineFrom);
  const paths = await line.leave();
  const quarantine = createQuarantine(setting);
  for (const segment of lost.toReversed()) await quarantine.keepFile(nameOf(segment, folder), segment.bytes);
  const moved = new Set(lost.map(({ path }) => path));
  const files = [...paths, ...snapshots.map(({ sequence }) => snapshotPath({ folder, sequence }))];
  for (const path of files) if (!moved.has(path)) await disk.remove(path);
};

const nameOf = ({ path }: Segment, folder: string): string => path.slice(folder.length + 1);

const abort = async (state: State): Promise<void> => {
  const { setting, line, phase } = state;
  if (phase === "switching" || phase === "ended") return;
  state.phase = "ended";
  state.ended(false);
  const sink = await state.writer.catch(() => null);
  await sink?.abort();
  for (const path of await line.leave()) await setting.disk.remove(path);
};
