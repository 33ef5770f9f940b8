import { check } from "../../core/check.ts";
import { messageOf, type EdisError } from "../../core/errors.ts";
import { epoch, mapVersion, version } from "../../core/ids.ts";
import type { Holding } from "../holding.ts";
import { takeEntries } from "../replay.ts";
import { damaged, isDamaged, type Flaw } from "./damage.ts";
import { isNoSpace } from "./disk.ts";
import * as layout from "./layout.ts";
import { manifestName, type Manifest, type SnapshotInfo } from "./manifest.ts";
import { createQuarantine, type Quarantine } from "./quarantine.ts";
import { replaySegment, type Replayed } from "./replay.ts";
import { createSegment, type Segment } from "./segment.ts";
import type { Setting } from "./setting.ts";
import { createSlices, type Slices } from "./slices.ts";
import { readSnapshot } from "./snapshotFile.ts";
import { saysSynced } from "./tornEnd.ts";

/** What a start found. */
export type Recovered = {
  readonly segments: readonly Segment[];
  readonly nextSequence: number;
  readonly checksum: number;
  /** Newest first. */
  readonly snapshots: readonly SnapshotInfo[];
  /** Bytes of records behind the newest snapshot. */
  readonly bytesBehind: number;
  /** Whether it is what the manifest says already. */
  readonly isWhole: boolean;
  /** Removes what does not belong to it; to be called when a manifest says so. */
  readonly tidy: () => Promise<void>;
};

/** A segment as it was found. */
type Candidate = {
  readonly segment: Segment;
  readonly name: string;
  readonly size: number;
  isSound: boolean;
};

/**
 * Fills a holding from what a manifest names: the newest sound snapshot, and the log behind it. What is missing at the end
 * and was never said to be synced is a loss of power: it is cut and kept aside. Rejects with `damaged` for anything else.
 */
export const recover = async (setting: Setting, manifest: Manifest, holding: Holding): Promise<Recovered> => {
  const names = await setting.disk.list(setting.folder);
  const candidates = await findSegments(setting, manifest, names);
  try {
    holding.store.expect(manifest.keys);
    const base = await loadBase(setting, manifest, holding);
    const quarantine = createQuarantine(setting);
    const replay = await replayLog(setting, { manifest, candidates, base, quarantine }, holding);
    holding.store.expect(0);
    const kept = candidates.slice(0, replay.kept).map(({ segment }) => segment);
    const older = base === null ? [] : manifest.snapshots.slice(manifest.snapshots.indexOf(base) + 1);
    // It has just been read.
    const sound = base === null ? [] : [{ ...base, verified: true }, ...older];
    // Nothing at no place is no copy of a shard, though somebody wrote that down.
    holding.complete = holding.version > 0;
    return {
      segments: kept,
      nextSequence: (kept.at(-1)?.sequence ?? manifest.segments.first - 1) + 1,
      checksum: replay.checksum,
      snapshots: sound,
      bytesBehind: replay.bytes,
      isWhole: names.includes(manifestName) && candidates.slice(replay.kept).every(({ size }) => size === 0),
      tidy: () => tidy(setting, { manifest, kept, sound, tail: candidates.slice(replay.kept), quarantine }),
    };
  } catch (error) {
    await Promise.all(candidates.map(({ segment }) => segment.file.close()));
    throw error;
  }
};

const findSegments = async (
  { disk, folder }: Setting,
  { segments: { line, first, last, version: firstVersion, checksum } }: Manifest,
  names: readonly string[],
): Promise<readonly Candidate[]> => {
  const there = new Set(
    names
      .map(layout.parseSegmentFile)
      .filter((name) => name !== null)
      .filter((name) => name.line === line && name.sequence >= first)
      .map(({ sequence }) => sequence),
  );
  const end = Math.max(last, ...there);
  const candidates: Candidate[] = [];
  for (let sequence = first; sequence <= end; sequence++) {
    const name = layout.segmentFile({ line, sequence });
    const path = `${folder}/${name}`;
    // What the manifest does not know may have been on its way out when a start was killed; a gap shows in the records.
    if (!there.has(sequence) && sequence > last) continue;
    if (!there.has(sequence)) throw damaged({ file: path, offset: 0, what: "this segment is missing" });
    const file = await disk.open(path, "change");
    const size = await file.size();
    const bytes = Buffer.alloc(layout.segmentHeaderBytes);
    await file.read(bytes, 0);
    const found = layout.decodeSegmentHeader(bytes);
    const isSound = found?.line === line && found.sequence === sequence;
    // The first one's header is in the manifest as well.
    const header = sequence === first ? { line, sequence, first: firstVersion, checksum } : found;
    const segment = createSegment(header ?? { line, sequence, first: version(0), checksum: 0 }, path, file);
    candidates.push({ segment, name, size, isSound });
  }
  return candidates;
};

/** Loads the newest sound snapshot; null where there is none and the log has everything from the first record on. */
const loadBase = async (
  { disk, folder, clock, logger }: Setting,
  { snapshots, segments }: Manifest,
  holding: Holding,
): Promise<SnapshotInfo | null> => {
  let failure: EdisError | null = null;
  for (const info of snapshots) {
    try {
      const at = { folder, sequence: info.sequence };
      const place = await readSnapshot({ disk, clock, at, info }, (bytes, start, end) => {
        takeEntries(holding.store, { bytes, from: start, to: end });
      });
      holding.version = place.version;
      holding.epoch = place.epoch;
      holding.bytes = place.bytes;
      holding.history = place.history;
      holding.mapVersion = place.mapVersion;
      return info;
    } catch (error) {
      if (!isDamaged(error)) throw error;
      logger.error({ reason: messageOf(error) }, "a snapshot is damaged: going on with what is older");
      holding.store.clear();
      failure = error;
    }
  }
  holding.version = version(0);
  holding.epoch = epoch(0);
  holding.bytes = 0;
  holding.history = [];
  holding.mapVersion = mapVersion(1);
  if (segments.version === 1 || failure === null) return null;
  throw failure;
};

type Found = {
  readonly manifest: Manifest;
  readonly candidates: readonly Candidate[];
  readonly base: SnapshotInfo | null;
  readonly quarantine: Quarantine;
};

/** Where the log ends: so many segments are kept. */
type End = { readonly kept: number; readonly checksum: number; readonly bytes: number };

const replayLog = async (setting: Setting, found: Found, holding: Holding): Promise<End> => {
  const { manifest, candidates, base } = found;
  const wanted = version(holding.version + 1);
  const { first, version: firstVersion, checksum } = manifest.segments;
  const start = candidates.findLastIndex(
    ({ segment, isSound }) => (isSound || segment.sequence === first) && segment.first <= wanted,
  );
  const firstSegment = candidates[start];
  const file = `${setting.folder}/${firstSegment?.name ?? manifestName}`;
  if (start === -1 && candidates[0]?.segment.sequence === first)
    throw damaged({ file, offset: 0, what: `the log begins behind record ${wanted}` });
  const replayed: Replayed = {
    next: firstSegment?.segment.first ?? firstVersion,
    checksum: firstSegment?.segment.checksum ?? checksum,
    bytes: 0,
  };
  boundUnread(candidates, start);
  const slices = createSlices(setting.clock);
  let at = Math.max(0, start);
  let flaw: Flaw | null = null;
  for (; flaw === null && at < candidates.length; at++) {
    const candidate = candidates[at];
    check(candidate !== undefined, "a candidate stands at each place");
    flaw = await replayOne(candidate, { holding, replayed, slices });
  }
  const end = { ...found, at: flaw === null ? at : at - 1, flaw, slices };
  await checkEnd(setting, end, replayed);
  const mustReach = Math.max(manifest.synced, base?.through ?? 0);
  if (replayed.next <= mustReach) {
    const what = `the log ends at record ${replayed.next - 1}, it was synced through ${mustReach}`;
    throw damaged(flaw ?? { file, offset: 0, what });
  }
  check(replayed.next === holding.version + 1, "a log goes on where its snapshot ends");
  const kept = await cut(setting, end);
  // What a killed process had written was not synced yet, and is served from now on.
  for (const { segment } of candidates.slice(Math.max(0, start), kept)) await segment.file.sync();
  return { kept, checksum: replayed.checksum, bytes: replayed.bytes };
};

/** Those that were not replayed are read when a reader wants them. */
const boundUnread = (candidates: readonly Candidate[], start: number): void => {
  for (let i = start - 1; i >= 0; i--) {
    const candidate = candidates[i];
    const next = candidates[i + 1];
    if (candidate === undefined || next === undefined) continue;
    candidate.segment.bytes = candidate.size;
    candidate.segment.last = version(Math.max(0, next.segment.first - 1));
  }
};

const replayOne = async (
  { segment, name, size, isSound }: Candidate,
  { holding, replayed, slices }: { holding: Holding; replayed: Replayed; slices: Slices },
): Promise<Flaw | null> => {
  const file = segment.path;
  if (!isSound) return { file, offset: 0, what: size === 0 ? "it is empty" : "its header is not sound" };
  if (segment.first !== replayed.next || segment.checksum !== replayed.checksum)
    return { file, offset: 0, what: `${name} does not follow the segment before` };
  return replaySegment(segment, { size, holding, replayed, slices });
};

type LogEnd = Found & { readonly at: number; readonly flaw: Flaw | null; readonly slices: Slices };

/** Refuses where anything behind the flaw says that what is missing had been synced. */
const checkEnd = async (
  { logger }: Setting,
  { candidates, at, flaw, slices }: LogEnd,
  { next, checksum }: Replayed,
): Promise<void> => {
  if (flaw === null) return;
  for (const candidate of candidates.slice(at)) {
    const { isSound, size, segment } = candidate;
    const from = candidate === candidates[at] ? flaw.offset : 0;
    // A header that is not sound would have had the checksum of what stands before.
    const searched = isSound || candidate !== candidates[at] ? segment : { ...segment, checksum };
    if (await saysSynced({ segment: searched, from, size, slices }, next)) throw damaged(flaw);
  }
  const bytes = candidates.slice(at).reduce((sum, { size }) => sum + size, -flaw.offset);
  if (bytes > 0) logger.warn({ ...flaw, bytes }, "the log has a torn end, which was never synced: it is cut");
};

/** Cuts the segment in which the log ends; answers how many segments are kept. */
const cut = async ({ logger }: Setting, { candidates, at, flaw, quarantine }: LogEnd): Promise<number> => {
  const last = candidates[at];
  if (flaw === null || last === undefined) return at;
  const { segment, name, size } = last;
  if (segment.bytes <= layout.segmentHeaderBytes) return at;
  if (size > segment.bytes)
    try {
      const part = { name, file: segment.file, from: segment.bytes, to: size };
      logger.warn({ keptAs: await quarantine.keepPart(part) }, "what is cut is kept aside");
    } catch (error) {
      if (!isNoSpace(error)) throw error;
    }
  await segment.file.truncate(segment.bytes);
  return at + 1;
};

type Remains = {
  readonly manifest: Manifest;
  readonly kept: readonly Segment[];
  readonly sound: readonly SnapshotInfo[];
  readonly tail: readonly Candidate[];
  readonly quarantine: Quarantine;
};

const tidy = async (
  { disk, folder }: Setting,
  { manifest, kept, sound, tail, quarantine }: Remains,
): Promise<void> => {
  for (const { segment, name, size } of tail.toReversed()) {
    await segment.file.close();
    if (size === 0) await disk.remove(segment.path);
    else await quarantine.keepFile(name, size);
  }
  const belongs = new Set([
    ...kept.map(({ path }) => path),
    ...sound.map(({ sequence }) => `${folder}/${layout.snapshotFile(sequence)}`),
  ]);
  for (const name of await disk.list(folder)) {
    const snapshot = layout.parseSnapshotFile(name);
    const isOurs = layout.parseSegmentFile(name) !== null || snapshot !== null;
    if (!isOurs || belongs.has(`${folder}/${name}`)) continue;
    const damagedOne = manifest.snapshots.find(({ sequence }) => sequence === snapshot);
    if (damagedOne === undefined) await disk.remove(`${folder}/${name}`);
    else await quarantine.keepFile(name, damagedOne.bytes);
  }
  await disk.syncFolder(folder);
};
