import { epoch } from "../../core/ids.ts";
import { isAfter, type Place } from "../../core/request.ts";
import type { PodRef, Shard } from "../../core/topology.ts";
import { ordinalOf, writerPod } from "../shardCluster.ts";
import { several } from "./events.ts";
import type { PlannedEvent, Session } from "./model.ts";

/** How long a writer that came up waits for the word of readers that may have more than it, or than those that spoke. */
export const hearReadersMs = 1_000;
/** How long it waits where no reader with its data has been heard of at all, before it goes on empty. */
export const missReadersMs = 5_000;
const lookAgainMs = 200;

export type OwnerContext = {
  readonly name: string;
  readonly sessions: ReadonlyMap<string, Session>;
  /** Pods of the readers that are assigned to this shard. */
  readonly readers: readonly string[];
  readonly leadingMs: number;
  /** Pods that are to own nothing: they are about to be made anew. */
  readonly away: ReadonlySet<string>;
};
export type OwnerPlan = {
  readonly shard: Shard;
  readonly event: PlannedEvent | null;
  readonly againMs: number | null;
};

/**
 * Who orders one shard's writes. A process start owns nothing until it is named here, in an epoch of its own. One that
 * came up without the data of a shard that was owned before first copies it from a reader.
 */
export const planOwner = (shard: Shard, context: OwnerContext): OwnerPlan => {
  const writer = context.sessions.get(writerPod(context.name, shard.id));
  if (writer === undefined || writer.report.leaving || isRef(shard.owner, writer)) return unchanged(shard);
  if (shard.owner === null) return first(shard, context, writer);
  if (shard.phase.kind === "restoring" && isRef(shard.phase.target, writer)) {
    return restoring(shard, { ...context, writer, from: shard.phase.from });
  }
  const restart = { ...context, writer, from: "" };
  const own = placeIn(writer, shard);
  return own === null ? emptyHanded(shard, restart) : withData(shard, restart, own);
};

/**
 * The first owner that is known of. Where pods hold something all the same, the record of their epochs was lost, or the
 * shard was there before: its epochs go on from theirs.
 */
const first = (shard: Shard, { sessions }: OwnerContext, writer: Session): OwnerPlan => {
  const held = [...sessions.values()].map((session) => placeIn(session, shard)?.epoch ?? 0);
  return named({ ...shard, epoch: epoch(Math.max(shard.epoch, ...held)) }, writer);
};

type Restart = OwnerContext & { readonly writer: Session; readonly from: string };

/** It kept its data over the restart; a reader may have more of it, where the volume had not been told everything. */
const withData = (shard: Shard, restart: Restart, own: Place): OwnerPlan => {
  const waits = waitFor(shard, restart, hearReadersMs);
  if (waits !== null) return waits;
  const ahead = sourcesOf(shard, restart)[0];
  if (ahead === undefined || !isAfter(ahead.place, own)) return named(shard, restart.writer);
  const { pod } = restart.writer;
  const message = `${pod} came up with shard ${shard.id} as of version ${own.version} and gets what follows, up to ${ahead.place.version}, from ${ahead.pod}`;
  return restore(shard, { restart, from: ahead.pod, message });
};

const restoring = (shard: Shard, restart: Restart): OwnerPlan => {
  const { writer, from } = restart;
  const { serving } = writer.report;
  const sources = sourcesOf(shard, restart);
  const source = sources.find(({ pod }) => pod === from);
  const own = placeIn(writer, shard);
  const isFollowing =
    serving.kind === "reader" && serving.shard === shard.id && serving.state === "streaming";
  // Where the source went away after the copy was whole, nobody may be known to hold more.
  const wanted = source === undefined ? sources : [source];
  if (own !== null && isFollowing && wanted.every(({ place }) => !isAfter(place, own)))
    return restored(shard, { ...restart, own });
  if (source !== undefined) return { ...unchanged(shard), againMs: lookAgainMs };
  return own === null ? emptyHanded(shard, restart) : withData(shard, restart, own);
};

/** Waits for readers that have not said yet what they hold; null once that was long enough. */
const waitFor = (
  shard: Shard,
  { readers, sessions, writer, leadingMs }: Restart,
  waitMs: number,
): OwnerPlan | null => {
  if (readers.every((pod) => hasSpoken(sessions.get(pod), shard))) return null;
  const waitedMs = Math.min(writer.ageMs, leadingMs);
  return waitedMs < waitMs
    ? { ...unchanged(shard), againMs: Math.min(lookAgainMs, waitMs - waitedMs) }
    : null;
};

const emptyHanded = (shard: Shard, restart: Restart): OwnerPlan => {
  const { writer, from } = restart;
  const source = sourcesOf(shard, restart)[0];
  const waits = waitFor(shard, restart, source === undefined ? missReadersMs : hearReadersMs);
  if (waits !== null) return waits;
  if (source === undefined) {
    const why =
      restart.readers.length === 0 ? "it has no readers" : `none of ${several(restart.readers)} holds it`;
    const message = `${writer.pod} came up without the data of shard ${shard.id} and ${why}: the shard goes on empty; what had been written to it is lost`;
    return { ...named(shard, writer), event: { type: "Warning", reason: "DataLost", message } };
  }
  const message = `${writer.pod} came up without the data of shard ${shard.id} and copies it from ${source.pod}${from === "" ? "" : `, as ${from} went away`}`;
  return restore(shard, { restart, from: source.pod, message });
};

const restore = (
  shard: Shard,
  { restart, from, message }: { readonly restart: Restart; readonly from: string; readonly message: string },
): OwnerPlan => ({
  shard: { ...shard, phase: { kind: "restoring", target: refOf(restart.writer), from } },
  event: { type: "Normal", reason: "Restoring", message },
  againMs: lookAgainMs,
});

type Source = PodRef & { readonly place: Place };

/** Readers that hold a whole copy of the shard, the one furthest ahead first. */
const sourcesOf = (shard: Shard, { sessions, readers }: OwnerContext): readonly Source[] =>
  readers
    .flatMap((name): readonly Source[] => {
      const session = sessions.get(name);
      if (session === undefined || session.report.leaving) return [];
      const place = placeIn(session, shard);
      const { kind } = session.report.serving;
      return place === null || kind !== "reader" ? [] : [{ ...refOf(session), place }];
    })
    .sort((a, b) => b.place.epoch - a.place.epoch || b.place.version - a.place.version || byOrdinal(a, b));

/** How much of the shard a process holds; null where it holds nothing whole. */
const placeIn = ({ report: { held } }: Session, shard: Shard): Place | null =>
  held?.shard === shard.id ? held : null;

const hasSpoken = (reader: Session | undefined, shard: Shard): boolean =>
  reader?.report.serving.kind === "reader" && reader.report.serving.shard === shard.id;

const named = (shard: Shard, writer: Session): OwnerPlan => {
  const next = epoch(shard.epoch + 1);
  const message = `${writer.pod} owns shard ${shard.id} from epoch ${next} on`;
  return {
    shard: { ...shard, epoch: next, owner: refOf(writer), phase: { kind: "stable" } },
    event: { type: "Normal", reason: "OwnerNamed", message },
    againMs: null,
  };
};

const restored = (shard: Shard, { writer, from, own }: Restart & { readonly own: Place }): OwnerPlan => {
  const plan = named(shard, writer);
  const message = `${writer.pod} copied shard ${shard.id} from ${from}, version ${own.version}, and owns it from epoch ${plan.shard.epoch} on`;
  return { ...plan, event: { type: "Normal", reason: "Restored", message } };
};

const unchanged = (shard: Shard): OwnerPlan => ({ shard, event: null, againMs: null });
const refOf = ({ pod, incarnation }: PodRef): PodRef => ({ pod, incarnation });
const isRef = (ref: PodRef | null, { pod, incarnation }: PodRef): boolean =>
  ref?.pod === pod && ref.incarnation === incarnation;
const byOrdinal = (a: PodRef, b: PodRef): number => ordinalOf(a.pod) - ordinalOf(b.pod);
