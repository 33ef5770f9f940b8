import { expect, field, helm, kubectl, must, run, until } from "./kube.ts";

/** The cluster under test: names, what is waited for, and the faults that the machine can make. */
export const image = process.env["EDIS_E2E_IMAGE"] ?? "edis:dev";
const [repository = "", tag = ""] = image.split(/:(?=[^:/]*$)/);
export const namespace = "edis-e2e";
export const operators = "edis-system";
export const inOperators = ["-n", operators];
export const in_ = ["-n", namespace];

export const readerLabel = "app.kubernetes.io/instance=demo,app.kubernetes.io/component=reader";
export const writerLabel = "app.kubernetes.io/instance=demo,app.kubernetes.io/component=writer";

export const cluster = (name: string, spec: string, meta = ""): string =>
  `apiVersion: edis.dev/v1alpha1\nkind: ShardCluster\nmetadata: {name: ${name}, namespace: ${namespace}${meta}}\nspec: ${spec}\n`;

export const ready = (name: string): Promise<string> =>
  field('{.status.conditions[?(@.type=="Ready")].status}', ...in_, "shc", name);

/** What a ShardCluster says of itself where it is not as wanted. */
export const said = (name: string): Promise<string> =>
  field(
    '{range .status.conditions[?(@.status=="True")]}{.type} {.reason}: {.message}; {end}',
    ...[...in_, "shc", name],
  );

/**
 * Waits until the ShardCluster says that it is as it is wanted. Two minutes, because Kubernetes' own controllers take up to
 * one to list and watch again after their API server was killed.
 */
export const settled = (name: string, writers: string, readers: string): Promise<number> =>
  until(`${name} settles`, 120_000, async () => {
    const path =
      '{.status.writersReady} {.status.readersReady} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Progressing")].status}';
    const now = await field(path, ...in_, "shc", name);
    return now === `${writers} ${readers} True False` ? undefined : `${now}; ${await said(name)}`;
  });

export const patch = (name: string, spec: string): Promise<string> =>
  kubectl(...in_, "patch", "shc", name, "--type=merge", "-p", `{"spec":${spec}}`);

export const podsOf = async (selector: string): Promise<string[]> =>
  (await field("{.items[*].metadata.name}", ...in_, "pods", "-l", selector))
    .split(" ")
    .filter((pod) => pod !== "");

export const nodeOf = (pod: string): Promise<string> => field("{.spec.nodeName}", ...in_, "pod", pod);
export const uidOf = (pod: string): Promise<string> => field("{.metadata.uid}", ...in_, "pod", pod);
export const ownerOf = (name: string, shard: number): Promise<string> =>
  field(`{.status.shards[${shard}].owner}`, ...in_, "shc", name);

export const install = (...more: readonly string[]): Promise<string> =>
  helm(
    ...["upgrade", "--install", "edis", "charts/edis", "-n", operators, "--wait", "--timeout", "90s"],
    ...["--set", `image.repository=${repository},image.tag=${tag}`, ...more],
  );

export const cleanUp = async (): Promise<void> => {
  await run("kubectl", ["delete", "shc", "--all", ...in_, "--timeout=60s"]);
  await run("kubectl", ["delete", "namespace", namespace, "--timeout=120s"]);
  await run("helm", ["uninstall", "edis", "-n", operators, "--wait"]);
  await run("kubectl", ["delete", "namespace", operators, "--timeout=60s"]);
  const crds = ["shardclusters.edis.dev", "shardtopologies.edis.dev"];
  await run("kubectl", ["delete", "crd", ...crds, "--timeout=60s"]);
};

export const setUp = async (): Promise<void> => {
  const load = process.env["EDIS_E2E_LOAD"];
  if (load !== undefined && load !== "") await must("bash", ["-c", `${load} ${image}`]);
  await cleanUp();
  for (const name of [operators, namespace]) {
    await kubectl("create", "namespace", name);
    await kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted");
  }
};

export const leader = (): Promise<string> =>
  field("{.spec.holderIdentity}", ...inOperators, "lease", "edis-operator");
export const newLeader = (before: string): Promise<number> =>
  until("another operator leads", 40_000, async () => {
    const now = await leader();
    return now !== "" && now !== before ? undefined : `the lease is held by "${now}"`;
  });
export const operatorsReady = (): Promise<string> =>
  kubectl(...inOperators, "rollout", "status", "deployment/edis-operator", "--timeout=60s");

/** What a machine can do to nodes. Each is a shell command that finds the node's name in $NODE; undefined where it is not given. */
const command = (name: string): ((node: string) => Promise<string>) | undefined => {
  const text = process.env[name];
  if (text === undefined || text === "") return undefined;
  return (node) => must("bash", ["-c", `export NODE=${node}; ${text}`]);
};
export const faults = {
  stopNode: command("EDIS_E2E_STOP_NODE"),
  startNode: command("EDIS_E2E_START_NODE"),
  cutNode: command("EDIS_E2E_CUT_NODE"),
  healNode: command("EDIS_E2E_HEAL_NODE"),
  restartApi: command("EDIS_E2E_RESTART_API"),
};

/** Sends a signal to a pod's shard process from its node, as nobody inside of a container can kill its first process. Undefined where there is no way onto nodes. */
export const signalShard = ((): ((signal: string, pod: string) => Promise<void>) | undefined => {
  const onNode = process.env["EDIS_E2E_ON_NODE"];
  if (onNode === undefined || onNode === "") return undefined;
  return async (signal, pod) => {
    const find = `for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/environ 2>/dev/null | grep -qx EDIS_POD=${pod} && tr '\\0' ' ' < $p/cmdline | grep -q shard.cjs && kill -${signal} \${p#/proc/} && echo done; done; true`;
    const node = await nodeOf(pod);
    const out = await must("bash", ["-c", `export NODE=${node}; ${onNode} sh -c "$1"`, "sh", find]);
    expect(out.includes("done"), `no process of ${pod} was found on ${node}`);
  };
})();

/** Waits until a node is Ready, or is not. */
export const nodeIs = (node: string, wanted: boolean): Promise<number> =>
  until(`${node} is ${wanted ? "" : "not "}Ready`, 120_000, async () => {
    const state = await field('{.status.conditions[?(@.type=="Ready")].status}', "node", node);
    return (state === "True") === wanted ? undefined : `Ready is ${state}`;
  });
