import { execFileSync } from "node:child_process";
import { readFileSync, statfsSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { versionOf, type ServerName } from "./servers.ts";

/** What one bench found. */
export type Section = {
  /** Of the bench: `throughput` is `bench/throughput.ts`. */
  readonly name: string;
  readonly title: string;
  /** What was done, in Markdown. */
  readonly text: string;
  readonly tables: readonly Table[];
  readonly notes?: readonly string[];
};
export type Table = {
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
};

const file = "docs/benchmarks.md";

const intro = `# Benchmarks

Figures of Edis, redis-server and valkey-server side by side. \`make bench\` runs everything and writes this file; \`node bench/<name>.ts\` runs one bench
and replaces its section (\`make build\` first: the bundles are what is measured). Only what stands in one row was measured in one run; what was measured
on another day, commit or machine says so above its table. Servers and load share the machine, so that the figures are lower than those of a server
with a machine of its own, for all three; ratios carry their spread for that reason.

- All three: one server process on loopback, 16-byte keys, 100-byte values. Edis: the bundle \`dist/shard.cjs\`, a local cluster of one writer, no readers
  but where they are named, the RESP port; started as \`edis up\` and the image do it, so that its store has pages of 2 MiB where the system gives them
  to who asks. redis-server and valkey-server: as they come, but for what is said.
- What is on disk is in \`TMPDIR\`, the same folder for all three.
- \`a (b–c)\`: the median of the rounds, the least, the most. Ratios are taken within a round.
- CPU: processor time of the server's process, all its threads, divided by the requests.
`;

/** Prints the section, and puts it in the place of its older self in docs/benchmarks.md. */
export const report = (section: Section, servers: readonly ServerName[]): void => {
  const body = [
    `## ${section.title}`,
    `${section.text.trim()}\n\n\`node bench/${section.name}.ts\`, ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC, ${commit()}; ${machine()}; ${servers.map(versionOf).join(", ")}.`,
    ...section.tables.map(tableText),
    ...(section.notes ?? []).map((note) => `- ${note}`),
  ].join("\n\n");
  console.log(`\n${body}\n`);
  const [start, end] = [`<!-- ${section.name} -->`, `<!-- end of ${section.name} -->`];
  const old = sectionsOf(readOld());
  old.set(section.name, `${start}\n${body}\n${end}`);
  const ordered = [...order, ...old.keys()].filter((name, i, all) => all.indexOf(name) === i);
  const texts = ordered.flatMap((name) => old.get(name) ?? []);
  writeFileSync(file, `${intro}\n${texts.join("\n\n")}\n`);
};

/** As they stand in the file. */
export const order = ["throughput", "memory", "pauses", "start", "copy", "readers", "reshard", "failover"];

const sectionsOf = (text: string): Map<string, string> =>
  new Map(
    [...text.matchAll(/<!-- (\w+) -->\n[^]*?<!-- end of \1 -->/g)].map((match) => [match[1] ?? "", match[0]]),
  );

const readOld = (): string => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
};

const tableText = ({ caption, head, rows }: Table): string => {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const table = [line(head), line(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)];
  return `${caption === "" ? "" : `${caption}\n\n`}${table.join("\n")}`;
};

const git = (...args: readonly string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
const commit = (): string => {
  const changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", `:!${file}`);
  return `commit ${git("rev-parse", "--short", "HEAD")}${changed === "" ? "" : " with changes"}`;
};

const fileSystems = new Map([
  [0xef53, "ext4"],
  [0x01021994, "tmpfs"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x794c7630, "overlay"],
]);

const machine = (): string => {
  const all = cpus();
  const type = statfsSync(tmpdir()).type;
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${all.length} × ${all[0]?.model.trim() ?? "?"}, ${memory}, Linux ${release()}, ${fileSystems.get(type) ?? `file system ${type.toString(16)}`}`;
};
