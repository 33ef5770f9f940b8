import { version, type Version } from "../../core/ids.ts";
import type { Lag } from "../../core/message.ts";
import type { Place } from "../../core/request.ts";

/** Where one reader stands, as its source sees it. Decides; the publisher sends. */
export type Progress =
  /** Connected; it has not said yet what it holds. */
  | { readonly kind: "probing" }
  /** Takes a full copy on another connection, and will say then how far that goes. */
  | { readonly kind: "copying" }
  /** Gets records from the log, `next` first, until it has caught up with the newest. */
  | { readonly kind: "catchingUp"; readonly next: Version }
  /** Has been sent everything before `next`, gets each turn's records as they come. */
  | { readonly kind: "streaming"; readonly next: Version };

export type Acked = { readonly version: Version; readonly bytes: number };

/** How a reader that holds `place` (and nothing but records of this history, if `part`) goes on. */
export const resume = (
  place: Place,
  source: { readonly part: boolean; readonly version: Version; readonly logFirst: Version },
): Progress => {
  const next = version(place.version + 1);
  // A log that begins right behind the newest version is empty: nothing is missing for one that holds everything.
  if (!source.part || next < source.logFirst) return { kind: "copying" };
  return next > source.version ? { kind: "streaming", next } : { kind: "catchingUp", next };
};

/** Newest versions at some moments, oldest first: what a lag in milliseconds is measured with. */
export type Samples = readonly { readonly version: Version; readonly atMs: number }[];
/** A minute at ten a second; one that is further behind shows a minute. */
export const samplesMax = 600;

export const withSample = (samples: Samples, version: Version, atMs: number): Samples =>
  [...samples, { version, atMs }].slice(-samplesMax);

/** How far a reader that acknowledged `acked` is behind. */
export const lagBehind = (
  newest: Acked,
  acked: Acked,
  time: { readonly samples: Samples; readonly nowMs: number },
): Lag => {
  const versions = Math.max(0, newest.version - acked.version);
  const bytes = Math.max(0, newest.bytes - acked.bytes);
  if (versions === 0) return { versions, bytes, ms: 0 };
  const held = time.samples.findLast((sample) => sample.version <= acked.version) ?? time.samples[0];
  return { versions, bytes, ms: held === undefined ? 0 : Math.max(0, Math.round(time.nowMs - held.atMs)) };
};
