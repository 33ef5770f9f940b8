import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { EdisError } from "../../core/errors.ts";
import type { Ownership } from "../plan/model.ts";
import { ConflictError, type StoredOwnership } from "../platform.ts";
import { keyOf, type ShardCluster, type ShardClusterStatus } from "../shardCluster.ts";
import { storedOwnership } from "../storedOwnership.ts";
import { ownershipFrom } from "../topologySchema.ts";

/**
 * What the Kubernetes API and volumes keep elsewhere, as files:
 * `<state>/<namespace>/<name>/{uid,token,topology.json,status.json,force,data/<pod>}`.
 */
export type StateFolder = {
  /**
   * The cluster's identity: what an earlier run gave it, so that its data is its own again. One that goes and comes back
   * while this runs is another: nothing of the old one is its own.
   */
  readonly uid: (key: string) => string;
  /** The cluster's secret, 32 random bytes; made at the first call. */
  readonly token: (cluster: ShardCluster) => Promise<Uint8Array>;
  readonly tokenFile: (cluster: ShardCluster) => string;
  /** Where its pods keep their data, each in a folder of its name. */
  readonly dataFolder: (cluster: ShardCluster) => string;
  readonly removeData: (cluster: ShardCluster) => Promise<void>;
  readonly readOwnership: (cluster: ShardCluster) => Promise<StoredOwnership | null>;
  readonly writeOwnership: (
    cluster: ShardCluster,
    ownership: Ownership,
    expected: string | null,
  ) => Promise<StoredOwnership>;
  /** What `edis failover --force` has left there: `<shard>@<epoch>`; empty where nothing. */
  readonly force: (key: string) => string;
  readonly writeStatus: (cluster: ShardCluster, status: ShardClusterStatus) => Promise<void>;
  readonly remove: (key: string) => Promise<void>;
  readonly close: () => void;
};

const stored = v.object({ resourceVersion: v.string(), ownership: v.unknown() });

/** Takes the folder for this process. Rejects with `bad-argument` where another one that lives has it. */
export const openStateFolder = (folder: string): StateFolder => {
  mkdirSync(folder, { recursive: true });
  const lock = join(folder, "up.pid");
  takeLock(folder, lock);
  const folderOf = (key: string): string => join(folder, key);
  const pathOf = (cluster: ShardCluster, name: string): string => join(folderOf(keyOf(cluster)), name);
  const tokens = new Map<string, Uint8Array>();

  const readOwnership = async (cluster: ShardCluster): Promise<StoredOwnership | null> => {
    const text = await readFile(pathOf(cluster, "topology.json"), "utf8").catch(absent);
    if (text === null) return null;
    const { resourceVersion, ownership } = v.parse(stored, JSON.parse(text));
    const read = ownershipFrom(ownership);
    // Of a cluster that had this name before.
    return read.clusterId === cluster.uid ? { ownership: read, resourceVersion } : null;
  };

  const given = new Set<string>();

  return {
    uid: (key) => {
      const path = join(folderOf(key), "uid");
      const kept = given.has(key) || !existsSync(path) ? "" : readFileSync(path, "utf8").trim();
      given.add(key);
      if (kept !== "") return kept;
      const uid = randomUUID();
      mkdirSync(folderOf(key), { recursive: true, mode: 0o700 });
      writeFileSync(path, `${uid}\n`);
      return uid;
    },
    token: async (cluster) => {
      const known = tokens.get(cluster.uid);
      if (known !== undefined) return known;
      // Processes that outlive an operator go on with theirs.
      const kept = await readFile(pathOf(cluster, "token")).catch(absent);
      const token = kept?.length === 64 ? kept : Buffer.from(randomBytes(32).toString("hex"));
      if (token !== kept) await replace(pathOf(cluster, "token"), token);
      tokens.set(cluster.uid, token);
      return token;
    },
    tokenFile: (cluster) => pathOf(cluster, "token"),
    dataFolder: (cluster) => pathOf(cluster, "data"),
    removeData: (cluster) => rm(pathOf(cluster, "data"), { recursive: true, force: true }),
    readOwnership,
    writeOwnership: async (cluster, ownership, expected) => {
      const before = await readOwnership(cluster);
      if ((before?.resourceVersion ?? null) !== expected) {
        throw new ConflictError(pathOf(cluster, "topology.json"));
      }
      const resourceVersion = String(Number(expected ?? 0) + 1);
      await replace(
        pathOf(cluster, "topology.json"),
        jsonText({ resourceVersion, ownership: storedOwnership(ownership, cluster.name) }),
      );
      return { ownership, resourceVersion };
    },
    force: (key) => {
      const path = join(folderOf(key), "force");
      return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
    },
    writeStatus: (cluster, status) => replace(pathOf(cluster, "status.json"), jsonText(status)),
    remove: (key) => rm(folderOf(key), { recursive: true, force: true }),
    close: () => {
      rmSync(lock, { force: true });
    },
  };
};

const jsonText = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** Whoever reads the file sees the old content or the new one, whole. */
const replace = async (path: string, content: string | Uint8Array): Promise<void> => {
  await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, content, { mode: 0o600 });
  await rename(`${path}.new`, path);
};

const absent = (error: NodeJS.ErrnoException): null => {
  if (error.code === "ENOENT") return null;
  throw error;
};

const takeLock = (folder: string, lock: string): void => {
  const holder = pidIn(lock);
  if (holder !== null && holder !== process.pid && lives(holder)) {
    throw new EdisError(
      "bad-argument",
      `Cannot use the state folder ${folder}: process ${holder} uses it; end that one, or name another folder with --state`,
    );
  }
  writeFileSync(lock, `${process.pid}\n`);
};

const pidIn = (lock: string): number | null => {
  try {
    return Number(readFileSync(lock, "utf8")) || null;
  } catch {
    return null;
  }
};

const lives = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
