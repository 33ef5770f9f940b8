import type { Clock } from "../core/clock.ts";
import { systemClock } from "../core/clock.ts";
import { EdisError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { Report } from "../core/message.ts";
import type { Topology } from "../core/topology.ts";
import { systemNetwork, type Network } from "../net/network.ts";
import { createCalls, type Calls } from "./calls.ts";
import { createDispatcher, type Dispatcher } from "./dispatcher.ts";
import { newSelf, silentLogger, systemRandom, type Context } from "./identity.ts";
import type { Consistency } from "./operation.ts";
import { createPlaces, decodeToken, encodeToken, type Places } from "./session.ts";
import { watchTopology, type Source, type TopologyWatch } from "./topology.ts";

export type { BatchResult, Entry } from "./calls.ts";
export type { Data } from "./data.ts";
export type {
  BatchOperation,
  CallOptions,
  Consistency,
  GetOptions,
  ReadChoice,
  SetOptions,
  WriteChoice,
} from "./operation.ts";
export { EdisError, type ErrorCode, type Next } from "../core/errors.ts";
export type { Report } from "../core/message.ts";
export type { Place } from "../core/request.ts";
export type { Member, Shard, Topology } from "../core/topology.ts";

export type ConnectOptions = {
  /**
   * Where to find the cluster: `ws://host:port` of info, or of the client port of any of its shards; several are tried
   * in turn. `ws://host:port/namespace/name` names the cluster as well.
   */
  readonly info: string | readonly string[];
  /** `namespace/name`, or the UID; not needed where info knows only one. */
  readonly cluster?: string | undefined;
  /** Of reads that do not say; `eventual` by default. */
  readonly consistency?: Consistency | undefined;
  /** Of eventual reads that do not say; the cluster's own bound by default. Milliseconds. */
  readonly lagMsMax?: number | undefined;
  /** How long a call tries in all; 5,000 by default. */
  readonly timeoutMs?: number | undefined;
  /** How long to look for the cluster; as `timeoutMs` by default. 0 asks every url once. */
  readonly connectMs?: number | undefined;
  /** A token to go on from: what another client's `token()` gave. */
  readonly session?: string | undefined;
  /** Gives up connecting. */
  readonly signal?: AbortSignal | undefined;
  /** Silent by default. */
  readonly logger?: Logger | undefined;
  readonly clock?: Clock | undefined;
  /** Another way to reach the cluster than websockets. */
  readonly network?: Pick<Network, "dial"> | undefined;
  /** In [0, 1); for jitter. */
  readonly random?: (() => number) | undefined;
};

/** Calls that share a place: a `session` read never shows less than what this session wrote or read before. */
export type Session = Calls & {
  /** The session so far as text; another process goes on from it with `connect({ session })` or `session(token)`. */
  readonly token: () => string;
};

/** One cluster. The client is itself a session. */
export type Client = Session & {
  /** A session of its own; from `token`, if one is given. Throws `bad-argument` for a token of another cluster. */
  readonly session: (token?: string) => Session;
  /** The newest topology. */
  readonly topology: () => Topology;
  /** Calls `changed` with each newer topology until the returned function is called. */
  readonly watch: (changed: (topology: Topology) => void) => () => void;
  /** Asks one pod how it is doing. */
  readonly report: (pod: string) => Promise<Report>;
  /** Ends all connections; calls under way are rejected. The process can exit then. */
  readonly close: () => void;
};

const timeoutMsDefault = 5_000;

/**
 * Finds the cluster and its topology. Rejects with `bad-argument`, with what all urls refused it for (`unknown-cluster`,
 * `ambiguous-cluster`, …), or with `unreachable` or `no-topology` once the time is over.
 */
export const connect = async (options: ConnectOptions): Promise<Client> => {
  const given = sourcesOf(options);
  const ending = new AbortController();
  const context: Context = {
    network: options.network ?? systemNetwork,
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
    random: options.random ?? systemRandom,
    self: newSelf(),
    signal: ending.signal,
  };
  let watch: TopologyWatch | undefined;
  try {
    watch = await firstTopology(context, given, options);
    const topology = watch;
    const dispatcher = createDispatcher({ ...context, topology });
    return clientOf({ context, topology, dispatcher, options, ending });
  } catch (error) {
    ending.abort();
    throw error;
  }
};

const sourcesOf = ({ info, cluster }: ConnectOptions): Source[] => {
  const urls = typeof info === "string" ? [info] : info;
  if (urls.length === 0)
    throw new EdisError("bad-argument", "Cannot connect: info is empty; wanted is ws://host:port");
  return urls.map((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const path = decodeURIComponent(url?.pathname.replace(/^\/|\/$/g, "") ?? "");
    const isSound = url !== undefined && /^wss?:$/.test(url.protocol) && /^([^/]+\/[^/]+)?$/.test(path);
    if (!isSound) {
      throw new EdisError(
        "bad-argument",
        `Cannot connect to ${JSON.stringify(text)}: wanted is ws://host:port or ws://host:port/namespace/name`,
      );
    }
    return { url: `${url.protocol}//${url.host}`, cluster: cluster ?? path };
  });
};

const firstTopology = async (
  context: Context,
  given: readonly Source[],
  options: ConnectOptions,
): Promise<TopologyWatch> => {
  const { clock, signal: ending } = context;
  const patienceMs = options.connectMs ?? options.timeoutMs ?? timeoutMsDefault;
  options.signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    let last: EdisError | undefined;
    const fail = (error: EdisError): void => {
      settled();
      reject(error);
    };
    const cancel = clock.after(patienceMs, () => {
      if (patienceMs > 0)
        fail(
          last ??
            new EdisError("unreachable", `Cannot find the cluster within ${patienceMs} ms: no answer yet`),
        );
    });
    const aborted = (): void => {
      const cause: unknown = options.signal?.reason;
      fail(new EdisError("aborted", "Cannot connect: the caller gave it up", { cause }));
    };
    options.signal?.addEventListener("abort", aborted);
    const topology = watchTopology({
      ...context,
      given,
      nobody: (failures) => {
        last = failures.find(({ next }) => next === "fix") ?? failures.at(-1);
        const hopeless = failures.every(({ next }) => next === "fix");
        if (last !== undefined && (hopeless || patienceMs === 0) && !ending.aborted) fail(last);
      },
    });
    const unsubscribe = topology.subscribe(() => {
      settled();
      resolve(topology);
    });
    const settled = (): void => {
      cancel();
      unsubscribe();
      options.signal?.removeEventListener("abort", aborted);
    };
  });
};

type Parts = {
  readonly context: Context;
  readonly topology: TopologyWatch;
  readonly dispatcher: Dispatcher;
  readonly options: ConnectOptions;
  readonly ending: AbortController;
};

const clientOf = ({ context, topology, dispatcher, options, ending }: Parts): Client => {
  const current = (): Topology => {
    const index = topology.current();
    if (index === undefined) throw new EdisError("no-topology", "No topology is known");
    return index.topology;
  };
  const sessionOf = (places: Places): Session => ({
    ...createCalls({
      places,
      clock: context.clock,
      dispatcher,
      defaults: { consistency: options.consistency, lagMsMax: options.lagMsMax },
      timeoutMs: options.timeoutMs ?? timeoutMsDefault,
    }),
    token: () => encodeToken(current().clusterId, places),
  });
  const placesOf = (token: string | undefined): Places =>
    token === undefined ? createPlaces(current().clusterId) : decodeToken(current().clusterId, token);
  return {
    ...sessionOf(placesOf(options.session)),
    session: (token) => sessionOf(placesOf(token)),
    topology: current,
    watch: (changed) =>
      topology.subscribe((index) => {
        changed(index.topology);
      }),
    report: dispatcher.report,
    close: () => {
      dispatcher.close();
      ending.abort();
    },
  };
};
