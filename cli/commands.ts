import type { BatchResult, Client, SetOptions } from "../client/index.ts";
import { EdisError } from "../core/errors.ts";
import { exitCodes, exitCodeOf } from "./exit.ts";
import { jsonValue, shown, writeFailure, type Output } from "./output.ts";
import type { Settings } from "./settings.ts";
import { reportsOf, topologyTable } from "./topology.ts";

/** What a command needs. Each command writes its result and returns the exit code. */
export type Shell = {
  readonly client: () => Promise<Client>;
  readonly settings: Settings;
  readonly output: Output;
};

export const get = async (shell: Shell, key: string): Promise<number> => {
  const client = await shell.client();
  const { value, place, lagMs } = await client.getEntry(key, {
    consistency: shell.settings.consistency,
    timeoutMs: shell.settings.timeoutMs,
  });
  if (shell.settings.output === "json") writeJson(shell, { key, ...jsonValue(value), ...place, lagMs });
  else writeValue(shell, value);
  return value === null ? exitCodes.no : exitCodes.ok;
};

export const set = async (
  shell: Shell,
  [key, value]: readonly [string, string | Uint8Array],
  options: SetOptions,
): Promise<number> => {
  const client = await shell.client();
  const applied = await client.set(key, value, { ...options, timeoutMs: shell.settings.timeoutMs });
  if (shell.settings.output === "json") writeJson(shell, { key, applied });
  else shell.output.write(applied ? "OK\n" : "not set: the condition does not hold\n");
  return applied ? exitCodes.ok : exitCodes.no;
};

export const del = async (shell: Shell, keys: readonly string[]): Promise<number> => {
  const client = await shell.client();
  const results = await client.batch(
    keys.map((key) => ({ kind: "delete", key })),
    { timeoutMs: shell.settings.timeoutMs },
  );
  const deleted = results.filter((result) => result.kind === "deleted" && result.existed).length;
  if (shell.settings.output === "json") writeJson(shell, { deleted });
  else shell.output.write(`${deleted}\n`);
  return failureIn(shell, results) ?? (deleted > 0 ? exitCodes.ok : exitCodes.no);
};

export const incr = async (shell: Shell, key: string, by: number): Promise<number> => {
  const client = await shell.client();
  const value = await client.increment(key, by, { timeoutMs: shell.settings.timeoutMs });
  if (shell.settings.output === "json") writeJson(shell, { key, value });
  else shell.output.write(`${value}\n`);
  return exitCodes.ok;
};

export const mget = async (shell: Shell, keys: readonly string[]): Promise<number> => {
  const { consistency, timeoutMs } = shell.settings;
  const client = await shell.client();
  const results = await client.batch(
    keys.map((key) => ({ kind: "get", key, consistency })),
    { timeoutMs },
  );
  const failure = failureIn(shell, results);
  if (failure !== undefined) return failure;
  const values = results.map((result) => (result.kind === "value" ? result.value : null));
  if (shell.settings.output === "json") {
    writeJson(
      shell,
      values.map((value, i) => ({ key: keys[i], ...jsonValue(value) })),
    );
  } else {
    for (const value of values) writeValue(shell, value);
  }
  return values.includes(null) ? exitCodes.no : exitCodes.ok;
};

export const mset = async (shell: Shell, words: readonly string[]): Promise<number> => {
  if (words.length % 2 !== 0) {
    throw new EdisError(
      "bad-argument",
      "Cannot set an odd number of words: wanted is KEY VALUE, as often as you like",
    );
  }
  const client = await shell.client();
  const results = await client.batch(
    Array.from({ length: words.length / 2 }, (_, i) => ({
      kind: "set",
      key: words[2 * i] ?? "",
      value: words[2 * i + 1] ?? "",
    })),
    { timeoutMs: shell.settings.timeoutMs },
  );
  const applied = results.filter(({ kind }) => kind === "set").length;
  if (shell.settings.output === "json") writeJson(shell, { applied });
  else shell.output.write(`${applied}\n`);
  return failureIn(shell, results) ?? exitCodes.ok;
};

export const topology = async (shell: Shell): Promise<number> => {
  const client = await shell.client();
  const reports = await reportsOf(client, Math.min(2_000, shell.settings.timeoutMs));
  if (shell.settings.output === "json")
    writeJson(shell, { topology: client.topology(), reports: [...reports.values()].filter(Boolean) });
  else shell.output.write(topologyTable(client.topology(), reports));
  return exitCodes.ok;
};

/** Whether every owner answers. */
export const ping = async (shell: Shell): Promise<number> => {
  const client = await shell.client();
  const { cluster, shards } = client.topology();
  const reports = await reportsOf(client, shell.settings.timeoutMs);
  const silent = shards.filter(({ id }) => reports.get(id) === undefined);
  if (shell.settings.output === "json") {
    writeJson(shell, { cluster, shards: shards.length, silent: silent.map(({ id }) => id) });
  } else {
    shell.output.write(`${cluster}: ${shards.length - silent.length} of ${shards.length} owners answer\n`);
    for (const { id, owner } of silent) shell.output.write(`shard ${id}: ${owner?.pod ?? "no owner yet"}\n`);
  }
  return silent.length === 0 && shards.length > 0 ? exitCodes.ok : exitCodes.unreachable;
};

const writeJson = ({ output }: Shell, value: unknown): void => {
  output.write(`${JSON.stringify(value)}\n`);
};

/** Nothing is written for a key that is not there, but a word on a terminal. */
const writeValue = ({ output }: Shell, value: Uint8Array | null): void => {
  if (value === null) {
    output.write(output.isTerminal ? "(not there)\n" : "\n");
  } else if (output.isTerminal) {
    output.write(`${shown(value)}\n`);
  } else {
    output.write(value);
    output.write("\n");
  }
};

/** Says the first error of a batch, and how many there are. */
const failureIn = (shell: Shell, results: readonly BatchResult[]): number | undefined => {
  const errors = results.flatMap((result) => (result.kind === "error" ? [result.error] : []));
  const [first] = errors;
  if (first === undefined) return undefined;
  writeFailure(first, shell);
  if (errors.length > 1)
    shell.output.writeError(`      ${errors.length} of ${results.length} operations failed\n`);
  return exitCodeOf(errors.find(({ next }) => next === "unknown") ?? first);
};
