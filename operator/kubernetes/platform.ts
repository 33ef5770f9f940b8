import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/logger.ts";
import type { Pod } from "../plan/model.ts";
import type { Platform } from "../platform.ts";
import { apiVersion } from "../schema.ts";
import { keyOf } from "../shardCluster.ts";
import type { Api } from "./api.ts";
import { createApplier, type Applier } from "./apply.ts";
import { shardClusters } from "./crds.ts";
import { createEvents } from "./events.ts";
import { collection } from "./paths.ts";
import { ownedSelector, resourcesFor, type Surroundings } from "./resources.ts";
import {
  appliedFrom,
  seenCluster,
  seenPod,
  seenStatefulSet,
  seenZone,
  type Applied,
  type SeenCluster,
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
  const watches = createWatches(options, applier, (key) => {
    changed(key);
  });
  const { clusters, pods, statefulSets, zones } = watches;

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
    observe: (cluster) => {
      const key = keyOf(cluster);
      const own = (set: SeenStatefulSet): boolean => set.cluster === key && set.ownerUid === cluster.uid;
      const sets = [...statefulSets.objects.values()].filter(own);
      const writers = sets.find(({ role }) => role === "writer");
      const readers = sets.find(({ role }) => role === "reader");
      return Promise.resolve({
        pods: [...pods.objects.values()].filter((pod) => pod.cluster === key).map(podWith(zones)),
        workload:
          writers === undefined || readers === undefined
            ? null
            : { writers: writers.replicas, readers: readers.replicas },
      });
    },
    apply: async (cluster, workload) => {
      // Pods that start without it wait for the kubelet's next try.
      await token(cluster);
      const objects = resourcesFor(cluster, workload, surroundings);
      const results = await Promise.allSettled(objects.map((object) => applier.apply(object)));
      for (const result of results) if (result.status === "rejected") throw result.reason;
    },
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
      applier.forget(
        (path) =>
          path.includes(`/namespaces/${namespace}/`) &&
          ["", "-read", "-write", "-read-pods", "-write-pods"].some((end) => path.endsWith(`/${name}${end}`)),
      );
      return Promise.resolve();
    },
  };
};

const podWith =
  (zones: Watched<string>) =>
  ({ name, role, ordinal, node, deleting, problem }: SeenPod): Pod => ({
    name,
    home: role,
    ordinal,
    node,
    zone: zones.objects.get(`/${node}`) ?? "",
    deleting,
    problem,
  });

type Watches = {
  readonly clusters: Watched<SeenCluster>;
  readonly pods: Watched<SeenPod>;
  readonly statefulSets: Watched<SeenStatefulSet>;
  readonly zones: Watched<string>;
  readonly all: readonly Pick<Watched<unknown>, "run" | "listed">[];
};

const createWatches = (
  { api, namespace, clock, random, logger }: KubernetesOptions,
  applier: Applier,
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
  const zones = make<string>("v1", "nodes", {
    labelSelector: "",
    decode: seenZone,
    changed: () => undefined,
    // Nodes tell the zones; an operator of one namespace may not be allowed to see them, and does without.
    optional: true,
  });
  const others = [drift("v1", "services"), drift("policy/v1", "poddisruptionbudgets")];
  return {
    clusters,
    pods,
    statefulSets,
    zones,
    all: [clusters, pods, statefulSets, zones, ...others],
  };
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
