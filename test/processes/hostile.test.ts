import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { connect } from "../../client/index.ts";
import { attack, type Attack, type Outcome } from "../support/hostile.ts";
import { attackResp } from "../support/hostileResp.ts";
import { freePort, until } from "../support/net.ts";

// How many frames or commands each of nine doors gets. EDIS_HOSTILE_FRAMES=115000 is the long run, a million in all; its figures stand in docs/guarantees.md.
const frames = Number(process.env["EDIS_HOSTILE_FRAMES"] ?? "1000");
const heapMb = 128;

type Page = { readonly clusters: readonly Cluster[] };
type Cluster = { readonly clusterId: string; readonly members: readonly Member[] };
type Member = {
  readonly pod: string;
  readonly incarnation: string;
  readonly state: string;
  readonly address: {
    readonly client: number;
    readonly replication: number;
    readonly http: number;
    readonly resp: number;
  };
};

test("hostile frames at every port close connections and never a process", async (t) => {
  t.timeout(40 * 60_000);
  const { infoPort, httpPort, token } = await localCluster(t);
  const topology = async (): Promise<Cluster> => {
    const page = (await (await fetch(`http://127.0.0.1:${httpPort}/topology`)).json()) as Page;
    const [cluster] = page.clusters;
    if (cluster === undefined) throw new Error("no cluster");
    return cluster;
  };
  const before = await topology();
  const writer = memberOf(before, "demo-write-0");
  const reader = memberOf(before, "demo-read-0");
  const client = await connect({ info: `ws://127.0.0.1:${infoPort}` });
  t.teardown(() => {
    client.close();
  });
  await client.set("before", "kept");

  const ports: [string, Omit<Attack, "seed" | "frames">][] = [
    ["writer's client port", { url: url(writer.address.client), as: as("client", before.clusterId, null) }],
    ["reader's client port", { url: url(reader.address.client), as: as("client", before.clusterId, null) }],
    [
      "replication, with the token",
      { url: url(writer.address.replication), as: as("reader", before.clusterId, token) },
    ],
    ["replication, before a hello", { url: url(writer.address.replication), as: null }],
    ["info, as a client", { url: url(infoPort), as: as("client", before.clusterId, null) }],
    ["info, as a shard", { url: url(infoPort), as: as("reader", before.clusterId, token) }],
    ["info, before a hello", { url: url(infoPort), as: null }],
  ];
  const doors: [string, (seed: number) => Promise<Outcome>][] = [
    ["writer's RESP port", (seed) => attackResp(writer.address.resp, { inputs: frames, seed })],
    ["reader's RESP port", (seed) => attackResp(reader.address.resp, { inputs: frames, seed })],
    ...ports.map(([name, target]): [string, (seed: number) => Promise<Outcome>] => [
      name,
      (seed) => attack({ ...target, frames, seed }),
    ]),
  ];
  for (const [i, [name, run]] of doors.entries()) {
    const outcome = await run(1000 + i);
    t.true(
      outcome.sent >= frames,
      `${name}: ${outcome.sent} frames sent; ${outcome.unreachable.slice(0, 3).join("; ")}`,
    );
    t.log(`${name}: ${outcome.sent} frames over ${outcome.connections} connections`);
    // Others are served meanwhile.
    await client.set(`after-${i}`, "served");
    t.is(await client.getText(`after-${i}`, { consistency: "linearizable" }), "served", name);
  }

  t.is(await client.getText("before", { consistency: "linearizable" }), "kept");
  await until("every process serves as before", async () => {
    const { members } = await topology();
    return before.members.every(({ pod }) =>
      members.some((member) => member.pod === pod && member.state === "serving"),
    );
  });
  const after = await topology();
  for (const { pod, incarnation } of before.members)
    t.is(memberOf(after, pod).incarnation, incarnation, `${pod} went on`);
  for (const { pod, address } of after.members) {
    const rss = await metric(address.http, "process_resident_memory_bytes");
    t.log(`${pod}: ${Math.round(rss / 1e6)} MB resident`);
    t.true(rss < 400e6, `${pod} has ${rss} bytes resident`);
  }
});

test("a peer with a wrong token is refused and counted, at replication and at info", async (t) => {
  const { infoPort, httpPort } = await localCluster(t);
  const page = (await (await fetch(`http://127.0.0.1:${httpPort}/topology`)).json()) as Page;
  const [cluster] = page.clusters;
  if (cluster === undefined) throw new Error("no cluster");
  const writer = memberOf(cluster, "demo-write-0");
  const wrong = as("reader", cluster.clusterId, Buffer.alloc(32, 9));
  for (const port of [writer.address.replication, infoPort]) {
    const outcome = await attack({ url: url(port), as: wrong, frames: 1, seed: 1 });
    t.is(outcome.sent, 0);
    t.true(
      outcome.unreachable.every((message) => message.includes("token")),
      outcome.unreachable[0],
    );
  }
  t.true(
    (await metric(writer.address.http, 'edis_shard_refusals_total{port="replication",code="bad-token"}')) >=
      1,
  );
  t.true((await metric(httpPort, 'edis_info_refusals_total{code="bad-token"}')) >= 1);
});

const url = (port: number): string => `ws://127.0.0.1:${port}`;
const as = (
  role: "client" | "reader",
  cluster: string,
  token: Uint8Array | null,
): NonNullable<Attack["as"]> => ({
  ...{ role, cluster, token },
  // A name that no pod has: it must not take one's place.
  pod: "demo-read-99",
});

const memberOf = ({ members }: Cluster, pod: string): Member => {
  const member = members.find((one) => one.pod === pod);
  if (member === undefined) throw new Error(`${pod} is not in the topology`);
  return member;
};

const metric = async (port: number, name: string): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  if (line === undefined) throw new Error(`no metric ${name} in\n${text}`);
  return Number(line.slice(name.length + 1));
};

type Local = { readonly infoPort: number; readonly httpPort: number; readonly token: Uint8Array };

/** A cluster of one writer and one reader, every process under a small heap. */
const localCluster = async (t: ExecutionContext): Promise<Local> => {
  const folder = await mkdtemp(join(tmpdir(), "edis-hostile-"));
  const file = join(folder, "cluster.yaml");
  await writeFile(
    file,
    "apiVersion: edis.dev/v1alpha1\nkind: ShardCluster\nmetadata: { name: demo }\nspec: { writers: 1, readers: 1 }\n",
  );
  const [infoPort, httpPort] = await Promise.all([freePort(), freePort()]);
  const state = join(folder, "state");
  const ports = ["--info-port", String(infoPort), "--http-port", String(httpPort)];
  const up = spawn(
    process.execPath,
    ["cli/main.ts", "up", "-f", file, "--state", state, "--plain", ...ports],
    {
      env: { ...process.env, NODE_OPTIONS: `--max-heap-size=${heapMb}` },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let output = "";
  for (const stream of [up.stdout, up.stderr])
    stream.on("data", (data: Buffer) => (output += data.toString()));
  const ended = new Promise((resolve) => up.on("close", resolve));
  t.teardown(async () => {
    up.kill("SIGINT");
    await ended;
    await rm(folder, { recursive: true, force: true });
  });
  await until(
    `the cluster is ready`,
    () => {
      if (up.exitCode !== null) throw new Error(output);
      return output.includes("Ready:");
    },
    30_000,
  );
  return { infoPort, httpPort, token: await readFile(join(state, "default", "demo", "token")) };
};
