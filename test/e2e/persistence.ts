import { apply, expect, field, kubectl, must, run, until } from "./kube.ts";
import { seconds, test } from "./report.ts";
import { cluster, faults, in_, nodeIs, nodeOf, settled } from "./world.ts";

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

export const persistence = async (): Promise<void> => {
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
  const { stopNode, startNode } = faults;
  if (stopNode === undefined || startNode === undefined) return;
  await test("its node loses power and boots: every acknowledged write is there", async () => {
    await written(3);
    const node = await nodeOf(lone);
    await stopNode(node);
    await nodeIs(node, false);
    await startNode(node);
    const tookMs = await nodeIs(node, true);
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
