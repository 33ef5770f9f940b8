import test from "ava";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect } from "../../client/index.ts";
import type { Forecast } from "../../core/tools.ts";
import { clusterYaml, startLocalWorld, type LocalWorld } from "../support/localCluster.ts";
import { until } from "../support/net.ts";

const edis = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

type Ran = { readonly code: number | null; readonly out: string; readonly err: string };
const planOf = async (world: LocalWorld, ...words: readonly string[]): Promise<Ran> => {
  const child = spawn(process.execPath, [edis, "plan", ...words], {
    env: { EDIS_INFO: world.running.infoUrl },
  });
  const texts = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (texts.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (texts.err += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...texts };
};

test("edis plan tells what a file would change, changes nothing, and is right", async (t) => {
  const world = await startLocalWorld(clusterYaml(2, 2));
  t.teardown(world.stop);
  await world.ready(2);
  const client = await connect({ info: world.running.infoUrl });
  // Who is in sync changes by itself.
  const shards = () =>
    client.topology().shards.map(({ id, epoch, owner, slots }) => ({ id, epoch, owner, slots }));
  const before = shards();
  const wished = join(world.folder, "wished.yaml");
  writeFileSync(wished, clusterYaml(3, 4));

  t.deepEqual(await planOf(world), {
    code: 0,
    out: "default/demo: 2 writers, 2 readers\n\nNothing to do: it is as wished.\n",
    err: "",
  });
  const shown = await planOf(world, "-f", wished);
  t.is(shown.code, 0);
  t.log(shown.out);
  t.regex(shown.out, /^default\/demo: writers 2 → 3, readers 2 → 4\n/);
  t.regex(shown.out, /\nadds demo-write-2, demo-read-2, demo-read-3\n/);
  t.is((await planOf(world, "demo", "--writers", "3", "--readers", "4")).out, shown.out);
  const told = JSON.parse((await planOf(world, "-f", wished, "--output", "json")).out) as Forecast;
  t.deepEqual(shards(), before);

  world.write(clusterYaml(3, 4));
  await world.ready(4, 60_000);
  const slots = told.shards.map(({ after }) => after.slots);
  await until("slots are as they were forecast", () => {
    const { shards } = world.cluster();
    return shards.length === 3 && shards.every((shard) => shard.slots === slots[shard.id]);
  });
  t.is((await planOf(world)).out, "default/demo: 3 writers, 4 readers\n\nNothing to do: it is as wished.\n");
  client.close();
});

test("edis plan says where a file is wrong, what is refused, what would be new, and that a shard is not to be asked", async (t) => {
  const world = await startLocalWorld(clusterYaml(1, 1));
  t.teardown(world.stop);
  await world.ready(1);
  const file = join(world.folder, "wished.yaml");
  const planned = async (content: string, ...words: readonly string[]): Promise<Ran> => {
    writeFileSync(file, content);
    return planOf(world, "-f", file, ...words);
  };
  const misspelt = await planned(`${clusterYaml(1, 1)}  image: 3\n  reeders: 2\n`);
  t.is(misspelt.code, 2);
  t.true(misspelt.err.includes(`${file}:9:3: spec has no field reeders`), misspelt.err);
  t.true(misspelt.err.includes(`${file}:8:10: spec.image is 3`), misspelt.err);
  const storage = await planned(`${clusterYaml(1, 1)}  storage: { ephemeral: true }\n`);
  t.is(storage.code, 2);
  t.regex(storage.err, /storage cannot be changed once the cluster is there/);
  const other = await planned(clusterYaml(4, 2, "other"));
  t.is(other.code, 0);
  t.regex(other.out, /^default\/other: a new cluster\n\nmakes 4 writers/);
  t.is((await planned(clusterYaml(1, 1), "--writers", "0")).code, 2);
  const client = await connect({ info: world.running.infoUrl });
  const [member] = client.topology().members;
  client.close();
  const shard = await planOf(world, "--info", `ws://127.0.0.1:${member?.address.client ?? 0}`);
  t.regex(shard.err, /Cannot plan: this is a shard; ask an info instance/);
  t.is(shard.code, 2);
});
