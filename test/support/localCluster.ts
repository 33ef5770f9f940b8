import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../core/clock.ts";
import { up, type LocalCluster, type LocalEvent, type LocalPod, type Up } from "../../operator/local/up.ts";
import { until } from "./net.ts";

export const shardMain = fileURLToPath(new URL("../../shard/main.ts", import.meta.url));

export const clusterYaml = (writers: number, readers: number, name = "demo"): string =>
  `apiVersion: edis.dev/v1alpha1
kind: ShardCluster
metadata:
  name: ${name}
spec:
  writers: ${writers}
  readers: ${readers}
`;

/** A local cluster of real processes, in a folder of its own. */
export type LocalWorld = {
  readonly running: Up;
  readonly folder: string;
  readonly file: string;
  readonly events: readonly LocalEvent[];
  readonly write: (content: string) => void;
  /** The only cluster that is there. */
  readonly cluster: () => LocalCluster;
  /** All pods that are shown, by name. */
  readonly pods: () => ReadonlyMap<string, LocalPod>;
  /** Waits until the cluster says that it is Ready with so many readers serving; resolves to the milliseconds it took. */
  readonly ready: (readers: number, withinMs?: number) => Promise<number>;
  readonly stop: () => Promise<void>;
};

export type WorldOptions = {
  readonly program?: string;
  /** Of an earlier world that was kept. */
  readonly folder?: string;
  /** Its folder stays when it stops. */
  readonly keep?: boolean;
};

export const startLocalWorld = async (
  content: string,
  {
    program = shardMain,
    folder = mkdtempSync(join(tmpdir(), "edis-local-")),
    keep = false,
  }: WorldOptions = {},
): Promise<LocalWorld> => {
  const file = join(folder, "cluster.yaml");
  writeFileSync(file, content);
  const events: LocalEvent[] = [];
  const running = await up({
    file,
    state: join(folder, "state"),
    infoPort: 0,
    httpPort: 0,
    program,
    logLevel: "info",
    clock: systemClock,
    told: (event) => events.push(event),
  });
  const cluster = (): LocalCluster => {
    const [only] = running.clusters();
    if (only === undefined) throw new Error("there is no cluster yet");
    return only;
  };
  const serving = (pods: readonly (LocalPod | null)[]): number =>
    pods.filter((pod) => pod?.state === "serving").length;
  return {
    running,
    folder,
    file,
    events,
    write: (next) => {
      writeFileSync(file, next);
    },
    cluster,
    pods: () => {
      const { shards, others } = cluster();
      const all = [
        ...shards.flatMap(({ owner, readers }) => [...(owner === null ? [] : [owner]), ...readers]),
        ...others,
      ];
      return new Map(all.map((pod) => [pod.pod, pod]));
    },
    ready: async (readers, withinMs = 30_000) => {
      const startMs = systemClock.nowMs();
      await until(
        `ready with ${readers} readers`,
        () => {
          const [seen] = running.clusters();
          if (seen === undefined) return false;
          const isReady = seen.conditions.some(({ type, status }) => type === "Ready" && status === "True");
          const owners = seen.shards.map(({ owner }) => owner);
          const shown = seen.shards.flatMap((shard) => shard.readers);
          return (
            isReady &&
            serving(owners) === owners.length &&
            serving(shown) === readers &&
            shown.length === readers &&
            seen.others.length === 0
          );
        },
        withinMs,
      );
      return systemClock.nowMs() - startMs;
    },
    stop: async () => {
      await running.stop();
      if (!keep) rmSync(folder, { recursive: true, force: true });
    },
  };
};

export const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
