import type { Clock } from "../../core/clock.ts";
import { EdisError } from "../../core/errors.ts";
import { shardsMax, type Term } from "../../core/ids.ts";
import { readersMax } from "../../core/limits.ts";
import type { Hello } from "../../core/message.ts";
import type { Forecast, PlanAsked } from "../../core/tools.ts";
import { NotLeaderError, type Admission } from "../../net/listen.ts";
import { ordinalOf, readerPod, writerPod, type ShardClusterStatus } from "../shardCluster.ts";
import { createClusterHub, type ClusterHub, type Identity } from "./clusterHub.ts";
import type { ClusterView, Info, Leader } from "./info.ts";

export const sweepMs = 100;
/** Time in which this process itself was away (a long pause of the machine) is nobody's silence. */
const pauseMsMax = 300;
/** A new leader has not heard of all clusters yet: who asks for one is to try again. */
const learningMsMax = 5_000;
const namedMax = 10;

type Leading = { readonly term: Term; readonly sinceMs: number; readonly mayGrant: () => boolean };
type Known = { readonly hub: ClusterHub; status: ShardClusterStatus | null };

/** The clusters that info knows, by key; whether it leads; and whom a hello is for. */
export type Registry = Omit<Info, "infoPort" | "httpPort" | "metrics" | "close"> & {
  readonly find: (hello: Hello) => ClusterHub;
  readonly admit: (hello: Hello) => Admission;
  readonly leading: () => Leading | null;
  readonly leader: () => Leader | null;
  readonly sweep: () => void;
};

export const createRegistry = (clock: Clock): Registry => {
  const known = new Map<string, Known>();
  let leading: Leading | null = null;
  let leader: Leader | null = null;
  let changed: (key: string) => void = () => undefined;
  let planned: Parameters<Info["onPlan"]>[0] = null;

  const find = (hello: Hello): ClusterHub => {
    if (leading === null) throw new NotLeaderError(leader?.info ?? "");
    const learning = clock.nowMs() - leading.sinceMs < learningMsMax;
    return choose([...known.values()], hello.cluster, learning);
  };
  const remove = (key: string, reason = gone(key)): void => {
    const cluster = known.get(key);
    known.delete(key);
    cluster?.hub.close(reason);
  };
  const changeTo = (nextLeading: Leading | null, nextLeader: Leader | null): void => {
    leading = nextLeading;
    leader = nextLeader;
    for (const key of [...known.keys()]) remove(key, new NotLeaderError(leader?.info ?? ""));
  };
  const open = (identity: Identity, { term, mayGrant }: Leading): void => {
    const key = identity.cluster;
    const before = known.get(key)?.hub.identity;
    if (before !== undefined && sameIdentity(before, identity)) return;
    remove(key);
    const tell = (): void => {
      changed(key);
    };
    const plan = (asked: PlanAsked): Forecast => {
      if (planned !== null) return planned(key, asked);
      throw new EdisError(
        "try-again",
        "Cannot plan yet: this operator has just begun to lead, or is about to end",
      );
    };
    known.set(key, {
      hub: createClusterHub({ identity, term, mayGrant, clock, plan, changed: tell }),
      status: null,
    });
  };
  const sweep = sweeper(clock, known);

  return {
    find,
    admit: (hello) => admit(find(hello), hello),
    lead: (term, mayGrant) => {
      changeTo({ term, mayGrant, sinceMs: clock.nowMs() }, null);
    },
    follow: (next) => {
      changeTo(null, next);
    },
    leading: () => leading,
    leader: () => leader,
    leadingMs: () => (leading === null ? 0 : clock.nowMs() - leading.sinceMs),
    onChange: (listener) => {
      changed = listener;
    },
    onPlan: (answer) => {
      planned = answer;
    },
    open: (identity) => {
      if (leading !== null) open(identity, leading);
    },
    remove: (key) => {
      remove(key);
    },
    ...perCluster(known),
    sweep,
  };
};

/** What is asked or told of one cluster; of one that is not known there is nothing. */
const perCluster = (
  known: ReadonlyMap<string, Known>,
): Pick<
  Registry,
  "sessions" | "departed" | "memory" | "hold" | "topology" | "publish" | "show" | "views"
> => ({
  sessions: (key) => known.get(key)?.hub.sessions.list() ?? [],
  departed: (key) => known.get(key)?.hub.sessions.departed() ?? [],
  memory: (key) => known.get(key)?.hub.memory() ?? new Map(),
  hold: (key, shards) => {
    known.get(key)?.hub.hold(shards);
  },
  topology: (key) => known.get(key)?.hub.news.topology() ?? null,
  publish: (key, ownership, announced) => {
    known.get(key)?.hub.publish(ownership, announced);
  },
  show: (key, status) => {
    const cluster = known.get(key);
    if (cluster !== undefined) cluster.status = status;
  },
  views: () => [...known].map(([key, cluster]) => viewOf(key, cluster)),
});

/** Drops the silent everywhere; to be called every `sweepMs`. */
const sweeper = (clock: Clock, known: ReadonlyMap<string, Known>): (() => void) => {
  let sweptMs = clock.nowMs();
  return () => {
    const now = clock.nowMs();
    const lateMs = now - sweptMs - sweepMs;
    sweptMs = now;
    for (const { hub } of known.values()) hub.sessions.sweep(lateMs > pauseMsMax ? lateMs : 0);
  };
};

const viewOf = (key: string, { hub, status }: Known): ClusterView => ({
  key,
  topology: hub.news.topology(),
  sessions: hub.sessions.list(),
  status,
  watchers: hub.clients(),
});

/** The cluster that `cluster` means: a uid, `namespace/name`, or empty for the only one. */
const choose = (known: readonly Known[], cluster: string, learning: boolean): ClusterHub => {
  const matching = known
    .map(({ hub }) => hub)
    .filter(
      ({ identity }) => cluster === "" || cluster === identity.clusterId || cluster === identity.cluster,
    );
  const [hub] = matching;
  if (hub === undefined) {
    if (learning) {
      throw new EdisError("try-again", "Cannot find the cluster yet: this operator has just begun to lead");
    }
    const which = cluster === "" ? "a cluster: there is none" : `cluster ${cluster}`;
    throw new EdisError("unknown-cluster", `Cannot find ${which}`);
  }
  if (matching.length === 1) return hub;
  const names = matching.slice(0, namedMax).map(({ identity }) => identity.cluster);
  const more = matching.length > namedMax ? `, … (${matching.length} in all)` : "";
  throw new EdisError(
    "ambiguous-cluster",
    `Cannot choose a cluster: say which one is meant, ${names.join(", ")}${more}`,
  );
};

const admit = ({ identity, sessions }: ClusterHub, hello: Hello): Admission => {
  if (hello.role === "client") return { ...identity, token: null };
  checkPod(hello, identity);
  sessions.admit(hello);
  return identity;
};

/** A shard's name is one that a pod of this cluster can have; that bounds how many there are. */
const checkPod = ({ role, pod }: Hello, { cluster }: Identity): void => {
  const name = cluster.slice(cluster.indexOf("/") + 1);
  const podOf = role === "writer" ? writerPod : role === "reader" ? readerPod : null;
  if (podOf === null) {
    throw new EdisError("wrong-role", `Cannot take role ${role}: wanted are clients, writers and readers`);
  }
  const ordinal = ordinalOf(pod);
  const ordinalMax = (role === "writer" ? shardsMax : readersMax) - 1;
  if (Number.isInteger(ordinal) && ordinal <= ordinalMax && pod === podOf(name, ordinal)) return;
  throw new EdisError(
    "wrong-pod",
    `Cannot take ${pod} as a ${role} of ${cluster}: wanted is a name such as ${podOf(name, 0)}`,
  );
};

const sameIdentity = (a: Identity, b: Identity): boolean =>
  a.clusterId === b.clusterId && Buffer.from(a.token).equals(b.token);
const gone = (key: string): EdisError =>
  new EdisError("unknown-cluster", `Cannot go on: cluster ${key} is gone`);
