import type { Clock } from "../core/clock.ts";
import { EdisError } from "../core/errors.ts";
import { frameBytesMax } from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import type { Hello, Register, Report, Role as PeerRole } from "../core/message.ts";
import type { Address } from "../core/topology.ts";
import { serveHttp } from "../net/http.ts";
import { listen, type Admission, type Listener } from "../net/listen.ts";
import type { Config } from "./config.ts";
import { containerBytes } from "./container.ts";
import { createCounters } from "./counters.ts";
import { createFront, type Front } from "./front/front.ts";
import { listenResp, type RespListener } from "./front/resp/server.ts";
import { healthRoutes } from "./health.ts";
import { startInfoSession, type InfoSession } from "./info.ts";
import { createJournal } from "./journal.ts";
import { unlimited } from "./memory.ts";
import { createPublisher, type Publisher } from "./replication/publisher.ts";
import { reportOf } from "./report.ts";
import { createRoles, type Roles } from "./roles.ts";
import { createSegmentStore } from "./store/segmentStore.ts";
import type { Store } from "./store/store.ts";
import { createTopologyKeeper } from "./topology.ts";
import { createVolume } from "./volume.ts";

/** One shard process: its ports are open and it has begun to look for info. */
export type Shard = {
  readonly address: Address;
  /** Says that it ends, serves on for a while, then closes everything. */
  readonly end: () => Promise<void>;
};

export type Rim = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly incarnation: string;
  /** Nothing that was answered can be relied on any more: the process has to end. */
  readonly failed: (error: unknown) => void;
};

/** Starts the process's parts and ties them together. Rejects where a port is taken or the volume cannot be used. */
export const startShard = async (config: Config, rim: Rim): Promise<Shard> => {
  const { clock, logger, random, incarnation, failed } = rim;
  const { home, clusterId, token } = config;
  const self = { pod: config.pod, incarnation };
  const counters = createCounters();
  const usage = unlimited();
  let leaving = false;

  const publisher = createPublisher({ clock, logger, counters });
  const createStore = (): Store =>
    createSegmentStore({ seed: { low: random() * 2 ** 32, high: random() * 2 ** 32 } });
  const roles: Roles = createRoles({
    ...{ clusterId, self, home, token, clock, random, logger, counters, publisher, createStore, failed },
    ...{ usage, containerBytes: config.ownContainer ? containerBytes() : null },
    journal: createJournal(),
    open: (shard) => volume.open(shard),
    whole: (shard) => {
      volume.keepOnly(shard);
    },
    changed: () => {
      session?.reportSoon();
    },
  });
  const volume = createVolume({
    ...{ folder: config.data, clusterId, clock, logger, createStore, events: roles.logEvents },
    fsync: () => topology.current()?.topology.settings.fsync ?? "everysec",
  });
  const report = (): Report =>
    reportOf({ ...self, home, leaving }, roles, { readers: publisher.readers(), nowMs: clock.nowMs() });
  const topology = createTopologyKeeper({
    ...{ clusterId, logger },
    changed: (before, after) => {
      roles.follow(after);
      front.topologyChanged(before, after.topology);
    },
  });
  const front = createFront({ roles, counters, report, topology: topology.current });

  const ports = await openPorts(config, rim, { front, publisher });
  const resp = await listenResp({
    ...{ host: config.host, port: config.ports.resp, clock, random, logger, self, clusterId },
    ...{ roles, topology: topology.current, report, processCounters: counters },
  });
  const http = await serveHttp({
    ...{ host: config.host, port: config.ports.http, logger },
    routes: healthRoutes({
      ...{ report, counters, ports, resp, usage },
      store: () => roles.held()?.holding.store ?? null,
      lagMsMax: () => topology.current()?.topology.lagMsMax,
      registered: () => session?.isConnected() ?? false,
    }),
  });
  // Nobody is told of this process before it knows what it holds.
  const found = await volume.found();
  if (found !== null) roles.keep(await volume.open(found));
  const address = addressAt(config.advertiseHost, { ...ports, http, resp });
  const register = registerOf(config, address);
  const session: InfoSession | undefined = startInfoSession({
    ...{ urls: config.info, clusterId, self, token, register, report, topology, clock, random, logger },
  });
  logger.info({ ...address, home }, "shard process started");

  return {
    address,
    end: async () => {
      leaving = true;
      session.reportSoon();
      await end({ front, publisher, roles, resp, ports, clock }, config.drainMs);
      const open = [...Object.values(ports), resp, http];
      await Promise.all([session.stop(), ...open.map((port) => port.close())]);
      logger.info({}, "shard process ended");
    },
  };
};

const registerOf = ({ home, node, zone }: Config, address: Address): Register => ({
  kind: "register",
  ...{ home, address, node, zone, uid: "", startedAtMs: 0 },
});

type Serving = {
  readonly front: Front;
  readonly publisher: Publisher;
  readonly roles: Roles;
  readonly resp: RespListener;
  readonly ports: Ports;
  readonly clock: Clock;
};

/** Tells everybody, serves on for a while, and then nobody any more. */
const end = async (
  { front, publisher, roles, resp, ports, clock }: Serving,
  drainMs: number,
): Promise<void> => {
  front.leaving();
  publisher.leaving();
  await clock.sleep(drainMs);
  const listeners = [...Object.values(ports), resp];
  for (const port of listeners) port.stopAccepting();
  front.close();
  resp.end();
  // Readers get what was acknowledged last.
  await waitFor(publisher.isCaughtUp, clock);
  await roles.stop();
  await waitFor(() => listeners.every((port) => port.connections() === 0), clock);
};

const addressAt = (
  host: string,
  {
    client,
    replication,
    http,
    resp,
  }: Readonly<Record<"client" | "replication" | "http" | "resp", { port: number }>>,
): Address => ({
  host,
  client: client.port,
  replication: replication.port,
  http: http.port,
  resp: resp.port,
});

type Ports = { readonly client: Listener; readonly replication: Listener };

const openPorts = async (
  { host, ports, pod, clusterId, cluster, token }: Config,
  { clock, logger, incarnation }: Rim,
  { front, publisher }: { readonly front: Front; readonly publisher: Publisher },
): Promise<Ports> => {
  const admit =
    (roles: readonly PeerRole[], asked: Uint8Array | null) =>
    (hello: Hello): Admission => {
      if (!roles.includes(hello.role))
        throw new EdisError(
          "wrong-role",
          `Cannot admit a ${hello.role} at this port: it is for ${roles.join(" and ")} connections`,
        );
      // A client that was given this address and no name means whatever cluster is here.
      const named = hello.role !== "client" || hello.cluster !== "";
      if (named && hello.cluster !== clusterId && hello.cluster !== cluster)
        throw new EdisError(
          "wrong-cluster",
          `Cannot answer for cluster ${hello.cluster}: this is ${cluster}`,
        );
      return { clusterId, cluster, token: asked };
    };
  const common = { host, clock, logger, self: { pod, incarnation } };
  const client = await listen({
    ...{ ...common, port: ports.client, opened: front.opened },
    // Client passwords come later; until then a client needs no proof.
    admit: admit(["client"], null),
    limits: { frameBytesMax },
  });
  const replication = await listen({
    ...{ ...common, port: ports.replication, opened: publisher.opened },
    admit: admit(["reader", "writer"], token),
    // A reader that takes nothing must still be heard; the publisher does not run ahead of it.
    pace: false,
  });
  return { client, replication };
};

const closingMsMax = 400;

/** Waits for peers to do their part, but not for ever. */
const waitFor = async (holds: () => boolean, clock: Clock): Promise<void> => {
  const untilMs = clock.nowMs() + closingMsMax;
  while (!holds() && clock.nowMs() < untilMs) await clock.sleep(10);
};
