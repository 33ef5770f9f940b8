import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/logger.ts";
import type { Ownership } from "../plan/model.ts";
import type { Platform, Seen } from "../platform.ts";
import { apiVersion } from "../schema.ts";
import { keyOf, type ShardCluster } from "../shardCluster.ts";
import { isStatus, type Api } from "./api.ts";
import { createApplier, type Applier } from "./apply.ts";
import { disruptionBudgets, isBudgetName } from "./budgets.ts";
import { shardClusters } from "./crds.ts";
import { createEvents } from "./events.ts";
import { collection } from "./paths.ts";
import { createEndedPods, deletePod, labelPods, plannedPod, type EndedPods } from "./pods.ts";
import { ownedSelector, remadeRoles, resourcesFor, type Surroundings } from "./resources.ts";
import {
  appliedFrom,
  seenCluster,
  seenNode,
  seenPod,
  seenStatefulSet,
  type Applied,
  type SeenCluster,
  type SeenNode,
  type SeenPod,
  type SeenStatefulSet,
} from "./seen.ts";
import { createStatusWriter } from "./status.ts";
import { createTokens } from "./tokens.ts";
import { createTopologyStore } from "./topologyStore.ts";
import { createWatch, type Watched, type WatchOptions } from "./watch.ts";

export type KubernetesOptions = {
  readonly api: Api;
  /** Only ShardClusters of this namespace; empty: of all. */
  readonly namespace: string;
  readonly surroundings: Surroundings;
  /** Name of this operator's pod. */
  readonly pod: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
};

/** The operator's hand in a Kubernetes cluster. */
export const createKubernetesPlatform = (options: KubernetesOptions): Platform => {
  const { api, clock, surroundings } = options;
  let changed: (key: string) => void = () => undefined;
  const applier = createApplier(api, clock.nowMs);
  const statuses = createStatusWriter(api, clock);
  const topologies = createTopologyStore(api);
  const token = createTokens(api);
  const uids = new Map<string, string>();
  const ended = createEndedPods();
  const watches = createWatches(options, { applier, ended }, (key) => {
    changed(key);
  });
  const { clusters } = watches;

  return {
    watch: async (heard, signal) => {
      const early = new Set<string>();
      changed = (key) => early.add(key);
      const running = Promise.all(watches.all.map((watch) => watch.run(signal)));
      // Nothing is decided on half of what there is.
      await Promise.race([Promise.all(watches.all.map(({ listed }) => listed)), running]);
      changed = heard;
      for (const key of early) heard(key);
      await running;
    },
    cluster: (key) => {
      const seen = clusters.objects.get(key);
      if (seen === undefined || seen.deleting) return undefined;
      uids.set(key, seen.cluster.uid);
      return seen.cluster;
    },
    observe: (cluster) => Promise.resolve(seenOf(cluster, watches, ended)),
    apply: async (cluster, workload, ownership) => {
      // Pods that start without it wait for the kubelet's next try.
      await token(cluster);
      const budgets = disruptionBudgets(cluster, ownership);
      const objects = [...resourcesFor(cluster, workload, surroundings), ...budgets];
      const results = await Promise.allSettled(objects.map((object) => applier.apply(object)));
      for (const result of results) if (result.status === "rejected") throw result.reason;
      await labelPods(api, cluster, { pods: podsOf(keyOf(cluster), watches), ownership });
      await removeBudgets(api, watches, { cluster, ownership });
    },
    restart: (cluster, pod) => deletePod(api, cluster, pod),
    remade: (cluster, wished) => remadeRoles(cluster, wished, surroundings),
    token,
    readOwnership: topologies.read,
    writeOwnership: topologies.write,
    writeStatus: (cluster, status) =>
      statuses.write(cluster, status, clusters.objects.get(keyOf(cluster))?.conditions ?? []),
    event: createEvents(api, clock, options.pod),
    forget: (key) => {
      const [namespace = "", name = ""] = key.split("/");
      statuses.forget(uids.get(key) ?? "");
      uids.delete(key);
      ended.forget(key);
      applier.forget((path) => {
        const object = path.slice(path.lastIndexOf("/") + 1);
        const isIts =
          isBudgetName(name, object) ||
          ["", "-read", "-write", "-read-pods", "-write-pods"].some((end) => object === `${name}${end}`);
        return isIts && path.includes(`/namespaces/${namespace}/`);
      });
      return Promise.resolve();
    },
  };
};

type Watches = {
  readonly clusters: Watched<SeenCluster>;
  readonly pods: Watched<SeenPod>;
  readonly statefulSets: Watched<SeenStatefulSet>;
  readonly nodes: Watched<SeenNode>;
  readonly budgets: Watched<Applied>;
  readonly all: readonly Pick<Watched<unknown>, "run" | "listed">[];
};

const podsOf = (key: string, { pods }: Watches): readonly SeenPod[] =>
  [...pods.objects.values()].filter(({ cluster }) => cluster === key);

const seenOf = (cluster: ShardCluster, watches: Watches, ended: EndedPods): Seen => {
  const key = keyOf(cluster);
  const sets = [...watches.statefulSets.objects.values()].filter(
    (set) => set.cluster === key && set.ownerUid === cluster.uid,
  );
  const writers = sets.find(({ role }) => role === "writer");
  const readers = sets.find(({ role }) => role === "reader");
  const pods = podsOf(key, watches);
  const areThere = writers !== undefined && readers !== undefined;
  return {
    pods: pods.map((pod) => plannedPod(pod, watches.nodes.objects.get(`/${pod.node}`))),
    workload: areThere ? { writers: writers.replicas, readers: readers.replicas } : null,
    ended: ended.of(key),
    // Readers go first: that writers are outdated says nothing before both StatefulSets have been told of the change.
    outdated:
      areThere && writers.templates === readers.templates
        ? outdatedOf(pods, { writer: writers.revision, reader: readers.revision })
        : null,
  };
};

/** Pods that were made from another template than their StatefulSet's newest; null while that is not known. */
const outdatedOf = (
  pods: readonly SeenPod[],
  newest: Readonly<Record<SeenPod["role"], string>>,
): ReadonlySet<string> | null => {
  if (newest.writer === "" || newest.reader === "") return null;
  return new Set(pods.filter(({ role, revision }) => revision !== newest[role]).map(({ name }) => name));
};

/** Takes away the budgets of shards that are gone. */
const removeBudgets = async (
  api: Api,
  { budgets }: Watches,
  { cluster, ownership }: { readonly cluster: ShardCluster; readonly ownership: Ownership },
): Promise<void> => {
  const wanted = new Set(
    disruptionBudgets(cluster, ownership).map(({ metadata }) => `${cluster.namespace}/${metadata.name}`),
  );
  for (const [key, budget] of budgets.objects) {
    if (budget.cluster !== keyOf(cluster) || wanted.has(key)) continue;
    await api
      .request({ method: "DELETE", path: objectPath("policy/v1", "poddisruptionbudgets", key) })
      .catch((error: unknown) => {
        if (!isStatus(error, 404)) throw error;
      });
  }
};

const createWatches = (
  { api, namespace, clock, random, logger }: KubernetesOptions,
  { applier, ended }: { readonly applier: Applier; readonly ended: EndedPods },
  changed: (key: string) => void,
): Watches => {
  const make = <T>(
    at: string,
    plural: string,
    options: Pick<WatchOptions<T>, "labelSelector" | "decode" | "changed" | "optional">,
  ): Watched<T> => {
    const path = collection(at, plural, plural === "nodes" ? "" : namespace);
    return createWatch<T>({
      ...options,
      decode: forgiving(options.decode, path, logger),
      ...{ api, path, clock, random, logger },
    });
  };
  const differs = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b);
  /** Of applied objects only those changes matter that this operator did not make. */
  const drift = (at: string, plural: string): Watched<Applied> =>
    make<Applied>(at, plural, {
      labelSelector: ownedSelector,
      decode: appliedFrom,
      changed: (key, now, before) => {
        const owner = (now ?? before)?.cluster ?? "";
        if (applier.saw(objectPath(at, plural, key), now?.mark)) changed(owner);
      },
    });

  const clusters = make<SeenCluster>(apiVersion, shardClusters.plural, {
    labelSelector: "",
    decode: seenCluster,
    changed: (key, now, before) => {
      // The status is this operator's own doing.
      const wishes = (seen: SeenCluster | undefined): unknown => [seen?.cluster, seen?.deleting];
      if (differs(wishes(now), wishes(before))) changed(key);
    },
  });
  const pods = make<SeenPod>("v1", "pods", {
    labelSelector: ownedSelector,
    decode: seenPod,
    changed: (_key, now, before) => {
      if (before !== undefined && now?.uid !== before.uid)
        ended.gone(before, nodes.objects.get(`/${before.node}`));
      if (differs(now, before)) changed((now ?? before)?.cluster ?? "");
    },
  });
  const statefulSets = make<SeenStatefulSet>("apps/v1", "statefulsets", {
    labelSelector: ownedSelector,
    decode: seenStatefulSet,
    changed: (key, now, before) => {
      const drifted = applier.saw(objectPath("apps/v1", "statefulsets", key), now?.mark);
      if (drifted || differs(now, before)) changed((now ?? before)?.cluster ?? "");
    },
  });
  const nodes = make<SeenNode>("v1", "nodes", {
    labelSelector: "",
    decode: seenNode,
    changed: (key, now, before) => {
      if (now?.outOfService === before?.outOfService) return;
      const there = [...pods.objects.values()].filter(({ node }) => `/${node}` === key);
      for (const cluster of new Set(there.map((pod) => pod.cluster))) changed(cluster);
    },
    // Nodes tell the zones, and what runs no more; an operator of one namespace may not be allowed to see them, and does without.
    optional: true,
  });
  const budgets = drift("policy/v1", "poddisruptionbudgets");
  const all = [clusters, pods, statefulSets, nodes, budgets, drift("v1", "services")];
  return { clusters, pods, statefulSets, nodes, budgets, all };
};

const objectPath = (at: string, plural: string, key: string): string => {
  const [namespace = "", name = ""] = key.split("/");
  return `${collection(at, plural, namespace)}/${name}`;
};

/** An object that cannot be read is left out and said; it must not stop the watch of the others. */
const forgiving =
  <T>(decode: (object: unknown) => T | undefined, path: string, logger: Logger) =>
  (object: unknown): T | undefined => {
    try {
      return decode(object);
    } catch (error) {
      logger.error({ path, reason: messageOf(error) }, "cannot read an object of the API server");
      return undefined;
    }
  };
