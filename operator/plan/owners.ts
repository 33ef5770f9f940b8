import { epoch } from "../../core/ids.ts";
import type { PodRef, Shard } from "../../core/topology.ts";
import { ordinalOf, writerPod } from "../shardCluster.ts";
import { several } from "./events.ts";
import type { PlannedEvent, Session } from "./model.ts";

/** How long a writer that came up empty waits for the word of readers that may be further ahead than those that spoke. */
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
  if (shard.epoch === 0) return named(shard, writer);
  if (shard.phase.kind === "restoring" && isRef(shard.phase.target, writer)) {
    return restoring(shard, { ...context, writer, from: shard.phase.from });
  }
  // It kept its data over the restart.
  if (writer.report.version > 0) return named(shard, writer);
  return emptyHanded(shard, { ...context, writer, from: "" });
};

type Restart = OwnerContext & { readonly writer: Session; readonly from: string };

const restoring = (shard: Shard, restart: Restart): OwnerPlan => {
  const { writer, from } = restart;
  const { serving, version } = writer.report;
  const source = sourcesOf(shard, restart).find(({ pod }) => pod === from);
  const holdsCopy = serving.kind === "reader" && serving.shard === shard.id && serving.state === "streaming";
  if (source !== undefined) {
    if (holdsCopy && version >= source.report.version) return restored(shard, restart);
    return { ...unchanged(shard), againMs: lookAgainMs };
  }
  // The source went away after the copy was whole: nobody is known to hold more.
  if (
    holdsCopy &&
    version > 0 &&
    sourcesOf(shard, restart).every((other) => other.report.version <= version)
  ) {
    return restored(shard, restart);
  }
  return emptyHanded(shard, restart);
};

const emptyHanded = (shard: Shard, restart: Restart): OwnerPlan => {
  const { writer, leadingMs, from } = restart;
  const sources = sourcesOf(shard, restart);
  const silent = restart.readers.filter((pod) => !hasSpoken(restart.sessions.get(pod), shard));
  const waitMs = silent.length === 0 ? 0 : sources.length > 0 ? hearReadersMs : missReadersMs;
  const waitedMs = Math.min(writer.ageMs, leadingMs);
  if (waitedMs < waitMs) return { ...unchanged(shard), againMs: Math.min(lookAgainMs, waitMs - waitedMs) };

  const source = sources[0];
  // A reader followed the last owner and holds nothing: nothing had been written.
  if (source === undefined && restart.readers.some((pod) => heldNothing(restart.sessions.get(pod), shard))) {
    return named(shard, writer);
  }
  if (source === undefined) {
    const why =
      restart.readers.length === 0 ? "it has no readers" : `none of ${several(restart.readers)} holds it`;
    const message = `${writer.pod} came up without the data of shard ${shard.id} and ${why}: the shard goes on empty; what had been written to it is lost`;
    return { ...named(shard, writer), event: { type: "Warning", reason: "DataLost", message } };
  }
  const target = refOf(writer);
  const message = `${writer.pod} came up without the data of shard ${shard.id} and copies it from ${source.pod}${from === "" ? "" : `, as ${from} went away`}`;
  return {
    shard: { ...shard, phase: { kind: "restoring", target, from: source.pod } },
    event: { type: "Normal", reason: "Restoring", message },
    againMs: lookAgainMs,
  };
};

/** Readers that hold a whole copy of the shard, the one furthest ahead first. */
const sourcesOf = (shard: Shard, { sessions, readers }: OwnerContext): readonly Session[] =>
  readers
    .flatMap((pod) => sessions.get(pod) ?? [])
    .filter(({ report: { serving, leaving, version } }) => {
      const whole = serving.kind === "reader" && serving.shard === shard.id && serving.state !== "copying";
      return whole && version > 0 && !leaving;
    })
    .sort(
      (a, b) => servedEpoch(b) - servedEpoch(a) || b.report.version - a.report.version || byOrdinal(a, b),
    );

const hasSpoken = (reader: Session | undefined, shard: Shard): boolean =>
  reader?.report.serving.kind === "reader" && reader.report.serving.shard === shard.id;

const heldNothing = (reader: Session | undefined, shard: Shard): boolean => {
  if (reader === undefined) return false;
  const { serving, version, keys } = reader.report;
  const followed = serving.kind === "reader" && serving.shard === shard.id && serving.epoch === shard.epoch;
  return followed && serving.state !== "copying" && version === 0 && keys === 0;
};

const servedEpoch = ({ report: { serving } }: Session): number =>
  serving.kind === "nothing" ? 0 : serving.epoch;

const named = (shard: Shard, writer: Session): OwnerPlan => {
  const next = epoch(shard.epoch + 1);
  const message = `${writer.pod} owns shard ${shard.id} from epoch ${next} on`;
  return {
    shard: { ...shard, epoch: next, owner: refOf(writer), phase: { kind: "stable" } },
    event: { type: "Normal", reason: "OwnerNamed", message },
    againMs: null,
  };
};

const restored = (shard: Shard, { writer, from }: Restart): OwnerPlan => {
  const plan = named(shard, writer);
  const message = `${writer.pod} copied shard ${shard.id} from ${from}, version ${writer.report.version}, and owns it from epoch ${plan.shard.epoch} on`;
  return { ...plan, event: { type: "Normal", reason: "Restored", message } };
};

const unchanged = (shard: Shard): OwnerPlan => ({ shard, event: null, againMs: null });
const refOf = ({ pod, incarnation }: PodRef): PodRef => ({ pod, incarnation });
const isRef = (ref: PodRef | null, { pod, incarnation }: PodRef): boolean =>
  ref?.pod === pod && ref.incarnation === incarnation;
const byOrdinal = (a: PodRef, b: PodRef): number => ordinalOf(a.pod) - ordinalOf(b.pod);
