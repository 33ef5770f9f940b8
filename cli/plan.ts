import { readFile } from "node:fs/promises";
import { newSelf, silentLogger, systemRandom } from "../client/identity.ts";
import { openInfo } from "../client/peer.ts";
import { systemClock as clock } from "../core/clock.ts";
import { EdisError, messageOf } from "../core/errors.ts";
import type { Forecast } from "../core/tools.ts";
import { systemNetwork } from "../net/network.ts";
import { readClusterFile } from "../operator/local/clusterFile.ts";
import { clusterFrom } from "../operator/schema.ts";
import type { Shell } from "./commands.ts";
import { exitCodes } from "./exit.ts";
import { planText, newClusterText } from "./planText.ts";

export type PlanFlags = {
  readonly file?: string;
  readonly writers?: number;
  readonly readers?: number;
};

/** What is asked of info: a cluster, and the object that it is to be; empty: as it is. */
type Wish = {
  readonly cluster: string;
  readonly object: string;
  readonly size: { readonly writers: number; readonly readers: number };
};

/** A new leader answers a moment later, and one that is asked by others as well. */
const tryAgainMs = 200;

/** Shows what a change would do. `name`: which cluster, where no file is given, or the file has several. */
export const plan = async (shell: Shell, name: string | undefined, flags: PlanFlags): Promise<number> => {
  const { settings, output } = shell;
  const cluster = name === undefined ? settings.cluster : name.includes("/") ? name : `default/${name}`;
  const wishes =
    flags.file === undefined
      ? [{ cluster: cluster ?? "", object: "", size: { writers: 0, readers: 0 } }]
      : (await wishesIn(flags.file)).filter((wish) => cluster === undefined || wish.cluster === cluster);
  if (wishes.length === 0) {
    const message = `Cannot plan: there is no ${cluster ?? "cluster"} in ${flags.file ?? "the file"}`;
    throw new EdisError("bad-argument", message);
  }
  for (const [i, wish] of wishes.entries()) {
    const forecast = await forecastOf(shell, wish, flags);
    if (settings.output === "json")
      output.write(`${JSON.stringify(forecast ?? { cluster: wish.cluster, isNew: true })}\n`);
    else
      output.write(
        `${i > 0 ? "\n" : ""}${forecast === null ? newClusterText(wish.cluster, wish.size) : planText(forecast)}`,
      );
  }
  return exitCodes.ok;
};

/** Checked as `edis up` and the API server do; all that is wrong is told, with line and column. */
const wishesIn = async (file: string): Promise<readonly Wish[]> => {
  const content = await readFile(file, "utf8").catch((error: unknown) => {
    throw new EdisError("bad-file", `Cannot read ${file}: ${messageOf(error)}`, { cause: error });
  });
  const read = readClusterFile(content);
  if (read.kind === "bad") {
    const lines = read.problems.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
    throw new EdisError("bad-file", lines.join("\n      "));
  }
  return read.objects.map((object) => ({
    cluster: `${object.metadata.namespace}/${object.metadata.name}`,
    object: JSON.stringify(object),
    size: clusterFrom({ ...object, metadata: { ...object.metadata, uid: "" } }).spec,
  }));
};

/** Null where info knows no such cluster: it would be a new one. */
const forecastOf = async (
  { settings }: Shell,
  { cluster, object }: Wish,
  { writers, readers }: PlanFlags,
): Promise<Forecast | null> => {
  const ending = new AbortController();
  const untilMs = clock.nowMs() + settings.timeoutMs;
  const around = {
    ...{ network: systemNetwork, clock, logger: silentLogger, random: systemRandom, self: newSelf() },
    ...{ signal: ending.signal, cluster, to: "", timeoutMs: settings.timeoutMs },
  };
  try {
    const info = await again(untilMs, () => openInfo(settings.info, around));
    return await again(untilMs, () =>
      info.plan({ object, writers: writers ?? null, readers: readers ?? null }),
    );
  } catch (error) {
    const isNew = error instanceof EdisError && error.code === "unknown-cluster" && object !== "";
    if (isNew) return null;
    throw error;
  } finally {
    ending.abort();
  }
};

/** Info has just begun to lead, or others ask as well. */
const again = async <T>(untilMs: number, attempt: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const isLater = error instanceof EdisError && (error.code === "try-again" || error.code === "too-busy");
      if (!isLater || clock.nowMs() > untilMs) throw error;
      await clock.sleep(tryAgainMs);
    }
  }
};
