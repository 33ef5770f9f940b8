import { EdisError, messageOf } from "../../core/errors.ts";
import type { Clock } from "../../core/clock.ts";
import type { ShardId, Term } from "../../core/ids.ts";
import type { Logger } from "../../core/logger.ts";
import type { Forecast, PlanAsked } from "../../core/tools.ts";
import type { PodRef, Topology } from "../../core/topology.ts";
import type { Network } from "../../net/network.ts";
import type { Departed, Ownership, Session, ShardMemory } from "../plan/model.ts";
import type { ShardClusterStatus } from "../shardCluster.ts";
import type { Identity } from "./clusterHub.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import type { Announced } from "./publish.ts";
import { pagesOf } from "./pages.ts";
import { createRegistry, sweepMs } from "./registry.ts";

/** Where the operator that leads is found: urls of its two ports. */
export type Leader = { readonly info: string; readonly http: string };

/** The info instance: knows every shard process of every cluster and tells everybody the topology. */
export type Info = {
  readonly infoPort: number;
  readonly httpPort: number;
  /** Begins to serve, knowing nothing yet, in this term. Owners are granted leases while `mayGrant` says so: it leads, by its own clock, now. */
  readonly lead: (term: Term, mayGrant: () => boolean) => void;
  /** Stands by: everybody is sent to the leader, where one is known. */
  readonly follow: (leader: Leader | null) => void;
  /** Hears of each cluster (by key) whose sessions changed. One listener. */
  readonly onChange: (changed: (key: string) => void) => void;
  /** Answers clients that ask what a change would do; null: nobody does. */
  readonly onPlan: (answer: ((key: string, asked: PlanAsked) => Forecast) | null) => void;
  /** Admits the cluster's shards and clients from now on. Idempotent. */
  readonly open: (identity: Identity) => void;
  readonly remove: (key: string) => void;
  readonly sessions: (key: string) => readonly Session[];
  readonly departed: (key: string) => readonly Departed[];
  readonly memory: (key: string) => ReadonlyMap<ShardId, ShardMemory>;
  /** To be called before a write that ends what these owners have: they are granted nothing until the next publish. */
  readonly hold: (key: string, shards: readonly ShardId[]) => void;
  readonly topology: (key: string) => Topology | null;
  readonly publish: (key: string, ownership: Ownership, announced: Announced) => void;
  /** For the pages. */
  readonly show: (key: string, status: ShardClusterStatus) => void;
  readonly views: () => readonly ClusterView[];
  readonly leadingMs: () => number;
  readonly metrics: Metrics;
  readonly close: () => Promise<void>;
};

export type ClusterView = {
  readonly key: string;
  readonly topology: Topology | null;
  readonly sessions: readonly Session[];
  readonly status: ShardClusterStatus | null;
  readonly watchers: number;
};

export type InfoOptions = {
  readonly self: PodRef;
  readonly host: string;
  readonly infoPort: number;
  readonly httpPort: number;
  readonly network: Network;
  readonly clock: Clock;
  readonly logger: Logger;
};

/** Opens both ports and stands by. Rejects where a port is taken. */
export const startInfo = async (options: InfoOptions): Promise<Info> => {
  const { network, clock, logger, self, host } = options;
  const registry = createRegistry(clock);
  const metrics = createMetrics({
    clusters: registry.views,
    leads: () => registry.leading() !== null,
    refusals: () => listener.refusals,
    connections: () => listener.connections(),
  });
  const listener = await network
    .listen({
      host,
      port: options.infoPort,
      clock,
      logger,
      self,
      admit: registry.admit,
      opened: (connection, hello) => {
        const hub = registry.find(hello);
        return hello.role === "client" ? hub.openClient(connection) : hub.openShard(connection, hello);
      },
    })
    .catch((error: unknown) => {
      throw portError(error, "info", options.infoPort);
    });
  const http = await network
    .serveHttp({
      host,
      port: options.httpPort,
      logger,
      routes: pagesOf({ views: registry.views, leading: registry.leading, leader: registry.leader, metrics }),
    })
    .catch(async (error: unknown) => {
      await listener.close();
      throw portError(error, "http", options.httpPort);
    });
  const stopSweep = clock.every(sweepMs, registry.sweep);
  return {
    ...registry,
    infoPort: listener.port,
    httpPort: http.port,
    metrics,
    close: async () => {
      stopSweep();
      registry.follow(null);
      await Promise.all([listener.close(), http.close()]);
    },
  };
};

const portError = (error: unknown, what: string, port: number): EdisError =>
  new EdisError("bad-argument", `Cannot open the ${what} port ${port}: ${messageOf(error)}`, {
    cause: error,
  });
