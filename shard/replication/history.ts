import { version, type Epoch, type Version } from "../../core/ids.ts";
import type { History } from "../../core/message.ts";
import type { Place } from "../../core/request.ts";

/**
 * The epochs in which a shard's records were written, oldest first. `startVersion` is where the epoch began: the version
 * its owner held when it was activated, so that its first record is one more. An epoch ends where the next one starts.
 */

/** Epochs that a process remembers; a place in an older one takes a full copy. */
export const historyLengthMax = 1_000;

/**
 * Whether a copy that stands at `place` is a part of the data that ends at `end`: every record it holds is one of these.
 * A copy that went on in an epoch beyond the point where its successor took over is not: it holds records that were lost.
 */
export const isPartOf = (place: Place, history: History, end: Version): boolean => {
  const at = history.findIndex(({ epoch }) => epoch === place.epoch);
  const start = history[at];
  if (start === undefined) return false;
  const epochEnd = history[at + 1]?.startVersion ?? end;
  return place.version >= start.startVersion && place.version <= Math.min(epochEnd, end);
};

/** How far two copies hold the same records: the version where one ends or both part. */
export const commonEnd = (a: Past, b: Past): Version => {
  for (let i = a.history.length - 1; i >= 0; i--) {
    const entry = a.history[i];
    const at = b.history.findIndex(
      ({ epoch, startVersion }) => epoch === entry?.epoch && startVersion === entry.startVersion,
    );
    if (at < 0) continue;
    const ends = [a.history[i + 1]?.startVersion, b.history[at + 1]?.startVersion, a.version, b.version];
    return version(Math.min(...ends.flatMap((end) => end ?? [])));
  }
  return version(0);
};
/** The epochs of a copy, and the version of its newest record. */
export type Past = { readonly history: History; readonly version: Version };

/** The history of one who has got as far as `epoch`. */
export const historyUpTo = (history: History, epoch: Epoch): History =>
  history.filter((entry) => entry.epoch <= epoch);

/** The history with a new epoch at its end. */
export const historyWith = (history: History, epoch: Epoch, startVersion: Version): History =>
  [...history, { epoch, startVersion }].slice(-historyLengthMax);
