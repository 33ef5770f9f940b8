import type { Consistency } from "../client/index.ts";
import { EdisError } from "../core/errors.ts";

/** What the options and the environment say. */
export type Settings = {
  readonly info: readonly string[];
  readonly cluster: string | undefined;
  readonly consistency: Consistency | undefined;
  readonly output: "text" | "json";
  readonly timeoutMs: number;
};

/** The options as commander gives them. */
export type Options = {
  readonly info?: string;
  readonly cluster?: string;
  readonly consistency?: Consistency;
  readonly output: "text" | "json";
  readonly timeout: number;
};
export type Environment = Readonly<Record<string, string | undefined>>;

const infoDefault = "ws://127.0.0.1:7378";

/**
 * Options go before the environment. Inside a shard pod EDIS_INFO names the operator and EDIS_CLUSTER the pod's own cluster;
 * the pod's own shard process is then the last place to look for the topology.
 */
export const settingsOf = (options: Options, env: Environment): Settings => {
  const listed = options.info ?? set(env["EDIS_INFO"]) ?? infoDefault;
  const info = listed
    .split(",")
    .map((url) => url.trim())
    .filter((url) => url !== "");
  const isPod = set(env["EDIS_POD"]) !== undefined;
  const own =
    isPod && options.info === undefined ? [`ws://127.0.0.1:${env["EDIS_CLIENT_PORT"] ?? "7379"}`] : [];
  return {
    info: [...info, ...own],
    cluster: options.cluster ?? set(env["EDIS_CLUSTER_NAME"]) ?? set(env["EDIS_CLUSTER"]),
    consistency: options.consistency,
    output: options.output,
    timeoutMs: options.timeout,
  };
};

const set = (text: string | undefined): string | undefined => (text === "" ? undefined : text);

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of `500ms`, `10s`, `5m`, `2h`, `1d`; a bare number counts seconds. */
export const durationMs = (text: string): number => {
  const parts = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const ms = Math.round(Number(parts?.[1]) * (units[parts?.[2] ?? "s"] ?? Number.NaN));
  if (Number.isSafeInteger(ms) && ms > 0) return ms;
  throw new EdisError(
    "bad-argument",
    `Cannot read ${JSON.stringify(text)} as a duration: wanted is 500ms, 10s, 5m, 2h or 1d`,
  );
};
