import { execFileSync } from "node:child_process";
import { hasLog, startEdis } from "./edis.ts";
import { startRedis } from "./redis.ts";
import { findValkey } from "./valkey.ts";

/** The servers that are compared: each one process with one thread for commands, on loopback, RESP. */
export type ServerName = "redis" | "valkey" | "edis";
/** What an acknowledged write has been through: nothing on disk, a sync each second, a sync before each answer. */
export type Durability = "none" | "everysec" | "always";

export type BenchServer = {
  readonly name: ServerName;
  readonly port: () => number;
  readonly pid: () => number;
  /** Starts a reader (a replica); resolves when it holds everything and serves. */
  readonly addReader: () => Promise<Reader>;
  /** Writes a snapshot while serving; resolves when it is written. Rejects where it cannot be asked for. */
  readonly snapshot: () => Promise<void>;
  /** Ends the process with all it has on disk; resolves to the milliseconds from the start of the next one to its first GET of `key`. */
  readonly restart: (key: string) => Promise<number>;
  readonly stop: () => Promise<void>;
};
export type Reader = {
  readonly port: number;
  /** From the start of its process to its serving. */
  readonly tookMs: number;
  readonly stop: () => Promise<void>;
};

const aptLine = "Debian and Ubuntu: apt-get install redis-server redis-tools";

/**
 * Which servers there are here, or those of a list like `redis,edis`. Ends the process where redis-server or its tools are missing:
 * nothing can be compared then.
 */
export const serverNames = (wanted = "redis,valkey,edis"): readonly ServerName[] => {
  for (const program of ["redis-server", "redis-benchmark"]) {
    try {
      execFileSync(program, ["--version"], { stdio: "ignore" });
    } catch {
      console.error(`${program} is missing. ${aptLine}`);
      process.exit(1);
    }
  }
  return (["redis", "valkey", "edis"] as const).filter(
    (name) => wanted.split(",").includes(name) && (name !== "valkey" || findValkey() !== null),
  );
};

/** `settings` are redis.conf's, for redis and valkey. */
export const startServer = (
  name: ServerName,
  { durability, settings = [] }: { readonly durability: Durability; readonly settings?: readonly string[] },
): Promise<BenchServer> => {
  if (name === "edis") return startEdis(durability);
  const program = name === "redis" ? "redis-server" : (findValkey() ?? "valkey-server");
  return startRedis({ name, program, durability, settings });
};

/** Why there is nothing to measure in this mode; null where there is. */
export const missingMode = (durability: Durability): string | null =>
  durability === "none" || hasLog ? null : `${durability}: Edis has no log yet`;

export const versionOf = (name: ServerName): string => {
  if (name === "edis") return `Edis on Node ${process.version.slice(1)}`;
  const program = name === "redis" ? "redis-server" : (findValkey() ?? "valkey-server");
  const text = execFileSync(program, ["--version"], { encoding: "utf8" });
  return `${program.split("/").at(-1) ?? ""} ${/v=([\d.]+)/.exec(text)?.[1] ?? "?"} (${/malloc=(\S+)/.exec(text)?.[1] ?? "?"})`;
};
