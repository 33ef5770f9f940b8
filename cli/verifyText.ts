import type { Shard, Topology } from "../client/index.ts";
import { rangesOf, rangesText, type SlotRange } from "../core/topology.ts";
import { counted, mebibytes, several } from "../core/words.ts";
import { table } from "./output.ts";
import type { Compared, Copy } from "./verifyShard.ts";

/** What was found: as it is gathered, and as people read it. */
export type Verified = {
  readonly cluster: string;
  /** Looked at so far, in all shards. */
  slots: number;
  keys: number;
  bytes: number;
  readonly shards: Map<number, ShardVerified>;
  /** Slots that the map gives to nobody. */
  readonly unowned: number[];
  /** Slots that could not be looked at, and why not, by shard. */
  readonly unverified: SlotRange[];
  readonly problems: Map<number, string>;
  /** Processes that hold keys of slots that are not theirs. */
  readonly strays: { readonly pod: string; readonly keys: number }[];
};
export type ShardVerified = {
  readonly shard: number;
  owner: string;
  slots: number;
  keys: number;
  bytes: number;
  readonly copies: Map<string, Copy>;
};

export const emptyVerified = ({ cluster }: Topology): Verified => ({
  ...{ cluster, slots: 0, keys: 0, bytes: 0, shards: new Map() },
  ...{ unowned: [], unverified: [], problems: new Map(), strays: [] },
});

export const addTo = (
  verified: Verified,
  { id, owner }: Shard,
  { slots, keys, bytes, copies }: Compared & { readonly slots: number },
): void => {
  const shard = verified.shards.get(id) ?? {
    ...{ shard: id, owner: "", slots: 0, keys: 0, bytes: 0, copies: new Map<string, Copy>() },
  };
  verified.shards.set(id, shard);
  shard.owner = owner?.pod ?? "";
  for (const sum of [verified, shard]) {
    sum.slots += slots;
    sum.keys += keys;
    sum.bytes += bytes;
  }
  for (const copy of copies) {
    const known = shard.copies.get(copy.pod);
    if (known === undefined) shard.copies.set(copy.pod, copy);
    else {
      known.same += copy.same;
      known.different.push(...copy.different);
      known.written.push(...copy.written);
      known.problem = copy.problem ?? known.problem;
    }
  }
};

export const shardsIn = ({ shards }: Verified): readonly ShardVerified[] =>
  [...shards.values()].sort((a, b) => a.shard - b.shard);

const copiesIn = ({ shards }: Verified): readonly Copy[] =>
  [...shards.values()].flatMap(({ copies }) => [...copies.values()]);

/** Nothing that was looked at is wrong. */
export const isSound = (verified: Verified): boolean =>
  verified.strays.length === 0 &&
  verified.unowned.length === 0 &&
  copiesIn(verified).every(({ different }) => different.length === 0);

/** Everything was looked at. */
export const isWhole = (verified: Verified): boolean =>
  verified.unverified.length === 0 &&
  copiesIn(verified).every(({ written, problem }) => written.length === 0 && problem === null);

export const verifiedText = (verified: Verified): string => {
  const shards = shardsIn(verified);
  const heading = ["SHARD", "SLOTS", "KEYS", "BYTES", "OWNER", "COPIES"];
  const rows = shards.map(({ shard, slots, keys, bytes, owner, copies }) => [
    ...[String(shard), String(slots), String(keys), mebibytes(bytes), owner],
    copiesCell([...copies.values()]),
  ]);
  const faults = [...wrongLines(verified, shards), ...missingLines(verified)];
  return `${table([heading, ...rows])}\n${faults.map((line) => `${line}\n`).join("")}${summary(verified)}\n`;
};

const copiesCell = (copies: readonly Copy[]): string => {
  const named = copies.map((copy) => `${copy.pod} ${stateOf(copy)}`);
  return named.length === 0 ? "none" : named.join(", ");
};

const stateOf = ({ different, written, problem }: Copy): string => {
  if (different.length > 0) return "DIFFERS";
  if (problem !== null) return "not compared";
  return written.length > 0 ? "same, as far as could be told" : "same";
};

const shownMax = 5;

const wrongLines = ({ unowned, strays }: Verified, shards: readonly ShardVerified[]): readonly string[] => [
  ...(unowned.length === 0 ? [] : [`wrong: the map gives nobody the slots ${rangesText(rangesOf(unowned))}`]),
  ...strays.map(
    ({ pod, keys }) => `wrong: ${pod} holds ${counted(keys, "key")} of slots that are not its shard's`,
  ),
  ...shards.flatMap(({ owner, copies }) =>
    [...copies.values()].flatMap(({ pod, different }) => differing(pod, owner, different)),
  ),
];

const differing = (pod: string, owner: string, different: Copy["different"]): readonly string[] => {
  if (different.length === 0) return [];
  const shown = different
    .slice(0, shownMax)
    .map(({ slot, keys, ownerKeys }) =>
      keys === ownerKeys
        ? `${slot} (${counted(keys, "key")} in both)`
        : `${slot} (${counted(keys, "key")}, ${ownerKeys} at the owner)`,
    );
  const more = different.length > shownMax ? ` and ${different.length - shownMax} more` : "";
  return [
    `wrong: ${pod} holds something else than ${owner} in ${counted(different.length, "slot")}: ${shown.join(", ")}${more}`,
  ];
};

const missingLines = ({ unverified, problems, shards }: Verified): readonly string[] => {
  const whys = several([...new Set(problems.values())]);
  return [
    ...(unverified.length === 0 ? [] : [`not looked at: slots ${rangesText(unverified)}: ${whys}`]),
    ...[...shards.values()].flatMap(({ copies }) =>
      [...copies.values()].flatMap(({ pod, written, problem }) => [
        ...(problem === null ? [] : [`not compared: ${pod}: ${problem}`]),
        ...(written.length === 0
          ? []
          : [
              `not compared: ${counted(written.length, "slot")} of ${pod}, written to all the time; run it again`,
            ]),
      ]),
    ),
  ];
};

const summary = (verified: Verified): string => {
  const { cluster, keys, slots, shards } = verified;
  const copies = copiesIn(verified).length;
  const what = `${counted(keys, "key")} in ${counted(slots, "slot")}`;
  if (!isSound(verified)) return `${cluster}: ${what}; what is wrong stands above`;
  const rest = isWhole(verified) ? "" : "; what could not be looked at stands above";
  return `${cluster}: ${what}, each where the map says, once; the ${copies === 1 ? "copy" : `${copies} copies`} of ${counted(shards.size, "shard")} ${copies === 1 ? "holds" : "hold"} the same${rest}`;
};
