import test from "ava";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect } from "../../client/index.ts";
import { slotOf } from "../../core/slot.ts";
import { damageLog } from "../support/damage.ts";
import { clusterYaml, startLocalWorld, type LocalWorld } from "../support/localCluster.ts";
import { until } from "../support/net.ts";

const edis = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

type Ran = { readonly code: number | null; readonly out: string };
const verify = async (world: LocalWorld, ...words: readonly string[]): Promise<Ran> => {
  const child = spawn(process.execPath, [edis, "verify", ...words], {
    env: { EDIS_INFO: world.running.infoUrl },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out };
};

const content = clusterYaml(2, 2);

test("edis verify finds nothing wrong while slots move and keys are written, and finds the one copy that is", async (t) => {
  const first = await startLocalWorld(content, { keep: true });
  await first.ready(2);
  const client = await connect({ info: first.running.infoUrl, timeoutMs: 20_000 });
  const set = async (i: number, value: string): Promise<void> =>
    client.set(`key:${i}`, value).then(() => undefined);
  await Promise.all(Array.from({ length: 5_000 }, (_, i) => set(i, `value of ${i}, as it was written`)));

  const load = { stopped: false, writes: 0 };
  const writing = Array.from({ length: 4 }, async (_, worker) => {
    for (let i = worker; !load.stopped; i += 4, load.writes++)
      await set(i % 5_000, `value of ${i % 5_000}, written again`);
  });
  first.write(clusterYaml(3, 3));
  await until("slots are on their way", () => first.cluster().shards[2]?.slots !== undefined, 30_000);
  const busy = await verify(first);
  load.stopped = true;
  await Promise.all(writing);
  t.log(`${load.writes} writes, then:\n${busy.out}`);
  t.is(busy.code, 0, busy.out);
  t.regex(busy.out, /5000 keys in 16384 slots, each where the map says, once/);
  await first.ready(3, 60_000);
  await client.set("victim", "what the owner holds");
  t.is((await verify(first)).code, 0);
  const { shards } = client.topology();
  client.close();
  await first.running.stop();

  const readers = new Set(["demo-read-0", "demo-read-1", "demo-read-2"]);
  const found = [...readers].map((pod): readonly [string, number] => {
    const folder = join(first.folder, "state", "default", "demo", "data", pod);
    return [pod, damageLog(folder, Buffer.from("what the owner holds"), Buffer.from("what the owner hoIds"))];
  });
  const damaged = found.filter(([, times]) => times > 0).map(([pod]) => pod);
  t.is(damaged.length, 1, "one reader has the key");

  const second = await startLocalWorld(clusterYaml(3, 3), { folder: first.folder });
  t.teardown(second.stop);
  await second.ready(3, 60_000);
  const { code, out } = await verify(second);
  t.log(out);
  t.is(code, 1);
  // Which of the two owns the shard now is up to who started first; a copy is compared with its owner.
  const told = new RegExp(
    `wrong: (\\S+) holds something else than (\\S+) in 1 slot: ${slotOf(Buffer.from("victim"))} \\(`,
  ).exec(out);
  const [copy, owner] = (told ?? []).slice(1);
  t.true(copy === damaged[0] || owner === damaged[0], out);
  t.is(out.match(/DIFFERS/g)?.length, 1);
  const json = JSON.parse((await verify(second, "--output", "json")).out) as {
    sound: boolean;
    shards: { copies: { pod: string; different: { slot: number }[] }[] }[];
  };
  t.false(json.sound);
  t.is(shards.length, json.shards.length);
  t.deepEqual(
    json.shards.flatMap(({ copies }) => copies.flatMap(({ pod, different }) => different.map(() => pod))),
    [copy],
  );
});
