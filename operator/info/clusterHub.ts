import type { Clock } from "../../core/clock.ts";
import { EdisError } from "../../core/errors.ts";
import type { ShardId, Term } from "../../core/ids.ts";
import {
  decodeMessage,
  encodeMessage,
  fromClientSchema,
  type Hello,
  type ToTool,
} from "../../core/message.ts";
import type { Forecast, PlanAsked } from "../../core/tools.ts";
import type { Shard } from "../../core/topology.ts";
import type { Connection, Handlers } from "../../net/connection.ts";
import type { Ownership, ShardMemory } from "../plan/model.ts";
import { createAudience } from "./audience.ts";
import { createGrants, type Grants } from "./grants.ts";
import { createNews, type News } from "./news.ts";
import { createPhases } from "./phases.ts";
import type { Announced } from "./publish.ts";
import { createSessions, type Sessions } from "./sessions.ts";

export type Identity = {
  readonly clusterId: string;
  /** `namespace/name`. */
  readonly cluster: string;
  readonly token: Uint8Array;
};

/** What info knows of one cluster, and whom it tells. */
export type ClusterHub = {
  readonly identity: Identity;
  readonly sessions: Sessions;
  readonly news: Pick<News, "topology">;
  /** What was read or written holds: tells it, and grants by it. */
  readonly publish: (ownership: Ownership, announced: Announced) => void;
  /** See Grants. */
  readonly hold: Grants["hold"];
  readonly memory: () => ReadonlyMap<ShardId, ShardMemory>;
  readonly openShard: (connection: Connection, hello: Hello) => Handlers;
  readonly openClient: (connection: Connection) => Handlers;
  readonly clients: () => number;
  readonly close: (reason: EdisError) => void;
};

export type ClusterHubOptions = {
  readonly identity: Identity;
  readonly term: Term;
  readonly mayGrant: () => boolean;
  readonly clock: Clock;
  /** What a change would do. */
  readonly plan: (asked: PlanAsked) => Forecast;
  /** A session came, went, or does something else. */
  readonly changed: () => void;
};

/** Joins the parts: sessions come in, the topology goes out to them and to clients that watch. */
export const createClusterHub = (options: ClusterHubOptions): ClusterHub => {
  const { identity, term, clock, changed } = options;
  const audience = createAudience();
  const grants = createGrants(clock, options.mayGrant);
  const phases = createPhases(clock);
  let shards: readonly Shard[] = [];
  const clients = new Set<Connection>();
  const sessions: Sessions = createSessions(clock, {
    changed: () => {
      news.soon();
      changed();
    },
    reported: (session) => {
      news.reported(session);
    },
    answer: grants.answer,
  });
  const news = createNews({
    ...{ ...identity, term, clock, sessions: sessions.list },
    tell: (topology, change) => {
      audience.tell(topology, change);
      phases.told(topology);
    },
  });
  return {
    identity,
    sessions,
    news,
    publish: (ownership, announced) => {
      ({ shards } = ownership);
      phases.publish(shards);
      grants.publish(shards);
      news.publish(ownership, announced);
    },
    hold: grants.hold,
    memory: () => new Map(shards.map(({ id }) => [id, { ...phases.of(id), grantMs: grants.sinceMs(id) }])),
    openShard: (connection, hello) => {
      const { message, closed } = sessions.open(connection, hello);
      audience.join(connection);
      return {
        message,
        drained: () => {
          audience.drained(connection);
        },
        closed: () => {
          audience.leave(connection);
          closed();
        },
      };
    },
    openClient: (connection) => openClient(connection, { clients, audience, plan: options.plan }),
    clients: () => clients.size,
    close: (reason) => {
      news.stop();
      sessions.close(reason);
      closeAll(clients, reason);
    },
  };
};

const closeAll = (connections: Set<Connection>, reason: EdisError): void => {
  for (const connection of connections) connection.close(reason);
  connections.clear();
};

type Clients = {
  readonly clients: Set<Connection>;
  readonly audience: ReturnType<typeof createAudience>;
  readonly plan: ClusterHubOptions["plan"];
};

const openClient = (connection: Connection, around: Clients): Handlers => {
  const { clients, audience } = around;
  clients.add(connection);
  return {
    message: (frame) => {
      heardOfClient(connection, frame, around);
    },
    drained: () => {
      audience.drained(connection);
    },
    closed: () => {
      clients.delete(connection);
      audience.leave(connection);
    },
  };
};

const heardOfClient = (connection: Connection, frame: Uint8Array, { audience, plan }: Clients): void => {
  const message = decodeMessage(fromClientSchema, frame);
  switch (message.kind) {
    case "watch":
      audience.join(connection);
      return;
    case "plan":
      connection.send(encodeMessage(planned(message, plan)));
      return;
    case "ask":
    case "digest":
      throw new EdisError("wrong-role", "Cannot report: this is an info instance; ask a shard");
  }
};

const planned = (asked: PlanAsked, plan: Clients["plan"]): ToTool => {
  const { id } = asked;
  try {
    return { kind: "planned", id, forecast: plan(asked) };
  } catch (error) {
    if (!(error instanceof EdisError)) throw error;
    return { kind: "unanswered", id, code: error.code, message: error.message };
  }
};
