import { encode } from "../../core/cbor.ts";
import { systemClock } from "../../core/clock.ts";
import { epoch, revision, shardId, slot, term, version } from "../../core/ids.ts";
import { decodeMessage, fromClientSchema, isControl } from "../../core/message.ts";
import type { Request, RequestFrame, Result } from "../../core/request.ts";
import { decodeRequests } from "../../core/requestDecoder.ts";
import { encodeReplies } from "../../core/requestEncoder.ts";
import type { Home, Member, MemberState, Topology } from "../../core/topology.ts";
import type { Connection } from "../../net/connection.ts";
import { listen, type Listener } from "../../net/listen.ts";
import { shardFields, topologyFields } from "../support/fields.ts";
import { silent } from "../support/net.ts";
import { usualSettings } from "../../core/settings.ts";

/** A pod that answers what its script says: for what a sound shard never does, or does only by chance. */
export type ScriptedPod = {
  readonly member: Member;
  readonly url: string;
  readonly listener: Listener;
  /** Every frame of requests it was sent. */
  readonly asked: RequestFrame[];
  readonly connections: Set<Connection>;
  script: Script;
  readonly close: () => Promise<void>;
};
/** The results; "nothing" leaves the frame unanswered, "cut" drops the connection, bytes are sent as they are. */
export type Script = (frame: RequestFrame) => readonly Result[] | "nothing" | "cut" | Uint8Array;

export type ScriptedCluster = {
  topology: Topology;
  readonly pods: ScriptedPod[];
  readonly pod: (name: string) => ScriptedPod;
  /** A newer topology, told to everybody who watches at one of its pods. */
  readonly publish: (change: (topology: Topology) => Partial<Topology>) => void;
  readonly close: () => Promise<void>;
};

export const at = (
  e: number,
  v: number,
): { epoch: ReturnType<typeof epoch>; version: ReturnType<typeof version> } => ({
  epoch: epoch(e),
  version: version(v),
});

/** Answers as a store with one value would. */
export const answer = (request: Request, value = "value", place = at(1, 1)): Result => {
  switch (request.kind) {
    case "get":
      return { kind: "value", value: Buffer.from(value), ...place, lagMs: 3 };
    case "set":
      return { kind: "set", applied: true, ...place };
    case "delete":
      return { kind: "deleted", existed: true, ...place };
    case "increment":
      return { kind: "integer", value: request.by, ...place };
  }
};
export const obliging: Script = ({ requests }) => requests.map((request) => answer(request));
export const refusing =
  (code: Extract<Result, { kind: "error" }>["code"]): Script =>
  ({ requests }) =>
    requests.map(() => ({ kind: "error", code, message: `scripted ${code}` }));

/** One shard that owns all slots, with `readers` readers. All oblige until told otherwise. */
export const startScripted = async (readers: number): Promise<ScriptedCluster> => {
  const pods: ScriptedPod[] = [];
  const watching = new Set<Connection>();
  const cluster: ScriptedCluster = {
    topology: {
      clusterId: "uid-1",
      cluster: "default/demo",
      term: term(1),
      revision: revision(1),
      ...topologyFields,
      lagMsMax: 1000,
      settings: usualSettings,
      shards: [],
      members: [],
    },
    pods,
    pod: (name) => {
      const found = pods.find(({ member }) => member.pod === name);
      if (found === undefined) throw new Error(`No pod ${name}`);
      return found;
    },
    publish: (change) => {
      const { topology } = cluster;
      cluster.topology = { ...topology, revision: revision(topology.revision + 1), ...change(topology) };
      for (const connection of watching)
        connection.send(encode({ kind: "topology", topology: cluster.topology }));
    },
    close: async () => {
      await Promise.all(pods.map(async (pod) => pod.close()));
    },
  };
  pods.push(await startPod(cluster, watching, { pod: "demo-write-0", home: "writer" }));
  for (let i = 0; i < readers; i++)
    pods.push(await startPod(cluster, watching, { pod: `demo-read-${i}`, home: "reader" }));
  cluster.topology = {
    ...cluster.topology,
    members: pods.map(({ member }) => member),
    shards: [
      {
        id: shardId(0),
        epoch: epoch(1),
        owner: { pod: "demo-write-0", incarnation: "start-1" },
        ...shardFields,
        slots: [[slot(0), slot(16383)]],
      },
    ],
  };
  return cluster;
};

const startPod = async (
  cluster: ScriptedCluster,
  watching: Set<Connection>,
  { pod, home }: { pod: string; home: Home },
): Promise<ScriptedPod> => {
  const connections = new Set<Connection>();
  const asked: RequestFrame[] = [];
  const self = { pod, incarnation: "start-1" };
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    logger: silent,
    self,
    admit: () => ({ clusterId: cluster.topology.clusterId, cluster: cluster.topology.cluster, token: null }),
    opened: (connection) => {
      connections.add(connection);
      return {
        message: (bytes) => {
          if (isControl(bytes)) {
            const message = decodeMessage(fromClientSchema, bytes);
            if (message.kind !== "watch") return;
            watching.add(connection);
            connection.send(encode({ kind: "topology", topology: cluster.topology }));
            return;
          }
          const frame = decodeRequests(bytes);
          asked.push(frame);
          const results = scripted.script(frame);
          if (results === "cut") connection.cut();
          else if (results instanceof Uint8Array) connection.send(results);
          else if (results !== "nothing") connection.send(encodeReplies({ id: frame.id, results }));
        },
        closed: () => {
          connections.delete(connection);
          watching.delete(connection);
        },
      };
    },
  });
  const state: MemberState = "serving";
  const address = { host: "127.0.0.1", client: listener.port, replication: 1, http: 1, resp: 1 };
  const scripted: ScriptedPod = {
    member: { ...self, home, shard: shardId(0), state, address, node: "", zone: "" },
    url: `ws://127.0.0.1:${listener.port}`,
    listener,
    asked,
    connections,
    script: obliging,
    close: listener.close,
  };
  return scripted;
};
