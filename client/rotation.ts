import { backoffMs } from "../core/backoff.ts";
import type { Member, PodRef, Topology } from "../core/topology.ts";

/** Who is left out of the rotation, and until when. By process start: a pod that comes back starts afresh. */
export type Rotation = {
  readonly inUse: (member: PodRef, nowMs: number) => boolean;
  readonly isLeaving: (member: PodRef) => boolean;
  /** It could not answer: left out, longer each time in a row. */
  readonly leaveOut: (member: PodRef, nowMs: number, random: number) => void;
  /** It answered. */
  readonly answered: (member: PodRef) => void;
  /** It said that it ends: a process that has said so never comes back. */
  readonly leaving: (member: PodRef) => void;
  /** Forgets those that are gone. */
  readonly keep: (topology: Topology) => void;
};

const leftOut = { firstMs: 100, maxMs: 2_000 };

export const createRotation = (): Rotation => {
  const out = new Map<string, { failures: number; untilMs: number }>();
  const ending = new Set<string>();
  return {
    inUse: (member, nowMs) => out.size === 0 || (out.get(startOf(member))?.untilMs ?? 0) <= nowMs,
    isLeaving: (member) => ending.size > 0 && ending.has(startOf(member)),
    leaveOut: (member, nowMs, random) => {
      const known = out.get(startOf(member));
      // Requests that were under way together fail together: that is one failure.
      if (known !== undefined && known.untilMs > nowMs) return;
      const failures = (known?.failures ?? 0) + 1;
      out.set(startOf(member), { failures, untilMs: nowMs + backoffMs(leftOut, failures, random) });
    },
    answered: (member) => {
      if (out.size > 0) out.delete(startOf(member));
    },
    leaving: (member) => {
      ending.add(startOf(member));
    },
    keep: ({ members }) => {
      const present = new Set(members.map((member: Member) => startOf(member)));
      for (const start of out.keys()) if (!present.has(start)) out.delete(start);
      for (const start of ending) if (!present.has(start)) ending.delete(start);
    },
  };
};

/** Names one process start. */
export const startOf = ({ pod, incarnation }: PodRef): string => `${pod}/${incarnation}`;
