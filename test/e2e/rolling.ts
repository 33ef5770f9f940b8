import { expect, field, kubectl, must, until } from "./kube.ts";
import { everyShardIsHome } from "./failover.ts";
import type { LoadPod } from "./loadPod.ts";
import { seconds, test } from "./report.ts";
import { image, in_, leader, nodeOf, ownerOf, patch, inOperators, said, settled } from "./world.ts";

/** A condition's reason and message, where the condition is as it is asked for. */
const condition = (type: string, status: string): Promise<string> =>
  field(
    `{.status.conditions[?(@.type=="${type}")]['status','reason','message']}`,
    ...in_,
    "shc",
    "demo",
  ).then((text) => (text.startsWith(status) ? text.slice(status.length + 1) : ""));
/** `pod uid` of every pod. */
const uids = async (): Promise<readonly string[]> =>
  (
    await field(
      '{range .items[*]}{.metadata.name} {.metadata.uid}{"\\n"}{end}',
      ...[...in_, "pods", "-l", "app.kubernetes.io/instance=demo"],
    )
  )
    .split("\n")
    .filter((line) => line !== "");

const rolledOut = (): Promise<number> =>
  until("every pod is up to date", 240_000, async () => {
    const now = await field("{.status.upToDate}", ...in_, "shc", "demo");
    return now === "6/6" && (await condition("Progressing", "False")).startsWith("Settled")
      ? undefined
      : `${now}; ${await said("demo")}`;
  });

export const rolling = async (load: LoadPod): Promise<void> => {
  await test("a changed template: every pod is made anew, one of a shard at a time, and no operation fails", () =>
    load.during(async () => {
      await everyShardIsHome();
      const before = await uids();
      await patch("demo", '{"template":{"annotations":{"rolled":"once"}}}');
      await until(
        "it begins",
        20_000,
        async () => (await condition("Progressing", "True")) || undefined,
      ).catch(() => 0);
      const tookMs = await rolledOut();
      const after = await uids();
      const same = after.filter((line) => before.includes(line));
      expect(same.length === 0, `these are still the old ones: ${same.join(", ")}`);
      return `6 pods in ${seconds(tookMs)}`;
    }));
  await test("an image that cannot be pulled: the first reader stops it, and says so; the old image, and it goes on", () =>
    load.during(async () => {
      const before = await uids();
      await patch("demo", '{"image":"edis:there-is-none","template":{"imagePullPolicy":"IfNotPresent"}}');
      let why = "";
      await until("it says that it is stuck", 60_000, async () => {
        why = await condition("Degraded", "True");
        return /^RolloutStuck.*(ImagePull|ErrImage)/.test(why) ? undefined : why;
      });
      const after = await uids();
      const other = after.filter((line) => !before.includes(line));
      expect(other.length <= 1, `more than one pod was touched: ${other.join(", ")}`);
      await patch("demo", `{"image":"${image}"}`);
      await rolledOut();
      return why.slice(0, 160);
    }));
  await test("a node is drained: its pods hand over before they go, one of a shard at a time", () =>
    load.during(async () => {
      await everyShardIsHome();
      const node = await nodeOf(await ownerOf("demo", 0));
      try {
        await must("kubectl", [
          ...["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"],
          ...["--pod-selector=app.kubernetes.io/instance=demo"],
        ]);
      } finally {
        await kubectl("uncordon", node);
      }
      return `${node}, settled after ${seconds(await settled("demo", "3/3", "3/3"))}`;
    }));
};

/** 3 to 4 and back, with the operator killed while slots move. */
export const resharding = async (load: LoadPod): Promise<void> => {
  const slots = async (): Promise<readonly number[]> =>
    (await field("{.status.shards[*].slots}", ...in_, "shc", "demo")).split(" ").map(Number);
  const killOperator = async (): Promise<void> => {
    await kubectl(...inOperators, "delete", "pod", await leader(), "--force", "--grace-period=0");
  };
  for (const [from, to] of [
    [3, 4],
    [4, 3],
  ] as const) {
    await test(`from ${from} to ${to} writers: the slots are even, no operation fails`, () =>
      load.during(async () => {
        await patch("demo", `{"writers":${to}}`);
        const tookMs = await settled("demo", `${to}/${to}`, "3/3");
        const owned = await slots();
        const share = 16_384 / to;
        expect(
          owned.length === to && owned.every((count) => Math.abs(count - share) < share / 4),
          `the shards own ${owned.join(", ")} slots`,
        );
        return `${owned.join(", ")} slots, settled after ${seconds(tookMs)}`;
      }));
  }
  await test("the operator is killed while slots move: the next one goes on", () =>
    load.during(async () => {
      await patch("demo", '{"writers":4}');
      await killOperator();
      const tookMs = await settled("demo", "4/4", "3/3");
      await patch("demo", '{"writers":3}');
      await killOperator();
      return `settled after ${seconds(tookMs)} and ${seconds(await settled("demo", "3/3", "3/3"))}`;
    }));
};
