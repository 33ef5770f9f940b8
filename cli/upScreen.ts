import type { LocalCluster, LocalEvent, LocalPod, LocalShard } from "../operator/local/up.ts";
import { table } from "./output.ts";

/** What the live status of `edis up` shows. */
export type UpState = {
  readonly clusters: readonly LocalCluster[];
  /** Why the file as it is now does not count; null where it does. */
  readonly problem: string | null;
  /** Oldest first. */
  readonly events: readonly LocalEvent[];
  /** What can be typed next. */
  readonly hints: readonly string[];
};
export type ScreenSize = { readonly columns: number; readonly rows: number };

/** Shards that are listed; with more, the summary and the page at the HTTP port have to do. */
const shardsShownMax = 24;
const readersShownMax = 8;
const movesShownMax = 6;

/** The lines of one frame: never more than fit, so that it can be drawn over the one before. Pure. */
export const upScreen = (state: UpState, { columns, rows }: ScreenSize): readonly string[] => {
  const body = state.clusters.flatMap((cluster) => [...clusterLines(cluster), ""]);
  const problem = state.problem === null ? [] : [...state.problem.split("\n").map((line) => `! ${line}`), ""];
  const above = [...body, ...problem, ...state.hints, ""];
  const room = Math.max(3, rows - 1 - above.length);
  const events = state.events.flatMap(eventLines).slice(-room);
  return [...above, ...events].slice(0, Math.max(1, rows - 1)).map((line) => line.slice(0, columns));
};

/** An event as lines of plain text. */
export const eventLines = ({ atMs, cluster, type, reason, message }: LocalEvent): readonly string[] => {
  const mark = type === "Warning" ? "!" : " ";
  const [first = "", ...more] = message.split("\n");
  const about = [timeText(atMs), mark, cluster, `${reason}:`, first].filter((part) => part !== "");
  return [about.join(" "), ...more.map((line) => `${" ".repeat(11)}${line}`)];
};

const clusterLines = ({ cluster, conditions, moves, shards, others }: LocalCluster): readonly string[] => {
  const ready = conditions.find(({ type }) => type === "Ready");
  const degraded = conditions.find(({ type, status }) => type === "Degraded" && status === "True");
  const rebalancing = conditions.find(
    ({ type, status, reason }) => type === "Rebalancing" && (status === "True" || reason === "Paused"),
  );
  const state =
    ready === undefined ? "starting" : `${ready.status === "True" ? "Ready" : "not ready"}: ${ready.message}`;
  const rows = shards.slice(0, shardsShownMax).map(shardRow);
  const more = shards.length - rows.length;
  return [
    `${cluster}  ${state}`,
    ...(degraded === undefined ? [] : [`! ${degraded.reason}: ${degraded.message}`]),
    ...(rebalancing === undefined ? [] : [`${rebalancing.reason}: ${rebalancing.message}`]),
    ...moves.slice(0, movesShownMax).map(moveLine),
    "",
    ...table([["shard", "slots", "epoch", "keys", "writer", "readers"], ...rows])
      .trimEnd()
      .split("\n"),
    ...(more > 0 ? [`and ${more} more shards`] : []),
    ...(others.length === 0 ? [] : [`without a shard: ${others.map(podText).join("  ")}`]),
  ];
};

const barLength = 20;
/** `  shard 0 → 3  [########------------] 1365 slots`. */
const moveLine = ({ from, to, slots, bytes, bytesInAll, stage }: LocalCluster["moves"][number]): string => {
  const filled = bytesInAll === 0 ? barLength : Math.round((bytes / bytesInAll) * barLength);
  const bar = "#".repeat(filled).padEnd(barLength, "-");
  return `  shard ${from} → ${to}  [${bar}] ${slots} slots${stage === "freezing" ? ", changing hands" : ""}`;
};

const shardRow = (shard: LocalShard): readonly string[] => {
  const { id, ranges, epoch, keys, owner, readers, change } = shard;
  const writer = owner === null ? "none yet" : podText(owner);
  const shown = readers.slice(0, readersShownMax).map(podText);
  const more = readers.length > shown.length ? [`and ${readers.length - shown.length} more`] : [];
  return [
    String(id),
    ranges,
    String(epoch),
    keys.toLocaleString("en"),
    change === null ? writer : `${writer}, ${change}`,
    [...shown, ...more].join("  "),
  ];
};

/** `demo-read-1 (3 ms)`, and for a writer its process id, so that it can be killed. */
const podText = ({ pod, pid, state, lagMs }: LocalPod): string => {
  if (state !== "serving") return `${pod} (${state})`;
  return lagMs === null ? `${pod} (pid ${pid ?? "?"})` : `${pod} (${lagMs} ms)`;
};

const clockTime = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const timeText = (atMs: number): string => clockTime.format(atMs);
