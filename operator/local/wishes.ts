import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Cancel, Clock } from "../../core/clock.ts";
import { EdisError, messageOf } from "../../core/errors.ts";
import { clusterFrom } from "../schema.ts";
import type { ShardCluster } from "../shardCluster.ts";
import type { ClusterObject } from "../clusterObject.ts";
import { readClusterFile } from "./clusterFile.ts";

/** The ShardClusters of one file, which may be edited at any time. What is wrong with it is told; the old wish goes on. */
export type Wishes = {
  readonly cluster: (key: string) => ShardCluster | undefined;
  readonly keys: () => readonly string[];
  /** Why the file as it is now does not count; null where it does. */
  readonly problem: () => string | null;
  readonly stop: () => void;
};

export type WishesOptions = {
  readonly file: string;
  readonly clock: Clock;
  /** The identity of a cluster that is wished for now and was not before. */
  readonly uidOf: (key: string) => string;
  /** The wish for a cluster changed, or is gone. */
  readonly changed: (key: string) => void;
  /** The file became bad (why), or good again (null). */
  readonly judged: (problem: string | null) => void;
};

/** Editors write in several steps; it is read when they have been quiet for this long. */
const quietMs = 50;
/** A change that the file system does not tell of is seen this late. */
const pollMs = 1_000;

type Wish = { readonly object: ClusterObject; readonly text: string; readonly cluster: ShardCluster };

/** Reads the file and keeps watching it. Rejects with `bad-file` where it cannot be used at the start. */
export const watchWishes = async (options: WishesOptions): Promise<Wishes> => {
  const { file, clock, judged, changed } = options;
  const known = new Map<string, Wish>();
  let content = await load(file);
  let problem: string | null = null;
  for (const [key, wish] of take(content, known, options)) known.set(key, wish);

  const judge = (next: string | null): void => {
    if (next === problem) return;
    problem = next;
    judged(next);
  };
  const look = async (): Promise<void> => {
    try {
      const now = await load(file);
      if (now === content && problem === null) return;
      content = now;
      const next = take(now, known, options);
      const keys = new Set([...known.keys(), ...next.keys()]);
      const different = [...keys].filter((key) => known.get(key)?.cluster !== next.get(key)?.cluster);
      known.clear();
      for (const [key, wish] of next) known.set(key, wish);
      judge(null);
      for (const key of different) changed(key);
    } catch (error) {
      judge(messageOf(error));
    }
  };

  let pending: Cancel | null = null;
  const lookSoon = (): void => {
    pending?.();
    pending = clock.after(quietMs, () => void look());
  };
  // The folder and not the file: many editors put a new file in its place.
  const watcher = watch(dirname(file), (_, name) => {
    if (name === null || name === basename(file)) lookSoon();
  });
  watcher.on("error", () => {
    watcher.close();
  });
  const stopPolling = clock.every(pollMs, () => void look());

  return {
    cluster: (key) => known.get(key)?.cluster,
    keys: () => [...known.keys()],
    problem: () => problem,
    stop: () => {
      pending?.();
      stopPolling();
      watcher.close();
    },
  };
};

const load = async (file: string): Promise<string> => {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new EdisError("bad-file", `Cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
};

/** The wishes in the file's new content. What did not change is the same object as before. */
const take = (
  content: string,
  known: ReadonlyMap<string, Wish>,
  { file, uidOf }: WishesOptions,
): ReadonlyMap<string, Wish> => {
  const read = readClusterFile(content, (key) => known.get(key)?.object);
  if (read.kind === "bad") {
    const lines = read.problems.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
    throw new EdisError("bad-file", lines.join("\n"));
  }
  return new Map(
    read.objects.map((object) => {
      const { namespace, name } = object.metadata;
      const key = `${namespace}/${name}`;
      const text = JSON.stringify(object["spec"]);
      const before = known.get(key);
      if (before?.text === text) return [key, before];
      const uid = before?.cluster.uid ?? uidOf(key);
      const generation = (before?.cluster.generation ?? 0) + 1;
      const cluster = clusterFrom({ ...object, metadata: { namespace, name, uid, generation } });
      return [key, { object, text, cluster }];
    }),
  );
};
