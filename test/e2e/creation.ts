import { apply, expect, field, kubectl, run, until } from "./kube.ts";
import { redisClients } from "./redisPod.ts";
import { redisTools } from "./redisTools.ts";
import { seconds, test } from "./report.ts";
import { cluster, image, in_, namespace, readerLabel, ready, writerLabel } from "./world.ts";

const readyMsMax = 15_000;

/** Makes the cluster demo; `all`: with what only looks at it. */
export const creation = async (all: boolean): Promise<void> => {
  await test("3 writers and 3 readers: all slots writable and Ready in time", async () => {
    const startMs = performance.now();
    await apply(cluster("demo", "{writers: 3, readers: 3, durability: {acks: inSync}}"));
    await until("Ready", 60_000, async () => ((await ready("demo")) === "True" ? undefined : "not Ready"));
    const tookMs = performance.now() - startMs;
    expect(tookMs < readyMsMax, `Ready after ${seconds(tookMs)}`);
    expect((await field("{.status.slotsServed}", ...in_, "shc", "demo")) === "16384", "slots are missing");
    return `after ${seconds(tookMs)}`;
  });
  if (!all) return;
  await test("kubectl get shc and sht show it", async () => {
    const shown = await kubectl(...in_, "get", "shc", "demo", "--no-headers");
    expect(/^demo\s+True\s+3\/3\s+3\/3\s+16384\s+\d+s/.test(shown), shown);
    const topology = await kubectl(...in_, "get", "sht", "demo", "--no-headers");
    expect(/^demo\s+3\s+1\s+\d+s/.test(topology), topology);
    return shown.trim().replace(/\s+/g, " ");
  });
  await test("writers are spread over the nodes, readers too", async () => {
    const nodes = (await field("{.items[*].metadata.name}", "nodes")).split(" ").length;
    for (const label of [writerLabel, readerLabel]) {
      const used = (await field("{.items[*].spec.nodeName}", ...in_, "pods", "-l", label)).split(" ");
      expect(new Set(used).size === Math.min(nodes, used.length), `${label} on ${used.join(" ")}`);
    }
    return `${nodes} nodes`;
  });
  await test("pods have no token of the API server", async () => {
    const { code } = await run("kubectl", [
      ...in_,
      "exec",
      "demo-write-0",
      "--",
      "ls",
      "/var/run/secrets/kubernetes.io",
    ]);
    expect(code !== 0, "there is one");
    return "";
  });
  await test("a set through the Service of the writers is got through that of the readers, from another pod", async () => {
    await apply(JSON.stringify(shellPod));
    await kubectl(...in_, "wait", "--for=condition=Ready", "pod/shell", "--timeout=60s");
    const edis = (service: string, ...args: readonly string[]): Promise<string> =>
      kubectl(
        ...in_,
        "exec",
        "shell",
        "--",
        "edis",
        "--info",
        `ws://${service}.${namespace}:7379/${namespace}/demo`,
        ...args,
      );
    await until("set", 15_000, () => edis("demo", "set", "greeting", "hello").then(() => undefined));
    let value = "";
    await until("get", 15_000, async () => {
      value = (await edis("demo-read", "get", "greeting")).trim();
      return value === "hello" ? undefined : value;
    });
    return value;
  });
  await test("kubectl exec into a shard: edis finds its cluster by itself", async () => {
    await kubectl(...in_, "exec", "demo-write-0", "--", "edis", "set", "inside", "yes");
    const value = (await kubectl(...in_, "exec", "demo-read-1", "--", "edis", "get", "inside")).trim();
    expect(value === "yes", value);
    return value;
  });
  await test("Redis clients write through the Service and read from readers; MOVED can be followed", () =>
    redisClients(namespace, image));
  await redisTools();
};

const shellPod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "shell", namespace },
  spec: {
    terminationGracePeriodSeconds: 0,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
    containers: [
      {
        name: "shell",
        image,
        command: ["sleep", "infinity"],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
      },
    ],
  },
};
