import { abortWith } from "../core/abort.ts";
import { backoffMs } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import { EdisError, messageOf } from "../core/errors.ts";
import { slot } from "../core/ids.ts";
import { decodeMessage, encodeMessage, toClientSchema, type ToClient } from "../core/message.ts";
import {
  compareStamps,
  indexTopology,
  patched,
  shardOf,
  type Topology,
  type TopologyIndex,
} from "../core/topology.ts";
import type { Connection } from "../net/connection.ts";
import { RefusedError } from "../net/dial.ts";
import { urlOf } from "./connection.ts";
import { dialMsMax, type Context } from "./identity.ts";

/**
 * Keeps the newest topology: watches one source at a time, the given urls first, else any shard that it knows of. Holds on
 * to the last one while all are away.
 */
export type TopologyWatch = {
  readonly current: () => TopologyIndex | undefined;
  /** A message of any connection; `again` asks that peer for a snapshot. */
  readonly offer: (message: ToClient, again: () => void) => void;
  /** Somebody said that the topology is old: asks the source again, or looks for one at once. */
  readonly refresh: () => void;
  /** Calls `changed` with each newer topology, until the returned function is called. */
  readonly subscribe: (changed: (index: TopologyIndex) => void) => () => void;
};

export type TopologyWatchOptions = Context & {
  /** Info, or shards; with the cluster that is meant there. */
  readonly given: readonly Source[];
  /** All sources were asked and none could serve; why, by url. */
  readonly nobody: (failures: readonly EdisError[]) => void;
};
export type Source = { readonly url: string; readonly cluster: string };

/** Between rounds over all sources. */
const round = { firstMs: 50, maxMs: 2_000 };
/** While a shard is the source, the given urls are tried again this often. */
const givenAgainMs = 5_000;
/** A source that has the topology sends it at once. */
const topologyMsMax = 2_000;
/** A source that stayed as long as this was a good one: the backoff begins anew. */
const goodSourceMs = 5_000;
/** However often it is told to, the source is not asked again sooner. */
const refreshMsMin = 50;

type State = {
  readonly options: TopologyWatchOptions;
  index: TopologyIndex | undefined;
  readonly subscribers: Set<(index: TopologyIndex) => void>;
  source: Connection | undefined;
  wake: () => void;
  askedMs: number;
};

/** Starts to watch; ends when the signal is aborted. */
export const watchTopology = (options: TopologyWatchOptions): TopologyWatch => {
  const state: State = {
    options,
    index: undefined,
    subscribers: new Set(),
    source: undefined,
    wake: () => undefined,
    askedMs: -Infinity,
  };
  run(state).catch((error: unknown) => {
    options.logger.error({ error }, "the topology is watched no more");
  });
  return {
    current: () => state.index,
    offer: (message, again) => {
      offer(state, { message, again, given: false });
    },
    refresh: () => {
      refresh(state);
    },
    subscribe: (changed) => {
      state.subscribers.add(changed);
      return () => {
        state.subscribers.delete(changed);
      };
    },
  };
};

const run = async (state: State): Promise<void> => {
  const { signal, clock, random, given, nobody } = state.options;
  let failures = 0;
  while (!signal.aborted) {
    const startedMs = clock.nowMs();
    const refusals: EdisError[] = [];
    const held =
      (await openFirst(state, { sources: given, given: true, refusals })) ??
      (await openFirst(state, { sources: shardSources(state), given: false, refusals }));
    if (held === undefined) {
      nobody(refusals);
    } else {
      await keep(state, held);
    }
    failures = clock.nowMs() - startedMs > goodSourceMs ? 1 : failures + 1;
    await nap(state, backoffMs(round, failures, random()));
  }
};

/** Waits until the source ends. One that was not given is left as soon as a given one is back. */
const keep = async (state: State, first: Held): Promise<void> => {
  const { clock, given } = state.options;
  let held = first;
  while (!held.given) {
    if (await endsWithin(held, givenAgainMs, clock)) return;
    const better = await openFirst(state, { sources: given, given: true, refusals: [] });
    if (better === undefined) continue;
    held.connection.cut();
    held = better;
  }
  await held.ended;
};

const endsWithin = async ({ ended }: Held, ms: number, clock: Clock): Promise<boolean> => {
  const over = new AbortController();
  const first = await Promise.race([
    ended.then(() => true),
    clock.sleep(ms, over.signal).then(
      () => false,
      () => true,
    ),
  ]);
  over.abort();
  return first;
};

type Held = { readonly connection: Connection; readonly ended: Promise<void>; readonly given: boolean };
type Round = {
  readonly sources: readonly Source[];
  readonly given: boolean;
  readonly refusals: EdisError[];
};

/** The first source that sends a topology. Follows a refusal that names the leader. */
const openFirst = async (state: State, { sources, given, refusals }: Round): Promise<Held | undefined> => {
  const left = [...sources];
  const seen = new Set<string>();
  for (let source = left.shift(); source !== undefined; source = left.shift()) {
    if (state.options.signal.aborted) return undefined;
    if (seen.has(source.url)) continue;
    seen.add(source.url);
    try {
      return await open(state, source, given);
    } catch (error) {
      const { url, cluster } = source;
      state.options.logger.debug({ url, reason: messageOf(error) }, "no topology there");
      if (error instanceof RefusedError && error.leader !== "") left.unshift({ url: error.leader, cluster });
      refusals.push(
        error instanceof EdisError
          ? error
          : new EdisError("unreachable", `Cannot reach ${url}: ${messageOf(error)}`, { cause: error }),
      );
    }
  }
  return undefined;
};

const open = async (state: State, { url, cluster }: Source, given: boolean): Promise<Held> => {
  const { clock } = state.options;
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let told: (error?: EdisError) => void = () => undefined;
  const first = new Promise<void>((resolve, reject) => {
    told = (error) => {
      if (error === undefined) resolve();
      else reject(error);
    };
  });
  // It is awaited only once the connection is open; a failure before that has its own way out.
  first.catch(() => undefined);
  const connection = await state.options.network.dial({
    ...state.options,
    url,
    role: "client",
    cluster,
    to: "",
    token: null,
    timeoutMs: dialMsMax,
    opened: (opened) => ({
      message: (bytes) => {
        const message = readable(opened, bytes);
        if (message === undefined) return;
        const again = (): void => {
          opened.send(encodeMessage({ kind: "watch" }));
        };
        offer(state, { message, again, given });
        if (message.kind === "topology") told();
        if (message.kind === "failure") told(new RefusedError(message.code, message.message, ""));
        if (message.kind === "leaving") opened.cut();
      },
      closed: () => {
        told(new EdisError("unreachable", `Cannot watch ${url}: it closed the connection`));
        if (state.source === opened) state.source = undefined;
        end();
      },
    }),
  });
  connection.send(encodeMessage({ kind: "watch" }));
  const cancel = clock.after(topologyMsMax, () => {
    told(new EdisError("no-topology", `Cannot watch ${url}: it has no topology yet; try again`));
  });
  try {
    await first;
  } catch (error) {
    connection.cut();
    throw error;
  } finally {
    cancel();
  }
  state.source = connection;
  return { connection, ended, given };
};

/** A source that sends nonsense is told so and left: its own goodbye is not waited for. */
const readable = (from: Connection, bytes: Uint8Array): ToClient | undefined => {
  try {
    return decodeMessage(toClientSchema, bytes);
  } catch (error) {
    if (!(error instanceof EdisError)) throw error;
    from.close(error);
    from.cut();
    return undefined;
  }
};

/** Shards that hold a topology, in any order. */
const shardSources = ({ index, options }: State): Source[] =>
  (index?.topology.members ?? [])
    .filter(({ state }) => state !== "leaving")
    .map((member) => ({ member, order: options.random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, shardsPerRoundMax)
    .map(({ member }) => ({ url: urlOf(member.address), cluster: index?.topology.clusterId ?? "" }));

/** With hundreds of shards away, the given urls have their turn again before all of them were tried. */
const shardsPerRoundMax = 16;

type Offered = { readonly message: ToClient; readonly again: () => void; readonly given: boolean };

const offer = (state: State, { message, again, given }: Offered): void => {
  const held = state.index?.topology;
  if (message.kind === "topology") {
    const { topology } = message;
    if (held === undefined || (held.clusterId === topology.clusterId && compareStamps(topology, held) > 0)) {
      take(state, topology);
    } else if (held.clusterId !== topology.clusterId && given) {
      // The cluster was deleted and made again under its name: what was known of the old one is void.
      take(state, topology);
    }
  } else if (message.kind === "change" && held?.clusterId === message.change.clusterId) {
    if (compareStamps(message.change.to, held) <= 0) return;
    const next = patched(held, message.change);
    if (next === undefined) again();
    else take(state, next);
  }
};

const take = (state: State, topology: Topology): void => {
  const index = indexTopology(topology, state.index);
  // Now, as every operation asks where its slot is: what one of them had to do first would be new to code that is compiled for all.
  shardOf(index, slot(0));
  state.index = index;
  for (const changed of [...state.subscribers]) changed(index);
};

const refresh = (state: State): void => {
  const nowMs = state.options.clock.nowMs();
  if (nowMs - state.askedMs < refreshMsMin) return;
  state.askedMs = nowMs;
  if (state.source === undefined) state.wake();
  else state.source.send(encodeMessage({ kind: "watch" }));
};

/** Sleeps, less long if somebody needs a topology. */
const nap = async (state: State, ms: number): Promise<void> => {
  const { clock, signal } = state.options;
  const shortMs = Math.min(ms, refreshMsMin);
  await clock.sleep(shortMs, signal).catch(() => undefined);
  if (signal.aborted) return;
  const woken = new AbortController();
  state.wake = () => {
    woken.abort();
  };
  const release = abortWith(woken, signal);
  await clock.sleep(ms - shortMs, woken.signal).catch(() => undefined);
  release();
};
