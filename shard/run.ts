import type { Clock } from "../core/clock.ts";
import { EdisError } from "../core/errors.ts";
import { frameBytesMax } from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import type { Hello, Register, Report, Role as PeerRole } from "../core/message.ts";
import type { Address } from "../core/topology.ts";
import type { HttpServer } from "../net/http.ts";
import type { Admission, Listener, ListenOptions } from "../net/listen.ts";
import type { Network } from "../net/network.ts";
import type { Config } from "./config.ts";
import { containerBytes } from "./container.ts";
import { createCounters, type Counters } from "./counters.ts";
import { createDigests, servedHolding } from "./digests.ts";
import { endShard } from "./ending.ts";
import { createFront, type Front } from "./front/front.ts";
import { listenResp, type RespListener } from "./front/resp/server.ts";
import { healthRoutes } from "./health.ts";
import { startInfoSession, type InfoSession } from "./info.ts";
import { createJournal } from "./journal.ts";
import type { Disk } from "./log/disk.ts";
import { usualLimits, type LogLimits } from "./log/logLimits.ts";
import { unlimited, type Usage } from "./memory.ts";
import { createMoves, type Moves } from "./moves/moves.ts";
import { slotSizesOf } from "./moves/sizes.ts";
import { createParked, type Parked } from "./parked.ts";
import { sortedByFirst } from "./replication/port.ts";
import { createPublisher, type Publisher } from "./replication/publisher.ts";
import { reportOf } from "./report.ts";
import { createRoles, type Roles } from "./roles.ts";
import { createSegmentStore } from "./store/segmentStore.ts";
import type { Store } from "./store/store.ts";
import { takeVolume, type Taken } from "./taking.ts";
import { createTopologyKeeper, type TopologyKeeper } from "./topology.ts";
import { createVolume, type Volume, type VolumeOptions } from "./volume.ts";

/** One shard process: its ports are open and it has begun to look for info. */
export type Shard = {
  readonly address: Address;
  /**
   * Says that it ends; an owner serves on until another one has taken over, where `handsOver` and there is somebody who could.
   * Then everybody is told, what comes is answered for a while, and everything is closed.
   */
  readonly end: (how: { readonly handsOver: boolean }) => Promise<void>;
};

/** What surrounds the process. */
export type Rim = {
  readonly network: Network;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly incarnation: string;
  /** Nothing that was answered can be relied on any more: the process has to end. */
  readonly failed: (error: unknown) => void;
  /** Another store, or a log of other sizes, than usual. */
  readonly createStore?: () => Store;
  readonly log?: LogLimits;
};

/** Starts the process's parts and ties them together. Rejects where a port is taken or the volume cannot be used. */
export const startShard = async (config: Config, rim: Rim): Promise<Shard> => {
  const { network, clock, logger, random, incarnation } = rim;
  const { home, clusterId, token, pod } = config;
  const self = { pod, incarnation };
  const counters = createCounters();
  const usage = unlimited();
  let leaving = false;

  const reportSoon = (): void => session?.reportSoon();
  const publisher = createPublisher({ clock, logger, counters });
  const parked = createParked(clock);
  const createStore = storesOf(rim);
  const roles: Roles = createRoles({
    ...{ ...rim, clusterId, self, home, token, counters, createStore, usage },
    publisher: alsoTo(publisher, () => moves),
    ...{ journal: createJournal(), containerBytes: config.ownContainer ? containerBytes() : null },
    open: (shard) => volume.open(shard),
    keepPromises: (promised) => volume.promise(promised),
    keepOnly: (shards) => {
      volume.keepOnly(shards);
    },
    changed: () => {
      moves.follow();
      reportSoon();
    },
  });
  const moves: Moves = createMoves({
    ...{ clusterId, self, home, token, network, clock, random, logger, counters, roles },
    ...{ topology: () => topology.current(), changed: reportSoon, served: parked.again },
  });
  const volume = volumeOf(config, rim, {
    ...{ createStore, events: roles.logEvents },
    fsync: () => topology.current()?.topology.settings.fsync ?? "everysec",
  });
  const report = (): Report =>
    reportOf({ ...self, home, leaving }, roles, {
      ...{ readers: publisher.readers(), moves: moves.reports(), nowMs: clock.nowMs() },
    });
  const topology = createTopologyKeeper({
    ...{ clusterId, logger },
    changed: (before, after) => {
      roles.follow(after);
      moves.follow();
      front.topologyChanged(before, after.topology);
    },
  });
  const [asked, current] = [countingAsked(roles, counters), topology.current];
  const digests = createDigests({ clock, topology: current, holding: () => servedHolding(roles.role()) });
  const front = createFront({ roles: asked, counters, parked, report, digests, topology: current });

  const open = await openAll(config, rim, {
    ...{ front, publisher, moves, roles: asked, parked, counters, usage, report, topology },
    registered: () => session?.isConnected() ?? false,
  });
  // Nobody is told of this process before it knows what it holds.
  const process = await takeVolume({ ...rim, folder: config.data, uid: config.podUid });
  await keepFound(volume, roles);
  const address = addressAt(config.advertiseHost, open);
  const session: InfoSession | undefined = openSession(config, rim, {
    ...{ register: registerOf(config, address, process), roles, report, topology },
  });
  logger.info({ ...address, home }, "shard process started");

  return {
    address,
    end: async ({ handsOver }) => {
      leaving = true;
      session.reportSoon();
      await endShard({ front, publisher, roles, moves, session, open, clock }, { ...config, handsOver });
      process.release();
      logger.info({}, "shard process ended");
    },
  };
};

type Parts = {
  readonly front: Front;
  readonly publisher: Publisher;
  readonly moves: Moves;
  readonly roles: Roles;
  readonly parked: Parked;
  readonly counters: Counters;
  readonly usage: Usage;
  readonly report: () => Report;
  readonly topology: TopologyKeeper;
  readonly registered: () => boolean;
};
type Open = Ports & { readonly resp: RespListener; readonly http: HttpServer };

/** For those who carry out what clients ask for. */
const countingAsked = (roles: Roles, counters: Counters): Roles => ({
  ...roles,
  answer: (waiter, refused) => {
    counters.asked++;
    roles.answer(waiter, refused);
  },
  execute: (batch) => {
    counters.asked++;
    roles.execute(batch);
  },
});

/** Opens all ports. */
const openAll = async (config: Config, rim: Rim, parts: Parts): Promise<Open> => {
  const { host, pod, clusterId } = config;
  const { network, clock, logger, random, incarnation } = rim;
  const { front, publisher, moves, roles, parked, counters, usage, report, topology, registered } = parts;
  const replicated = sortedByFirst(publisher.opened, moves.opened);
  const ports = await openPorts(config, rim, { front, replicated });
  const resp = await listenResp({
    ...{ host, port: config.ports.resp, network, clock, random, logger },
    ...{
      self: { pod, incarnation },
      clusterId,
      roles,
      parked,
      topology: topology.current,
      report,
      processCounters: counters,
    },
  });
  const http = await network.serveHttp({
    ...{ host, port: config.ports.http, logger },
    routes: healthRoutes({
      ...{ report, counters, ports, resp, roles, usage, registered },
      store: () => roles.held()?.holding.store ?? null,
      lagMsMax: () => topology.current()?.topology.lagMsMax,
    }),
  });
  return { ...ports, resp, http };
};

const keepFound = async (volume: Volume, roles: Roles): Promise<void> => {
  const found = await volume.found();
  const promised = await volume.promised();
  roles.restore(promised);
  if (found === null) return;
  const held = await volume.open(found);
  // Who was about to promise an epoch that is in the log has promised it.
  const { shard, epoch } = held.holding;
  if (promised.every((one) => one.shard !== shard || one.epoch < epoch)) roles.restore([{ shard, epoch }]);
  roles.keep(held);
};

/** Records go to whoever copies slots, too. */
const alsoTo = (publisher: Publisher, moves: () => Moves): Publisher => ({
  ...publisher,
  append: (batch) => {
    const isNeeded = publisher.append(batch);
    return moves().append(batch) || isNeeded;
  },
});

const volumeOf = (
  { data, clusterId }: Config,
  { disk, clock, logger, log }: Rim,
  around: Pick<VolumeOptions, "createStore" | "events" | "fsync">,
): Volume =>
  createVolume({ ...around, disk, folder: data, clusterId, clock, logger, limits: log ?? usualLimits });

const openSession = (
  { info, clusterId, pod, token }: Config,
  { network, clock, random, logger, incarnation }: Rim,
  {
    roles,
    topology,
    report,
    register,
  }: Pick<Parts, "roles" | "topology" | "report"> & { readonly register: Register },
): InfoSession =>
  startInfoSession({
    ...{ urls: info, clusterId, self: { pod, incarnation }, token, register, report, topology },
    ...{ reporting: roles.reporting, granted: roles.granted, network, clock, random, logger },
    slotSizes: () => slotSizesOf(roles.role(), topology.current()),
  });

const registerOf = (
  { home, node, zone }: Config,
  address: Address,
  { uid, startedAtMs, ended, had }: Taken,
): Register => ({
  ...{ kind: "register", home, address, node, zone },
  ...{ uid, startedAtMs, ended: [...ended], had: [...had] },
});

const storesOf = ({ random, createStore }: Rim): (() => Store) =>
  createStore ??
  ((): Store => createSegmentStore({ seed: { low: random() * 2 ** 32, high: random() * 2 ** 32 } }));

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
  { network, clock, logger, incarnation }: Rim,
  { front, replicated }: { readonly front: Front; readonly replicated: ListenOptions["opened"] },
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
  const client = await network.listen({
    ...{ ...common, port: ports.client, opened: front.opened },
    // Client passwords come later; until then a client needs no proof.
    admit: admit(["client"], null),
    limits: { frameBytesMax },
  });
  const replication = await network.listen({
    ...{ ...common, port: ports.replication, opened: replicated },
    admit: admit(["reader", "writer"], token),
    // A reader that takes nothing must still be heard; the publisher does not run ahead of it.
    pace: false,
  });
  return { client, replication };
};
