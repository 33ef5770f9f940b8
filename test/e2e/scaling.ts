import { kubectl, until } from "./kube.ts";
import type { LoadPod } from "./loadPod.ts";
import { seconds, test } from "./report.ts";
import { in_, podsOf, readerLabel, settled } from "./world.ts";

export const scaling = async (load: LoadPod): Promise<void> => {
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
};
