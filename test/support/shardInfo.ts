import { EdisError } from "../../core/errors.ts";
import { epoch, mapVersion, revision, shardId, slot, term } from "../../core/ids.ts";
import { systemClock } from "../../core/clock.ts";
import { createLogger } from "../../core/logger.ts";
import {
  decodeMessage,
  encodeMessage,
  fromShardSchema,
  type Register,
  type Report,
} from "../../core/message.ts";
import type { Member, Move, PodRef, Shard, Topology } from "../../core/topology.ts";
import type { Connection } from "../../net/connection.ts";
import { listen } from "../../net/listen.ts";
import { shardFields, topologyFields } from "./fields.ts";
import { until } from "./shardUntil.ts";
import { usualSettings, type Settings } from "../../core/settings.ts";

/**
 * Info for tests of shard processes: speaks the real protocol over real sockets, but decides nothing. The test says who
 * owns which shard and who follows whom.
 */
export type TestInfo = {
  readonly url: string;
  readonly port: number;
  readonly sessions: ReadonlyMap<string, TestSession>;
  /** The session of a pod once it has registered and reported. */
  readonly registered: (pod: string, not?: string) => Promise<TestSession>;
  /** The newest report of a pod once it is as wanted. */
  readonly reported: (pod: string, wanted: (report: Report) => boolean) => Promise<Report>;
  readonly topology: () => Topology;
  /** Publishes a newer topology made of these shards; members are whoever is registered, home readers at shard 0. */
  readonly publish: (shards: readonly Shard[], assignments?: Readonly<Record<string, number>>) => void;
  /** The same with these moves under way; without them all that were have ended. */
  readonly publishMoves: (shards: readonly Shard[], moves: readonly Move[]) => void;
  /** Publishes a newer topology with these settings changed. */
  readonly tell: (to: Partial<Settings>) => void;
  /** Whether it grants owners leases, and records whom they say to be in sync; it does both from the start. */
  readonly does: { grants: boolean; records: boolean };
  /** From the next topology on readers find this pod's replication port here. */
  readonly replicationVia: (pod: string, port: number) => void;
  readonly close: () => Promise<void>;
};
export type TestSession = PodRef & {
  readonly connection: Connection;
  register: Register | null;
  report: Report | null;
};

export const testCluster = {
  clusterId: "3f0c9a52-6f4e-4a3a-9f43-27a3f9d1c001",
  cluster: "default/demo",
  token: new TextEncoder().encode("the secret of the test cluster"),
};
const silent = createLogger("silent", {});

/** A shard that owns `slots` from 0 on (all by default). */
export const shardOwnedBy = (
  owner: PodRef | null,
  { id = 0, at = 1, phase = { kind: "stable" } }: { id?: number; at?: number; phase?: Shard["phase"] } = {},
): Shard => ({
  id: shardId(id),
  epoch: epoch(at),
  owner: owner === null ? null : { pod: owner.pod, incarnation: owner.incarnation },
  ...{ ...shardFields, phase },
  slots: id === 0 ? [[slot(0), slot(16383)]] : [],
});

export const startTestInfo = async (port = 0, from = 0): Promise<TestInfo> => {
  const sessions = new Map<string, TestSession>();
  let count = from;
  // Before the test has said who owns what there is nothing to tell, least of all that nobody owns anything.
  let isPublished = false;
  let shards: readonly Shard[] = [];
  let settings: Settings = usualSettings;
  let moves: readonly Move[] = [];
  let assignments: Readonly<Record<string, number>> = {};
  const replicationPorts = new Map<string, number>();

  const members = (): Member[] =>
    [...sessions.values()].flatMap(({ pod, incarnation, register, report }): Member[] =>
      register === null
        ? []
        : [
            {
              ...{ pod, incarnation, home: register.home },
              address: {
                ...register.address,
                replication: replicationPorts.get(pod) ?? register.address.replication,
              },
              ...{ node: register.node, zone: register.zone },
              state: report?.serving.kind === "nothing" ? "starting" : "serving",
              shard: assignments[pod] === undefined ? null : shardId(assignments[pod]),
            },
          ],
    );
  const topology = (): Topology => ({
    ...{ clusterId: testCluster.clusterId, cluster: testCluster.cluster },
    ...{ term: term(1), revision: revision(count), ...topologyFields, lagMsMax: 1_000 },
    mapVersion: mapVersion(Math.max(1, ...shards.map((shard) => shard.mapVersion))),
    settings,
    shards,
    moves,
    members: members(),
  });

  const does = { grants: true, records: true };
  /** What info does about the report of an owner, as it was published. */
  const answer = (connection: Connection, { pod, incarnation, serving, seq }: Report): void => {
    if (serving.kind !== "owner") return;
    const shard = shards[serving.shard];
    if (shard?.owner?.pod !== pod || shard.owner.incarnation !== incarnation || shard.epoch !== serving.epoch)
      return;
    if (shard.phase.kind === "fencing") return;
    if (does.grants)
      connection.send(encodeMessage({ kind: "grant", seq, shard: shard.id, epoch: shard.epoch }));
    const { sync } = serving;
    if (!does.records || shard.phase.kind !== "stable" || sync.seq <= shard.syncSeq) return;
    shards = shards.map((one) =>
      one === shard ? { ...shard, inSync: sync.members, syncSeq: sync.seq } : one,
    );
    broadcast();
  };

  const broadcast = (): void => {
    count++;
    const frame = encodeMessage({ kind: "topology", topology: topology() });
    for (const { connection } of sessions.values()) connection.send(frame);
  };

  const listener = await listen({
    host: "127.0.0.1",
    port,
    clock: systemClock,
    logger: silent,
    self: { pod: "info", incarnation: "test" },
    admit: ({ role, cluster }) => {
      if (cluster !== testCluster.clusterId) throw new EdisError("wrong-cluster", "another cluster");
      if (role !== "writer" && role !== "reader") throw new EdisError("wrong-role", "for shards");
      return testCluster;
    },
    opened: (connection, { pod, incarnation }) => {
      const session: TestSession = { pod, incarnation, connection, register: null, report: null };
      sessions.set(pod, session);
      return {
        message: (frame) => {
          const message = decodeMessage(fromShardSchema, frame);
          if (message.kind === "register") session.register = message;
          else if (message.kind === "report") {
            session.report = message.report;
            answer(connection, message.report);
          }
          if (message.kind === "register" && isPublished) broadcast();
        },
        closed: () => {
          if (sessions.get(pod) === session) sessions.delete(pod);
        },
      };
    },
  });

  return {
    url: `ws://127.0.0.1:${listener.port}`,
    port: listener.port,
    sessions,
    registered: async (pod, not) => {
      await until(`${pod} to register`, () => {
        const session = sessions.get(pod);
        if (session === undefined || session.incarnation === not) return false;
        return session.report !== null && session.register !== null;
      });
      const session = sessions.get(pod);
      if (session === undefined) throw new Error(`${pod} is gone again`);
      return session;
    },
    reported: async (pod, wanted) => {
      const newest = (): Report | null => sessions.get(pod)?.report ?? null;
      const isWanted = (): boolean => {
        const report = newest();
        return report !== null && wanted(report);
      };
      await until(`${pod} to report as wanted`, isWanted, () => JSON.stringify(newest()));
      const report = newest();
      if (report === null) throw new Error(`${pod} is gone again`);
      return report;
    },
    ...{ topology, does },
    publish: (to, toAssignments = assignments) => {
      shards = to;
      moves = [];
      assignments = toAssignments;
      isPublished = true;
      broadcast();
    },
    publishMoves: (to, toMoves) => {
      shards = to;
      moves = toMoves;
      isPublished = true;
      broadcast();
    },
    tell: (to) => {
      settings = { ...settings, ...to };
      if (isPublished) broadcast();
    },
    replicationVia: (pod, replicationPort) => {
      replicationPorts.set(pod, replicationPort);
    },
    close: () => listener.close(),
  };
};
