import { expect, field, kubectl, sleep, until } from "./kube.ts";
import type { LoadPod, Meanwhile } from "./loadPod.ts";
import { test } from "./report.ts";
import {
  faults,
  in_,
  leader,
  inOperators,
  nodeIs,
  nodeOf,
  ownerOf,
  settled,
  signalShard,
  uidOf,
} from "./world.ts";

/** How often each of them is done; 30 for figures that are stated. */
const times = Number(process.env["EDIS_E2E_TIMES"] ?? "3");
/** `failover.leaseSeconds` and what comes on top of it. */
const unconfirmedMsMax = 2_000 + 1_500;

const figures = (
  gaps: readonly number[],
): { readonly text: string; readonly median: number; readonly max: number } => {
  const sorted = [...gaps].sort((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const max = sorted.at(-1) ?? 0;
  return {
    text: `${gaps.length} times without a write for ${median} ms (median), ${max} ms (longest)`,
    median,
    max,
  };
};
const failuresOf = ({ writeFailures, readFailures, failures }: Meanwhile): string =>
  writeFailures + readFailures === 0
    ? ""
    : `; ${writeFailures} writes and ${readFailures} reads failed meanwhile, as ${failures.slice(0, 300)}`;

/** Everything serves and every shard is owned by its home pod again. */
const home = async (): Promise<void> => {
  await settled("demo", "3/3", "3/3");
  await until("every shard is home", 60_000, async () => {
    const owners = await field("{.status.shards[*].owner}", ...in_, "shc", "demo");
    return owners === "demo-write-0 demo-write-1 demo-write-2" ? undefined : owners;
  });
};

/** A node with an owner on it, but neither the load nor the operator that leads. */
const victimNode = async (): Promise<{ readonly node: string; readonly shard: number } | undefined> => {
  const spared = [
    await nodeOf("load"),
    await field("{.spec.nodeName}", ...inOperators, "pod", await leader()),
  ];
  for (const shard of [0, 1, 2]) {
    const node = await nodeOf(await ownerOf("demo", shard));
    if (!spared.includes(node)) return { node, shard };
  }
  return undefined;
};

export const failover = async (load: LoadPod): Promise<void> => {
  await processes(load);
  await pods(load);
  await nodes(load);
};

const processes = async (load: LoadPod): Promise<void> => {
  const signal = signalShard;
  if (signal === undefined) return;
  await test("an owner's container is killed: another pod owns its shard at once", async () => {
    const gaps: number[] = [];
    let text = "";
    for (let i = 0; i < times; i++) {
      await home();
      const meanwhile = await load.measured(async () => {
        await signal("KILL", await ownerOf("demo", i % 3));
        await home();
      });
      gaps.push(meanwhile.gapMs);
      text ||= failuresOf(meanwhile);
    }
    const said = figures(gaps);
    expect(said.median < 1_500 && said.max < 3_000, said.text + text);
    return said.text + text;
  });
  await test("an owner is frozen: another pod owns its shard when the lease is over; the old one finds out", async () => {
    const gaps: number[] = [];
    let text = "";
    for (let i = 0; i < times; i++) {
      await home();
      const frozen = await ownerOf("demo", i % 3);
      const meanwhile = await load.measured(async () => {
        await signal("STOP", frozen);
        await until("another owner", 20_000, async () => {
          const owner = await ownerOf("demo", i % 3);
          return owner !== frozen && owner !== "" ? undefined : owner;
        });
        await sleep(2_000);
        await signal("CONT", frozen);
        await home();
      });
      gaps.push(meanwhile.gapMs);
      text ||= failuresOf(meanwhile);
    }
    const said = figures(gaps);
    expect(said.max <= unconfirmedMsMax, said.text + text);
    return said.text + text;
  });
};

const pods = async (load: LoadPod): Promise<void> => {
  await test("an owner's pod is deleted: it hands its shard over before it goes, and gets it back", () =>
    load.during(async () => {
      for (let i = 0; i < times; i++) {
        await home();
        const pod = await ownerOf("demo", i % 3);
        const before = await uidOf(pod);
        await kubectl(...in_, "delete", "pod", pod);
        await until("another pod", 60_000, async () => ((await uidOf(pod)) === before ? before : undefined));
      }
      await home();
      return `${times} times`;
    }));
};

const nodes = async (load: LoadPod): Promise<void> => {
  const { cutNode, healNode, stopNode, startNode } = faults;
  const during = (
    title: string,
    down: (node: string) => Promise<string>,
    up: (node: string) => Promise<string>,
  ) =>
    test(title, async () => {
      await home();
      const victim = await victimNode();
      if (victim === undefined) return "left out: no node has neither the load nor the operator";
      const { node, shard } = victim;
      const before = await ownerOf("demo", shard);
      const meanwhile = await load.measured(async () => {
        await down(node);
        try {
          await until("another owner", 30_000, async () => {
            const owner = await ownerOf("demo", shard);
            return owner !== before && owner !== "" ? undefined : owner;
          });
          await nodeIs(node, false);
        } finally {
          await up(node);
        }
        await nodeIs(node, true);
        await home();
      });
      const text = `longest time without a write ${meanwhile.gapMs} ms${failuresOf(meanwhile)}`;
      expect(meanwhile.gapMs <= unconfirmedMsMax, text);
      return text;
    });
  if (cutNode !== undefined && healNode !== undefined)
    await during(
      "a node is cut off: its shards are owned by others when the lease is over",
      cutNode,
      healNode,
    );
  if (stopNode !== undefined && startNode !== undefined)
    await during(
      "a node loses power: its shards are owned by others when the lease is over",
      stopNode,
      startNode,
    );
};

export { home as everyShardIsHome };
