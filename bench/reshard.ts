import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { report } from "./support/report.ts";
import { reshardEdis, reshardRedis, reshardValkey, type Moved } from "./support/reshards.ts";
import { serverNames } from "./support/servers.ts";
import { medianText } from "./support/spread.ts";
import { findValkey } from "./support/valkey.ts";
import type { WritePhase, Written } from "./support/writer.ts";

/**
 * How fast a quarter of all keys gets from three writers to a fourth, and what writes feel meanwhile. Redis moves them by
 * `redis-cli --cluster reshard`, Valkey by CLUSTER MIGRATESLOTS, Edis because another number of writers is wished for.
 * Usage: node bench/reshard.ts [--keys 1000000] [--bytes 100] [--rounds 3] [--rate 10000] [--only redis,valkey,edis,fresh,load] [--steps] [--add FILE]
 * `--add` keeps the rounds in a file and goes on from those that it holds; with `--only` nothing is written to docs/benchmarks.md.
 */
const { values } = parseArgs({
  options: {
    keys: { type: "string", default: "1000000" },
    bytes: { type: "string", default: "100" },
    rounds: { type: "string", default: "3" },
    rate: { type: "string", default: "10000" },
    only: { type: "string", default: "" },
    add: { type: "string", default: "" },
    steps: { type: "boolean", default: false },
  },
});
const data = { keys: Number(values.keys), bytes: Number(values.bytes) };
const rateText = Number(values.rate).toLocaleString("en");

type Round = {
  readonly redis: Moved | null;
  readonly valkey: Moved | null;
  readonly edis: Moved | null;
  readonly fresh: Moved | null;
  readonly load: Moved | null;
  readonly written: Written | null;
};

const isWanted = (name: string): boolean => values.only === "" || values.only.split(",").includes(name);

const tell = (name: string, moved: Moved): Moved => {
  const { keys, wholeMs, movingMs } = moved;
  const text = (ms: number): string =>
    `${(ms / 1000).toFixed(2)} s: ${Math.round((keys / ms) * 1000).toLocaleString("en")} keys/s`;
  console.log(`${name}: ${keys} keys in ${text(wholeMs)}; from the first move to the last ${text(movingMs)}`);
  return moved;
};

const told = (text: string): void => {
  if (values.steps) console.log(text);
};

const takeRound = async (): Promise<Round> => {
  const edis = isWanted("edis")
    ? tell("edis", await reshardEdis({ ...data, rate: 0, isThere: true, told }))
    : null;
  const fresh = isWanted("fresh")
    ? tell("edis, and starts the fourth", await reshardEdis({ ...data, rate: 0, isThere: false, told }))
    : null;
  const load = isWanted("load")
    ? await reshardEdis({ ...data, rate: Number(values.rate), isThere: true, told })
    : null;
  if (load !== null) tell(`edis under ${rateText} writes a second`, load);
  const written = load?.written ?? null;
  for (const phase of phasesOf(written)) console.log(phaseRow(phase).join("  "));
  if (written !== null && written.errors.length > 0) console.log(written.errors);
  const server = isWanted("valkey") ? findValkey() : null;
  const valkey = server === null ? null : tell("valkey", await reshardValkey(server, data));
  const redis = isWanted("redis") ? tell("redis", await reshardRedis(data)) : null;
  return { redis, valkey, edis, fresh, load, written };
};

/** Without that in which the load began, and what is between two moves. */
const phasesOf = (written: Written | null): readonly WritePhase[] =>
  written?.phases.slice(1).filter(({ name }) => name !== "between") ?? [];

const phaseRow = ({ name, writes, failed, ...ms }: WritePhase): readonly string[] => [
  ...[name, `${writes}`, `${failed}`],
  ...[ms.p50, ms.p99, ms.p999, ms.max, ms.ownP99, ms.ownMax].map((n) => n.toFixed(n < 10 ? 1 : 0)),
];

type Way = "redis" | "valkey" | "edis" | "fresh" | "load";
type Taken = "wholeMs" | "movingMs";

const row = (rounds: readonly Round[], name: string, [way, taken]: readonly [Way, Taken]): string[] => {
  const rateOf = (moved: Moved | null, of: Taken): number => (moved === null ? NaN : moved.keys / moved[of]);
  const figures = (of: (round: Round) => number, digits: number): string =>
    medianText(rounds.map(of).filter(Number.isFinite), digits);
  return [
    name,
    figures((round) => (round[way]?.[taken] ?? NaN) / 1000, 2),
    figures((round) => rateOf(round[way], taken), 0),
    figures((round) => rateOf(round[way], taken) / rateOf(round.redis, "wholeMs"), 1),
    figures((round) => rateOf(round[way], taken) / rateOf(round.valkey, "wholeMs"), 2),
  ];
};

const tellAll = (rounds: readonly Round[]): void => {
  const latencies = rounds.flatMap(({ written }, i) =>
    phasesOf(written).map((phase) => phaseRow({ ...phase, name: `${phase.name}, round ${i + 1}` })),
  );
  report(
    {
      name: "reshard",
      title: "Resharding",
      text: `${data.keys.toLocaleString("en")} keys of ${data.bytes} bytes on three writers; a fourth takes a quarter of the slots. ${rounds.length} rounds in turn. Redis: \`redis-cli --cluster reshard\` with its
defaults. Valkey: CLUSTER MIGRATESLOTS, its atomic slot migration, at all three sources at once. Neither writes to disk, and their fourth member runs and is known to all before it begins. Edis, as it comes
(\`fsync: everysec\`; what moves is synced at its new owner before it is given over), local processes: the fourth writer runs without slots, as \`rebalance.paused\` says, and *from the wish on* begins
with the change of the file that takes that away; in one row with the change of \`writers\` from 3 to 4, which starts the fourth writer's process as well. All end when a client that watches knows the last slot at its new owner. Load: writes of 100 bytes to keys drawn at random, through the client library, from a process of its own, at
a higher priority where the user may have that (root); latencies count from the instant at which a write was due, and *load's own* is from there to when it was handed to the client. The processes share the machine's cores.
*Meanwhile* is the first time that these processes move anything; the same load then goes on while the fourth writer is taken away and added again, which three of them and the client have done before.`,
      tables: [
        {
          caption: "",
          head: ["", "s", "k keys/s", "÷ redis", "÷ valkey"],
          rows: [
            row(rounds, "redis-cli --cluster reshard", ["redis", "wholeMs"]),
            row(rounds, "valkey CLUSTER MIGRATESLOTS", ["valkey", "wholeMs"]),
            row(rounds, "edis, from the wish on", ["edis", "wholeMs"]),
            row(rounds, "edis, from the first move to the last", ["edis", "movingMs"]),
            row(rounds, "edis, from the wish on, which starts the fourth writer", ["fresh", "wholeMs"]),
            row(rounds, `edis under ${rateText} writes a second, from the wish on`, ["load", "wholeMs"]),
            row(rounds, `edis under ${rateText} writes a second, from the first move to the last`, [
              "load",
              "movingMs",
            ]),
          ],
        },
        {
          caption: "Edis under load, milliseconds:",
          head: ["", "writes", "failed", "p50", "p99", "p99.9", "max", "load's own p99", "load's own max"],
          rows: latencies,
        },
      ],
    },
    serverNames(),
  );
};

const rounds: Round[] =
  values.add !== "" && existsSync(values.add)
    ? (JSON.parse(readFileSync(values.add, "utf8")) as Round[])
    : [];
for (let round = 0; round < Number(values.rounds); round++) rounds.push(await takeRound());
if (values.add !== "") writeFileSync(values.add, JSON.stringify(rounds));
if (values.only === "") tellAll(rounds);
