/**
 * The cluster tests, on the cluster that KUBECONFIG names. The image (EDIS_E2E_IMAGE, edis:dev) has to be there already;
 * EDIS_E2E_LOAD is a command that takes its name and makes it so. EDIS_E2E_RESTART_API is a command that restarts the API
 * server, EDIS_E2E_STOP_NODE and EDIS_E2E_START_NODE are commands that cut and restore the power of the node $NODE: without
 * them those tests are left out. They install the chart in edis-system and end with everything taken away.
 * Prints a line per test and closes with `N passed, N failed`.
 */
import { readFile } from "node:fs/promises";
import { parseAllDocuments } from "yaml";
import { apply, expect, field, helm, kubectl, must, run, sleep, until } from "./kube.ts";
import { loadPod } from "./loadPod.ts";
import { redisClients } from "./redisPod.ts";

const image = process.env["EDIS_E2E_IMAGE"] ?? "edis:dev";
const [repository = "", tag = ""] = image.split(/:(?=[^:/]*$)/);
const namespace = "edis-e2e";
const operators = "edis-system";
const inOperators = ["-n", operators];
const in_ = ["-n", namespace];
const readyMsMax = 15_000;

let passed = 0;
let failed = 0;

/** One test: prints what it found, or why it failed. */
const test = async (title: string, body: () => Promise<string>): Promise<void> => {
  const startMs = performance.now();
  try {
    const found = await body();
    passed++;
    console.log(`✔ ${title}${found === "" ? "" : ` (${found})`} ${seconds(performance.now() - startMs)}`);
  } catch (error) {
    failed++;
    const reason = error instanceof Error ? error.message : String(error);
    console.log(`✘ ${title}: ${reason} ${seconds(performance.now() - startMs)}`);
  }
};
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

const cluster = (name: string, spec: string, meta = ""): string =>
  `apiVersion: edis.dev/v1alpha1\nkind: ShardCluster\nmetadata: {name: ${name}, namespace: ${namespace}${meta}}\nspec: ${spec}\n`;

const ready = (name: string): Promise<string> =>
  field('{.status.conditions[?(@.type=="Ready")].status}', ...in_, "shc", name);

/**
 * Waits until the ShardCluster says that it is as it is wanted. Two minutes, because Kubernetes' own controllers take up to
 * one to list and watch again after their API server was killed.
 */
const settled = (name: string, writers: string, readers: string): Promise<number> =>
  until(`${name} settles`, 120_000, async () => {
    const path =
      '{.status.writersReady} {.status.readersReady} {.status.conditions[?(@.type=="Ready")].status}';
    const said = await field(path, ...in_, "shc", name);
    return said === `${writers} ${readers} True` ? undefined : said;
  });

const podsOf = async (selector: string): Promise<string[]> =>
  (await field("{.items[*].metadata.name}", ...in_, "pods", "-l", selector))
    .split(" ")
    .filter((pod) => pod !== "");

const readerLabel = "app.kubernetes.io/instance=demo,app.kubernetes.io/component=reader";
const writerLabel = "app.kubernetes.io/instance=demo,app.kubernetes.io/component=writer";

const cleanUp = async (): Promise<void> => {
  await run("kubectl", ["delete", "shc", "--all", ...in_, "--timeout=60s"]);
  await run("kubectl", ["delete", "namespace", namespace, "--timeout=120s"]);
  await run("helm", ["uninstall", "edis", "-n", operators, "--wait"]);
  await run("kubectl", ["delete", "namespace", operators, "--timeout=60s"]);
  await run("kubectl", [
    "delete",
    "crd",
    "shardclusters.edis.dev",
    "shardtopologies.edis.dev",
    "--timeout=60s",
  ]);
};

const install = (...more: readonly string[]): Promise<string> =>
  helm(
    ...["upgrade", "--install", "edis", "charts/edis", "-n", operators, "--wait", "--timeout", "90s"],
    ...["--set", `image.repository=${repository},image.tag=${tag},replicas=2`, ...more],
  );

const setUp = async (): Promise<void> => {
  const load = process.env["EDIS_E2E_LOAD"];
  if (load !== undefined && load !== "") await must("bash", ["-c", `${load} ${image}`]);
  await cleanUp();
  for (const name of [operators, namespace]) {
    await kubectl("create", "namespace", name);
    await kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted");
  }
};

const refusals: readonly (readonly [what: string, spec: string, wanted: RegExp, name?: string])[] = [
  ["no writer", "{writers: 0}", /spec\.writers.*greater than or equal to 1/],
  ["too many readers", "{readers: 20000}", /spec\.readers.*less than or equal to 10000/],
  ["a misspelt field", "{writer: 3}", /unknown field "spec\.writer"/],
  ["text for a number", "{writers: many}", /spec\.writers.*integer/],
  ["an impatient lag", "{reads: {lagMsMax: 1}}", /lagMsMax.*greater than or equal to 100/],
  [
    "ephemeral storage with a size",
    "{storage: {ephemeral: true, size: 1Gi}}",
    /ephemeral storage has no size/,
  ],
  ["a size that is none", "{storage: {size: large}}", /size must be a quantity above zero, such as 10Gi/],
  ["a maximum that is none", "{memory: {max: lots}}", /max must be a quantity of at least 16Mi/],
  ["a maximum without use", "{memory: {max: 1Mi}}", /max must be a quantity of at least 16Mi/],
  ["an unknown eviction", "{memory: {eviction: lru}}", /eviction.*supported values/i],
  ["labels of the operator", "{template: {labels: {app.kubernetes.io/name: x}}}", /set by the operator/],
  ["a long name", "{}", /at most 40 characters/, "a".repeat(41)],
  ["a name of a Service of another", "{}", /must not end with -read/, "demo-read"],
];

const installation = async (): Promise<void> => {
  await test("the chart installs with two operators, in a restricted namespace", async () => {
    await install();
    return field("{.status.readyReplicas} ready", ...inOperators, "deployment", "edis-operator");
  });
  await test("the one-file manifest is what the chart makes", async () => {
    const chart = await helm("template", "edis", "charts/edis", "-n", operators, "--kube-version", "1.34.0");
    const file = await readFile("k8s/edis.yaml", "utf8");
    const [fromChart, fromFile] = [plainObjects(chart), plainObjects(file)];
    fromFile.delete(`Namespace ${operators}`);
    for (const [id, text] of fromFile)
      expect(fromChart.get(id) === text, `${id} is\n${fromChart.get(id) ?? "missing"}\nand not\n${text}`);
    expect(fromChart.size === fromFile.size, `the chart has ${[...fromChart.keys()].join(", ")}`);
    return `${fromFile.size} objects`;
  });
  for (const [what, spec, wanted, name = "bad"] of refusals) {
    await test(`refused, saying what is wanted: ${what}`, async () => {
      const { code, err } = await run("kubectl", ["apply", "-f", "-"], cluster(name, spec));
      expect(code !== 0 && wanted.test(err), `exit code ${code}: ${err}`);
      return "";
    });
  }
};

/** Every object by kind and name, without what only Helm writes and without order. */
const plainObjects = (manifests: string): Map<string, string> => {
  const helmOnly = [
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "helm.sh/resource-policy",
  ];
  const plain = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value)
      .filter(([key]) => !helmOnly.includes(key))
      .map(([key, inner]): [string, unknown] => [key, plain(inner)])
      .filter(([key, inner]) => key !== "annotations" || Object.keys(inner as object).length > 0);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return new Map(
    parseAllDocuments(manifests)
      .map((document) => document.toJS() as { kind: string; metadata: { name: string } } | null)
      .flatMap((object) =>
        object === null
          ? []
          : [[`${object.kind} ${object.metadata.name}`, JSON.stringify(plain(object))] as const],
      ),
  );
};

const creation = async (): Promise<void> => {
  await test("3 writers and 3 readers: all slots writable and Ready in time", async () => {
    const startMs = performance.now();
    await apply(cluster("demo", "{writers: 3, readers: 3}"));
    await until("Ready", 60_000, async () => ((await ready("demo")) === "True" ? undefined : "not Ready"));
    const tookMs = performance.now() - startMs;
    expect(tookMs < readyMsMax, `Ready after ${seconds(tookMs)}`);
    expect((await field("{.status.slotsServed}", ...in_, "shc", "demo")) === "16384", "slots are missing");
    return `after ${seconds(tookMs)}`;
  });
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

const scaling = async (): Promise<void> => {
  await test("kubectl scale to 9 readers", () =>
    load.during(async () => {
      await kubectl(...in_, "scale", "shc/demo", "--replicas=9");
      await until("9 pods", 30_000, async () => {
        const { length } = await podsOf(readerLabel);
        return length === 9 ? undefined : `${length} pods`;
      });
      return `settled after ${seconds(await settled("demo", "3/3", "9/9"))}`;
    }));
  await test("kubectl scale back to 3 readers", () =>
    load.during(async () => {
      await kubectl(...in_, "scale", "shc/demo", "--replicas=3");
      const tookMs = await settled("demo", "3/3", "3/3");
      await until("3 pods", 60_000, async () => {
        const { length } = await podsOf(readerLabel);
        return length === 3 ? undefined : `${length} pods`;
      });
      return `settled after ${seconds(tookMs)}`;
    }));
  const patch = (spec: string): Promise<string> =>
    kubectl(...in_, "patch", "shc", "demo", "--type=merge", "-p", `{"spec":${spec}}`);
  await test("a fourth writer is an empty shard", () =>
    load.during(async () => {
      await patch('{"writers":4}');
      await settled("demo", "4/4", "3/3");
      const slots = await field("{.status.shards[3].slots}", ...in_, "shc", "demo");
      expect(slots === "0" || slots === "", `shard 3 owns ${slots} slots`);
      return "";
    }));
  await test("it may go again, as it owns no slots", () =>
    load.during(async () => {
      await patch('{"writers":3}');
      await settled("demo", "3/3", "3/3");
      return "";
    }));
  await test("a writer that owns slots may not: the wish is refused with a condition that says why", () =>
    load.during(async () => {
      await patch('{"writers":2}');
      let said = "";
      await until("a condition", 20_000, async () => {
        said = await field(
          '{range .status.conditions[?(@.status=="True")]}{.type} {.reason}: {.message}; {end}',
          ...in_,
          "shc",
          "demo",
        );
        return said.includes("slots") && /Degraded|Progressing/.test(said) ? undefined : said;
      });
      expect((await podsOf(writerLabel)).length === 3, "a writer was taken away");
      await patch('{"writers":3}');
      await settled("demo", "3/3", "3/3");
      return said.trim();
    }));
};

const leader = (): Promise<string> =>
  field("{.spec.holderIdentity}", ...inOperators, "lease", "edis-operator");
const newLeader = (before: string): Promise<number> =>
  until("another operator leads", 40_000, async () => {
    const now = await leader();
    return now !== "" && now !== before ? undefined : `the lease is held by "${now}"`;
  });
const restarted = (): Promise<string> =>
  kubectl(...inOperators, "rollout", "status", "deployment/edis-operator", "--timeout=60s");

/** Whether somebody still acts on wishes: one reader more, then one less. */
const scaledAndBack = async (): Promise<number> => {
  await kubectl(...in_, "scale", "shc/demo", "--replicas=4");
  const tookMs = await settled("demo", "3/3", "4/4");
  await kubectl(...in_, "scale", "shc/demo", "--replicas=3");
  await settled("demo", "3/3", "3/3");
  return tookMs;
};

const faults = async (): Promise<void> => {
  await test("a deleted reader pod comes back; reads and writes go on", () =>
    load.during(async () => {
      await kubectl(...in_, "delete", "pod", "demo-read-1");
      return `settled after ${seconds(await settled("demo", "3/3", "3/3"))}`;
    }));
  await test("a deleted writer pod comes back with its data; writes to it wait", () =>
    load.during(async () => {
      await kubectl(...in_, "delete", "pod", "demo-write-1");
      return `settled after ${seconds(await settled("demo", "3/3", "3/3"))}`;
    }));
  await test("the operator that leads is deleted: the other takes over", () =>
    load.during(async () => {
      const before = await leader();
      await kubectl(...inOperators, "delete", "pod", before, "--wait=false");
      const tookMs = await newLeader(before);
      await restarted();
      return `after ${seconds(tookMs)}`;
    }));
  await test("the operator that leads is deleted by force: the other takes over", () =>
    load.during(async () => {
      const before = await leader();
      await kubectl(...inOperators, "delete", "pod", before, "--force", "--grace-period=0");
      const tookMs = await newLeader(before);
      await restarted();
      return `after ${seconds(tookMs)}`;
    }));
  await test("without any operator the data path goes on", () =>
    load.during(async () => {
      await kubectl(...inOperators, "scale", "deployment/edis-operator", "--replicas=0");
      await kubectl(
        ...inOperators,
        "wait",
        "--for=delete",
        "pod",
        "-l",
        "app.kubernetes.io/name=edis-operator",
        "--timeout=60s",
      );
      await sleep(5_000);
      await kubectl(...inOperators, "scale", "deployment/edis-operator", "--replicas=2");
      await restarted();
      return `a scaling afterwards settled in ${seconds(await scaledAndBack())}`;
    }));
  const restartApi = process.env["EDIS_E2E_RESTART_API"];
  if (restartApi !== undefined && restartApi !== "") {
    await test("the API server is restarted", () =>
      load.during(async () => {
        await must("bash", ["-c", restartApi]);
        await sleep(5_000);
        await until("the API server answers", 60_000, () =>
          kubectl("get", "--raw=/readyz").then(() => undefined),
        );
        return `a scaling afterwards settled in ${seconds(await scaledAndBack())}`;
      }));
  }
  await test("what somebody changed by hand is put right", () =>
    load.during(async () => {
      await kubectl(...in_, "delete", "service", "demo-read");
      await kubectl(
        ...in_,
        "patch",
        "pdb",
        "demo-write",
        "--type=merge",
        "-p",
        '{"spec":{"maxUnavailable":3}}',
      );
      await kubectl(...in_, "scale", "statefulset/demo-read", "--replicas=4");
      return `after ${seconds(
        await until("put right", 20_000, async () => {
          await kubectl(...in_, "get", "service", "demo-read");
          const found = [
            await field("{.spec.maxUnavailable}", ...in_, "pdb", "demo-write"),
            await field("{.spec.replicas}", ...in_, "statefulset", "demo-read"),
          ].join(" ");
          return found === "1 3" ? undefined : found;
        }),
      )}`;
    }));
  await test("no acknowledged write was lost in all this", () => load.verify());
  await test("at rest nothing is written to the API server", async () => {
    await settled("demo", "3/3", "3/3");
    await sleep(11_000);
    const versions = (): Promise<string> =>
      field(
        "{range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion} {end}",
        ...in_,
        "shc,sht,sts,svc,pdb,secrets",
      );
    const before = await versions();
    await sleep(15_000);
    const after = await versions();
    expect(before === after, `\n${before}\n${after}`);
    return "15 s";
  });
};

const gone = (name: string): Promise<number> =>
  until(`everything of ${name} is gone`, 150_000, async () => {
    const left = await kubectl(
      ...in_,
      "get",
      "shc,sht,sts,svc,pdb,secrets,pods,controllerrevisions",
      ...["-l", `app.kubernetes.io/instance=${name}`, "-o", "name"],
    );
    return left.trim() === "" ? undefined : left;
  });
const claims = async (name: string): Promise<string[]> =>
  (await kubectl(...in_, "get", "pvc", "-l", `app.kubernetes.io/instance=${name}`, "-o", "name"))
    .split("\n")
    .filter((claim) => claim !== "");

/** A lone writer, without readers to copy from: what it has comes from its volume. */
const lone = "lone-write-0";
const loneKeys = 2_000;
const asked = (...lines: readonly string[]): Promise<string> =>
  must("kubectl", [...in_, "exec", "-i", lone, "--", "edis"], `${lines.join("\n")}\nexit\n`);
const written = (n: number): Promise<string> =>
  asked(...Array.from({ length: loneKeys }, (_, i) => `set key:${i} ${n}.${i}`));
const held = async (n: number): Promise<string> => {
  const said = await asked(...Array.from({ length: loneKeys }, (_, i) => `get key:${i}`));
  const values = said.split("\n").filter((text) => /^[0-9]+\.[0-9]+$/.test(text));
  const lost = Array.from({ length: loneKeys }, (_, i) => `${n}.${i}`).filter(
    (value, i) => values[i] !== value,
  );
  expect(
    lost.length === 0,
    `${lost.length} of ${loneKeys} keys are not what was written, as ${lost[0] ?? ""}`,
  );
  return `${loneKeys} keys`;
};
/** Deletes a pod and waits until the one in its place is ready. */
const replaced = async (pod: string, ...how: readonly string[]): Promise<number> => {
  const before = await field("{.metadata.uid}", ...in_, "pod", pod);
  await kubectl(...in_, "delete", "pod", pod, ...how);
  const path = '{.metadata.uid} {.status.conditions[?(@.type=="Ready")].status}';
  const tookMs = await until(`${pod} is back`, 120_000, async () => {
    const said = await field(path, ...in_, "pod", pod);
    return said.endsWith(" True") && !said.startsWith(before) ? undefined : said;
  });
  return tookMs + (await settled("lone", "1/1", "0/0"));
};
const nodeOf = (pod: string): Promise<string> => field("{.spec.nodeName}", ...in_, "pod", pod);

const persistence = async (): Promise<void> => {
  await test("a lone writer that is deleted has every acknowledged write when it comes back", async () => {
    await apply(cluster("lone", "{writers: 1, readers: 0, durability: {fsync: always}}"));
    await settled("lone", "1/1", "0/0");
    await written(1);
    const tookMs = await replaced(lone, "--force", "--grace-period=0");
    return `${await held(1)}, ready after ${seconds(tookMs)}`;
  });
  await test("its volume follows it to another node", async () => {
    await written(2);
    const before = await nodeOf(lone);
    await kubectl("cordon", before);
    try {
      const tookMs = await replaced(lone);
      const after = await nodeOf(lone);
      expect(after !== before, `it is on ${after} once more`);
      return `${await held(2)}, from ${before} to ${after} in ${seconds(tookMs)}`;
    } finally {
      await kubectl("uncordon", before);
    }
  });
  const [stop, start] = [process.env["EDIS_E2E_STOP_NODE"], process.env["EDIS_E2E_START_NODE"]];
  if (stop === undefined || start === undefined) return;
  await test("its node loses power and boots: every acknowledged write is there", async () => {
    await written(3);
    const node = await nodeOf(lone);
    await must("bash", ["-c", `NODE=${node}; ${stop}`]);
    await until("the node is missed", 120_000, async () => {
      const state = await field('{.status.conditions[?(@.type=="Ready")].status}', "node", node);
      return state === "True" ? "it is Ready" : undefined;
    });
    await must("bash", ["-c", `NODE=${node}; ${start}`]);
    const tookMs = await until("the node is there", 120_000, async () => {
      const state = await field('{.status.conditions[?(@.type=="Ready")].status}', "node", node);
      return state === "True" ? undefined : `it is ${state}`;
    });
    const readyMs = tookMs + (await settled("lone", "1/1", "0/0"));
    await settled("demo", "3/3", "3/3");
    // The kubelet knows of the new container a little later than it serves.
    await until("the container can be entered", 30_000, async () => {
      const { code, err } = await run("kubectl", [...in_, "exec", lone, "--", "true"]);
      return code === 0 ? undefined : err;
    });
    return `${await held(3)}, settled ${seconds(readyMs)} after the node was started`;
  });
  await kubectl(...in_, "delete", "shc", "lone");
};

const deletion = async (): Promise<void> => {
  await test("a deleted ShardCluster leaves its volumes, as whenDeleted says Retain, and nothing else", async () => {
    await kubectl(...in_, "delete", "shc", "demo");
    const tookMs = await gone("demo");
    // The fourth writer's stays, too: only readers' volumes go when their pods are scaled away.
    const wanted = ["read-0", "read-1", "read-2", "write-0", "write-1", "write-2", "write-3"];
    const left = (await claims("demo")).map((claim) => claim.replace("persistentvolumeclaim/data-demo-", ""));
    expect(left.sort().join() === wanted.join(), `the claims are of ${left.join(", ")}`);
    return `after ${seconds(tookMs)}`;
  });
  await test("whenDeleted: Delete leaves nothing; a cluster of the same name can be made at once", async () => {
    const spec = "{writers: 1, readers: 1, storage: {whenDeleted: Delete}}";
    await apply(cluster("brief", spec));
    await settled("brief", "1/1", "1/1");
    await kubectl(...in_, "delete", "shc", "brief");
    await apply(cluster("brief", spec));
    const tookMs = await settled("brief", "1/1", "1/1");
    await kubectl(...in_, "delete", "shc", "brief");
    await gone("brief");
    await until("no claim is left", 60_000, async () => {
      const left = await claims("brief");
      return left.length === 0 ? undefined : left.join(" ");
    });
    return `Ready again after ${seconds(tookMs)}`;
  });
  await test("ephemeral storage has no volume claims", async () => {
    await apply(cluster("fleeting", "{writers: 1, readers: 1, storage: {ephemeral: true}}"));
    await settled("fleeting", "1/1", "1/1");
    const { length } = await claims("fleeting");
    await kubectl(...in_, "delete", "shc", "fleeting");
    expect(length === 0, `${length} claims`);
    return "";
  });
  await test("an operator of one namespace does with rights in that one", async () => {
    await install("--set", `watchNamespace=${namespace},nodes=false,replicas=1`);
    const { out } = await run("kubectl", [
      "get",
      "clusterrole",
      "edis-operator",
      "--ignore-not-found",
      "-o",
      "name",
    ]);
    expect(out.trim() === "", `there is ${out}`);
    await apply(cluster("single", "{writers: 1, readers: 1, storage: {ephemeral: true}}"));
    await settled("single", "1/1", "1/1");
    return "";
  });
  await test("uninstalling the chart leaves the ShardClusters and what they run", async () => {
    await helm("uninstall", "edis", "-n", operators, "--wait");
    await kubectl(...in_, "get", "shc", "single");
    const value = await kubectl(...in_, "exec", "single-write-0", "--", "edis", "set", "still", "there");
    return value.trim();
  });
};

const startMs = performance.now();
await setUp();
const load = loadPod(namespace, image, `ws://demo.${namespace}:7379`);
await installation();
await creation();
await test("a steady load of reads and writes runs", async () => {
  await load.start();
  return "";
});
await scaling();
await faults();
await persistence();
await deletion();
if (process.env["EDIS_E2E_KEEP"] === undefined) await cleanUp();
console.log(`took ${seconds(performance.now() - startMs)}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
