import { Counter, type Registry } from "prom-client";
import type { ShardId } from "../../core/ids.ts";
import type { Move, Shard } from "../../core/topology.ts";
import type { Ownership } from "../plan/model.ts";

/** What one decision changed, and who served by then. */
export type Decided = {
  /** Null before the first one. */
  readonly before: Ownership | null;
  readonly after: Ownership;
  /** Shards whose owner serves in their epoch. */
  readonly served: ReadonlySet<ShardId>;
  /** Monotonic, milliseconds. */
  readonly nowMs: number;
};

/** Counts what comes about by the operator's decisions, in the time that this process leads. */
export const createDecisionMetrics = (register: Registry): ((cluster: string, decided: Decided) => void) => {
  const counter = <Label extends string>(
    name: string,
    help: string,
    ...labelNames: Label[]
  ): Counter<Label> => new Counter({ name: `edis_${name}`, help, labelNames, registers: [register] });
  const failovers = counter("operator_failovers_total", "Owners replaced because they were gone.", "cluster");
  const handovers = counter(
    "operator_handovers_total",
    "Shards handed over from one owner to another.",
    "cluster",
  );
  const moves = counter(
    "operator_moves_total",
    "Moves of slots that ended, by outcome: done, or dropped (another begins where they are still to move).",
    ...(["cluster", "outcome"] as const),
  );
  const bytes = counter(
    "operator_moved_bytes_total",
    "Bytes of keys and values that moves have brought.",
    "cluster",
  );
  const unowned = counter(
    "shard_unowned_seconds_total",
    "How long a shard with slots had no owner that served, as info saw it.",
    ...(["cluster", "shard"] as const),
  );
  /** By cluster, the shards that had none when it was last looked, and when that was. */
  const lacking = new Map<string, { readonly atMs: number; readonly shards: readonly ShardId[] }>();

  return (cluster, { before, after, served, nowMs }) => {
    const last = lacking.get(cluster);
    for (const shard of last?.shards ?? [])
      unowned.inc({ cluster, shard: String(shard) }, (nowMs - (last?.atMs ?? nowMs)) / 1000);
    const shards = after.shards
      .filter(({ id, slots }) => slots.length > 0 && !served.has(id))
      .map(({ id }) => id);
    lacking.set(cluster, { atMs: nowMs, shards });
    if (before === null || before === after) return;
    const ended = before.shards.filter((shard) => hasNewOwner(shard, after.shards[shard.id]));
    failovers.inc({ cluster }, ended.filter(({ phase }) => phase.kind === "fencing").length);
    handovers.inc({ cluster }, ended.filter(({ phase }) => phase.kind === "handover").length);
    const going = new Set(after.moves.map(({ id }) => id));
    for (const move of before.moves)
      if (!going.has(move.id)) moves.inc({ cluster, outcome: isDone(move, after) ? "done" : "dropped" });
    bytes.inc({ cluster }, movedBytes(before, after));
  };
};

const hasNewOwner = (before: Shard, after: Shard | undefined): boolean =>
  after !== undefined && after.epoch > before.epoch && after.phase.kind === "stable";

/** Its slots are the target's now. */
const isDone = ({ to, slots }: Move, { shards }: Ownership): boolean => {
  const [first] = slots;
  const slot = first?.[0];
  return slot !== undefined && shards[to]?.slots.some(([a, b]) => a <= slot && slot <= b) === true;
};

/** The sum is kept for each rebalance by itself. */
const movedBytes = ({ rebalance: had }: Ownership, { rebalance: has }: Ownership): number => {
  if (has === null) return 0;
  const sofar = had?.sinceMs === has.sinceMs ? had.done.bytes : 0;
  return Math.max(0, has.done.bytes - sofar);
};
