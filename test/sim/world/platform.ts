import { ApiError } from "../../../operator/kubernetes/api.ts";
import { createTopologyStore } from "../../../operator/kubernetes/topologyStore.ts";
import type { Pod } from "../../../operator/plan/model.ts";
import type { Platform, Seen } from "../../../operator/platform.ts";
import { keyOf, ordinalOf, type ShardCluster } from "../../../operator/shardCluster.ts";
import { apiName } from "./api.ts";
import type { Seeded } from "./seeded.ts";
import type { Process } from "./timeline.ts";
import { remakePod, type SimPod, type World } from "./world.ts";

/** What an operator sees of the world, a little late, and what it can do there. The ownership is kept by the operator's real store, in the world's API. */
export const createSimPlatform = (
  world: World,
  {
    process,
    random,
    token,
  }: { readonly process: Process; readonly random: Seeded; readonly token: Uint8Array },
): Platform => {
  const { timeline, network } = world;
  const store = createTopologyStore(world.api.of(process));
  const see = (): View => ({
    cluster: world.cluster,
    seen: {
      pods: [...world.pods.values()].map(podOf),
      workload: world.workload(),
      ended: new Set(world.ended),
      outdated: new Set(
        [...world.pods.values()].filter(({ isOutdated }) => isOutdated).map(({ name }) => name),
      ),
    },
  });
  let view = see();
  const isCut = (): boolean => network.isCut(process.name, apiName) || network.isCut(apiName, process.name);
  const call = <T>(act: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      timeline.at(timeline.nowMs() + random.between(1, 5), process, () => {
        if (isCut() || world.api.isAway) reject(new ApiError(0, "Cannot reach the API server"));
        else resolve(act());
      });
    });
  return {
    watch: (changed, signal) => {
      let isDue = false;
      const look = (): void => {
        isDue = false;
        if (signal.aborted) return;
        if (isCut() || world.api.isAway) {
          heard(500);
          return;
        }
        view = see();
        changed(keyOf(world.cluster));
      };
      const heard = (ms: number): void => {
        if (isDue) return;
        isDue = true;
        timeline.at(timeline.nowMs() + ms, process, look);
      };
      const watcher = (): void => {
        heard(random.between(1, random.chance(0.1) ? 200 : 20));
      };
      world.watchers.add(watcher);
      heard(1);
      return new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          world.watchers.delete(watcher);
          resolve();
        });
      });
    },
    cluster: (key) => (key === keyOf(view.cluster) ? view.cluster : undefined),
    observe: () => Promise.resolve(view.seen),
    apply: (_, workload) =>
      call(() => {
        world.scale(workload);
      }),
    restart: (_, { name, uid }) =>
      call(() => {
        const pod = world.pods.get(name);
        if (pod?.uid === uid) remakePod(world, pod);
      }),
    remade: () => new Set(),
    token: () => Promise.resolve(token),
    readOwnership: store.read,
    writeOwnership: store.write,
    writeStatus: () => call(() => undefined),
    event: () => call(() => undefined),
    forget: () => Promise.resolve(),
  };
};

type View = { readonly cluster: ShardCluster; readonly seen: Seen };

const podOf = ({ name, home, uid, deleting, deadBeforeMs }: SimPod): Pod => ({
  ...{ name, home, uid, ordinal: ordinalOf(name), node: "", zone: "", deleting, problem: null, deadBeforeMs },
});
