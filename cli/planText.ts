import type { Forecast } from "../core/tools.ts";
import { slotCount } from "../core/ids.ts";
import { counted, mebibytes } from "../core/words.ts";
import { table } from "./output.ts";

/** What a change would do, for people. The same forecast gives the same text. */

export const planText = (forecast: Forecast): string => {
  const { cluster, moves, shards, refusals, notes } = forecast;
  const moving = moves.length > 0;
  const parts = [
    `${cluster}: ${change(forecast.writers, "writer")}, ${change(forecast.readers, "reader")}\n`,
    refusals.map(({ reason, message }) => `refused: ${reason}: ${message}\n`).join(""),
    moving ? shardsTable(shards) : "",
    moving ? movesTable(moves) + movesSummary(forecast) : "",
    podLines(forecast).join(""),
    notes.map(({ message }) => `note: ${message}\n`).join(""),
    ending(forecast),
  ];
  return parts.filter((part) => part !== "").join("\n");
};

export const newClusterText = (
  cluster: string,
  { writers, readers }: { readonly writers: number; readonly readers: number },
): string =>
  `${cluster}: a new cluster\n\nmakes ${counted(writers, "writer")} (${slotCount} slots, about ${Math.round(slotCount / writers)} each) and ${counted(readers, "reader")}\n\nNothing was changed: this is what would be done.\n`;

const change = ({ from, to }: Forecast["writers"], what: string): string =>
  from === to ? counted(to, what) : `${what}s ${from} → ${to}`;

const arrow = (before: string, after: string): string => (before === after ? before : `${before} → ${after}`);

const shardsTable = (shards: Forecast["shards"]): string =>
  table([
    ["SHARD", "SLOTS", "KEYS", "BYTES"],
    ...shards.map(({ id, before, after }) => [
      String(id),
      arrow(String(before.slots), String(after.slots)),
      arrow(String(before.keys), String(after.keys)),
      arrow(mebibytes(before.bytes), mebibytes(after.bytes)),
    ]),
  ]);

const movesTable = (moves: Forecast["moves"]): string =>
  table([
    ["FROM", "TO", "SLOTS", "KEYS", "BYTES"],
    ...moves.map(({ from, to, slots, keys, bytes }) => [
      ...[String(from), String(to), String(slots), String(keys), mebibytes(bytes)],
    ]),
  ]);

const movesSummary = ({ moves, estimate }: Forecast): string => {
  const sum = (of: (move: Forecast["moves"][number]) => number): number =>
    moves.reduce((all, move) => all + of(move), 0);
  const amount = `moves ${counted(
    sum(({ slots }) => slots),
    "slot",
  )}, about ${counted(
    sum(({ keys }) => keys),
    "key",
  )}, ${mebibytes(sum(({ bytes }) => bytes))}`;
  if (estimate === null) return `${amount}\n`;
  const { seconds, bytesPerSecond, basis } = estimate;
  return `${amount}; takes about ${duration(seconds)}, ${basisText[basis].replace("{rate}", `${mebibytes(bytesPerSecond)}/s`)}\n`;
};

const basisText: Readonly<Record<NonNullable<Forecast["estimate"]>["basis"], string>> = {
  bound: "as rebalance.bytesPerSecondMax allows ({rate} in all)",
  measured: "at the {rate} of the moves that were seen last",
  assumed: "if it does {rate}: no move has been seen yet",
};

const duration = (seconds: number): string => {
  if (seconds <= 1) return "a second";
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3_600).toFixed(1)} h`;
};

const podLines = (forecast: Forecast): readonly string[] => {
  const { podsAdded, podsRemoved, podsRestarted, restartsAtOnce, readersMoved } = forecast;
  const assigned = readersMoved.filter(({ from }) => from === null);
  const moved = readersMoved.filter(({ from }) => from !== null);
  const at = restartsAtOnce === 1 ? "one at a time" : `one in each of ${restartsAtOnce} shards at a time`;
  return [
    ...(podsAdded.length === 0 ? [] : [`adds ${names(podsAdded)}\n`]),
    ...(podsRemoved.length === 0
      ? []
      : [`removes ${names(podsRemoved)}${moves(forecast) ? ", each once it is empty" : ""}\n`]),
    ...(podsRestarted.length === 0
      ? []
      : [
          `makes anew ${counted(podsRestarted.length, "pod")}, readers first, ${at}, about in this order: ${names(podsRestarted)}\n`,
        ]),
    ...(moved.length === 0 ? [] : [`readers that follow another shard: ${readers(moved)}\n`]),
    ...(assigned.length === 0 ? [] : [`new readers: ${readers(assigned)}\n`]),
  ];
};

const moves = ({ writers }: Forecast): boolean => writers.to < writers.from;

const readers = (moved: Forecast["readersMoved"]): string =>
  names(moved.map(({ pod, to }) => (to === null ? `${pod} to none` : `${pod} to shard ${to}`)));

const namesMax = 24;

/** All of them, as far as a screen holds them; `--output json` has the rest. */
const names = (all: readonly string[]): string =>
  all.length <= namesMax
    ? all.join(", ")
    : `${all.slice(0, namesMax).join(", ")} and ${all.length - namesMax} more`;

const ending = (forecast: Forecast): string => {
  const { refusals, moves: pairs, podsAdded, podsRemoved, podsRestarted, readersMoved, notes } = forecast;
  const isAnything =
    pairs.length + podsAdded.length + podsRemoved.length + podsRestarted.length + readersMoved.length > 0;
  if (isAnything) return "Nothing was changed: this is what would be done.\n";
  if (refusals.length > 0) return "Nothing would be done.\n";
  return notes.length > 0 ? "No slot moves, and no pod is touched.\n" : "Nothing to do: it is as wished.\n";
};
