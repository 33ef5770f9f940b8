import type { Client, Member, Report, Shard, Topology } from "../client/index.ts";
import { EdisError } from "../core/errors.ts";
import { countSlots } from "../core/topology.ts";
import { table } from "./output.ts";

/** What the owner of each shard says of itself and its readers; undefined where it could not be asked. */
export type Reports = ReadonlyMap<number, Report | undefined>;

/** Asks every owner at once. */
export const reportsOf = async (client: Client, timeoutMs: number): Promise<Reports> => {
  const { shards } = client.topology();
  const reports = shards.map(async ({ id, owner }) => {
    const report = owner === null ? undefined : await within(client.report(owner.pod), timeoutMs);
    return [id, report] as const;
  });
  return new Map(await Promise.all(reports));
};

/** An owner that cannot be asked leaves its cells empty. */
const within = async (asked: Promise<Report>, timeoutMs: number): Promise<Report | undefined> => {
  const over = new Promise<undefined>((resolve) => {
    AbortSignal.timeout(timeoutMs).addEventListener("abort", () => {
      resolve(undefined);
    });
  });
  return Promise.race([
    asked.catch((error: unknown) => {
      if (error instanceof EdisError) return undefined;
      throw error;
    }),
    over,
  ]);
};

/** One row per shard. */
export const topologyTable = (topology: Topology, reports: Reports): string => {
  const heading = ["SHARD", "SLOTS", "COUNT", "EPOCH", "OWNER", "READERS", "LAG", "KEYS"];
  const rows = topology.shards.map((shard) => row(topology, shard, reports.get(shard.id)));
  const stamp = `topology ${topology.term}.${topology.revision}`;
  const serving = topology.members.filter(({ state }) => state === "serving").length;
  return (
    table([heading, ...rows]) +
    movesText(topology) +
    `\n${topology.cluster}: ${topology.shards.length} shards, ${serving} of ${topology.members.length} pods serving, ${stamp}\n`
  );
};

/** One line for each pair of shards that slots move between; nothing where none do. */
const movesText = ({ moves }: Topology): string => {
  const pairs = new Map<string, { slots: number; freezing: number }>();
  for (const { from, to, slots, stage } of moves) {
    const name = `shard ${from} to shard ${to}`;
    const pair = pairs.get(name) ?? { slots: 0, freezing: 0 };
    pair.slots += countSlots(slots);
    if (stage === "freezing") pair.freezing += countSlots(slots);
    pairs.set(name, pair);
  }
  const lines = [...pairs].map(
    ([name, { slots, freezing }]) =>
      `moving: ${slots} slots of ${name}${freezing === 0 ? "" : `, ${freezing} of them changing hands`}\n`,
  );
  return lines.length === 0 ? "" : `\n${lines.join("")}`;
};

const row = (topology: Topology, shard: Shard, report: Report | undefined): readonly string[] => {
  const readers = topology.members.filter(({ home, shard: of }) => home === "reader" && of === shard.id);
  const lags = report?.readers.map(({ lag }) => lag.ms) ?? [];
  const slots = shard.slots.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`));
  return [
    String(shard.id),
    slots.length === 0 ? "-" : slots.length > 3 ? `${slots.slice(0, 3).join(",")},…` : slots.join(","),
    String(countSlots(shard.slots)),
    String(shard.epoch),
    ownerCell(topology, shard),
    readers.length === 0 ? "-" : readers.map(readerCell).join(" "),
    lags.length === 0 ? "-" : `${Math.round(Math.max(...lags))} ms`,
    report === undefined ? "-" : String(report.keys),
  ];
};

const ownerCell = ({ members }: Topology, { owner }: Shard): string => {
  if (owner === null) return "- (none yet)";
  const isUp = members.some(({ pod, incarnation }) => pod === owner.pod && incarnation === owner.incarnation);
  return isUp ? owner.pod : `${owner.pod} (away)`;
};

const readerCell = ({ pod, state }: Member): string => (state === "serving" ? pod : `${pod} (${state})`);
