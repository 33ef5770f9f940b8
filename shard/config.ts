import { readFileSync } from "node:fs";
import { EdisError, messageOf } from "../core/errors.ts";
import type { Home } from "../core/topology.ts";

/** What a shard process is told when it starts. */
export type Config = {
  readonly home: Home;
  readonly pod: string;
  /** What the platform calls the pod, other than any of its name before or after; empty where not known. */
  readonly podUid: string;
  readonly clusterId: string;
  /** `namespace/name`. */
  readonly cluster: string;
  readonly info: readonly string[];
  readonly token: Uint8Array;
  /** Where to listen. */
  readonly host: string;
  /** Where others find this process. */
  readonly advertiseHost: string;
  /** 0 takes any free one. */
  readonly ports: {
    readonly client: number;
    readonly replication: number;
    readonly http: number;
    readonly resp: number;
  };
  /** The folder for its data. */
  readonly data: string;
  readonly node: string;
  readonly zone: string;
  readonly logLevel: string;
  /** Whether the container's memory limit is for this process alone. */
  readonly ownContainer: boolean;
  /** How long an owner that is to end waits for another one to take over. */
  readonly handoverMs: number;
  /** How long requests are still served after the signal to end, or after another owner has taken over. */
  readonly drainMs: number;
};

export type Environment = Readonly<Record<string, string | undefined>>;

const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
/** A process that is told to end is gone within 5 s; closing takes up to one. */
const drainMsMax = 4_000;
/** Whoever ends a process has to wait longer than this, and for what comes after it. */
const handoverMsMax = 60_000;

/** Reads the environment. Throws `bad-argument` naming the variable, what it is and what is wanted. */
export const readConfig = (
  env: Environment,
  readFile: (path: string) => Uint8Array = readFileSync,
): Config => {
  const host = optional(env, "EDIS_HOST", "0.0.0.0");
  return {
    home: oneOf(env, "EDIS_ROLE", ["writer", "reader"]),
    pod: required(env, "EDIS_POD"),
    podUid: optional(env, "EDIS_POD_UID", ""),
    clusterId: required(env, "EDIS_CLUSTER_ID"),
    cluster: clusterName(env),
    info: infoUrls(env),
    token: token(env, readFile),
    host,
    advertiseHost: advertised(env, host),
    ports: {
      client: port(env, "EDIS_CLIENT_PORT", 7379),
      replication: port(env, "EDIS_REPLICATION_PORT", 7380),
      http: port(env, "EDIS_HTTP_PORT", 8080),
      resp: port(env, "EDIS_RESP_PORT", 6379),
    },
    data: optional(env, "EDIS_DATA", "/data"),
    node: optional(env, "EDIS_NODE", ""),
    zone: optional(env, "EDIS_ZONE", ""),
    ownContainer: oneOf(env, "EDIS_OWN_CONTAINER", ["0", "1"], "0") === "1",
    logLevel: oneOf(env, "EDIS_LOG_LEVEL", logLevels, "info"),
    handoverMs: integer(env, "EDIS_HANDOVER_MS", { fallback: 10_000, max: handoverMsMax }),
    drainMs: integer(env, "EDIS_DRAIN_MS", { fallback: 1_000, max: drainMsMax }),
  };
};

const optional = (env: Environment, name: string, fallback: string): string => {
  const text = env[name];
  return text === undefined || text === "" ? fallback : text;
};

const required = (env: Environment, name: string): string => {
  const text = optional(env, name, "");
  if (text === "") throw wrong(name, "it is not set");
  return text;
};

const oneOf = <Name extends string>(
  env: Environment,
  name: string,
  ...[names, fallback]: readonly [names: readonly Name[], fallback?: Name]
): Name => {
  const text = optional(env, name, fallback ?? "");
  const found = names.find((one) => one === text);
  if (found === undefined) throw wrong(name, `it is "${text}", wanted is one of ${names.join(", ")}`);
  return found;
};

const integer = (
  env: Environment,
  name: string,
  { fallback, max }: { readonly fallback: number; readonly max: number },
): number => {
  const text = optional(env, name, String(fallback));
  const n = Number(text);
  if (!/^[0-9]+$/.test(text) || n > max)
    throw wrong(name, `it is "${text}", wanted is an integer from 0 to ${max}`);
  return n;
};

const port = (env: Environment, name: string, fallback: number): number =>
  integer(env, name, { fallback, max: 65_535 });

const clusterName = (env: Environment): string => {
  const text = required(env, "EDIS_CLUSTER");
  if (!/^[^/]+\/[^/]+$/.test(text)) throw wrong("EDIS_CLUSTER", `it is "${text}", wanted is namespace/name`);
  return text;
};

const infoUrls = (env: Environment): readonly string[] => {
  const urls = required(env, "EDIS_INFO")
    .split(",")
    .map((url) => url.trim());
  for (const url of urls) {
    if (!URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol))
      throw wrong("EDIS_INFO", `it holds "${url}", wanted are ws://host:port, separated by commas`);
  }
  return urls;
};

const token = (env: Environment, readFile: (path: string) => Uint8Array): Uint8Array => {
  const path = required(env, "EDIS_TOKEN_FILE");
  let bytes: Uint8Array;
  try {
    bytes = readFile(path);
  } catch (error) {
    throw wrong("EDIS_TOKEN_FILE", `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  if (bytes.length === 0) throw wrong("EDIS_TOKEN_FILE", `${path} is empty, wanted is the cluster's token`);
  return bytes;
};

const advertised = (env: Environment, host: string): string => {
  const text = optional(env, "EDIS_ADVERTISE_HOST", host);
  if (text === "0.0.0.0" || text === "::")
    throw wrong(
      "EDIS_ADVERTISE_HOST",
      `others cannot reach ${text}; wanted is this process's own name or address`,
    );
  return text;
};

const wrong = (name: string, what: string, options?: ErrorOptions): EdisError =>
  new EdisError("bad-argument", `Cannot start with ${name}: ${what}`, options);
