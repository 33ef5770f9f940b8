import test from "ava";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect } from "../../client/index.ts";
import { startLocalWorld } from "../support/localCluster.ts";
import { until } from "../support/net.ts";

const edis = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const content = `apiVersion: edis.dev/v1alpha1
kind: ShardCluster
metadata:
  name: demo
spec:
  writers: 1
  readers: 1
  durability:
    acks: inSync
    minInSync: 1
  failover:
    automatic: false
`;

test("where a person is to decide, a shard whose owner is frozen waits for edis failover --force, once", async (t) => {
  const world = await startLocalWorld(content);
  t.teardown(world.stop);
  await world.ready(1);
  const client = await connect({ info: world.running.infoUrl });
  t.teardown(client.close);
  await client.set("a", "1", { timeoutMs: 10_000 });
  const command = async (...words: readonly string[]): Promise<string> => {
    const all = [edis, "--timeout", "20s", "failover", "0", "--state", join(world.folder, "state"), ...words];
    const child = spawn(process.execPath, all, { env: { EDIS_INFO: world.running.infoUrl } });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    return `${code ?? ""} ${output}`;
  };
  t.regex(await command(), /^0 shard 0: epoch 1, owner demo-write-0, at rest\nin sync: demo-read-0\n/);

  const pid = world.pods().get("demo-write-0")?.pid ?? 0;
  t.true(pid > 0);
  process.kill(pid, "SIGSTOP");
  t.teardown(() => {
    process.kill(pid, "SIGCONT");
  });
  await until(
    "it waits for a person",
    () => world.cluster().conditions.some(({ reason }) => reason === "NothingToPromote"),
    15_000,
  );
  t.is(world.cluster().shards[0]?.epoch, 1);
  t.regex(await command("--force"), /demo-read-0 owns shard 0 from epoch 2 on\./);
  const value = await client.get("a", { consistency: "linearizable", timeoutMs: 10_000 });
  t.is(Buffer.from(value ?? []).toString(), "1");
  t.true(world.events.some(({ reason, type }) => reason === "ForcedFailover" && type === "Warning"));
  process.kill(pid, "SIGCONT");
  await until("the old owner follows", () => world.pods().get("demo-write-0")?.state === "serving", 15_000);
  t.is(world.cluster().shards[0]?.epoch, 2, "the word was for epoch 1");
});
