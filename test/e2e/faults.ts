import { expect, field, kubectl, sleep, until } from "./kube.ts";
import type { LoadPod } from "./loadPod.ts";
import { seconds, test } from "./report.ts";
import { faults, in_, inOperators, leader, newLeader, operatorsReady, settled } from "./world.ts";

/** Whether somebody still acts on wishes: one reader more, then one less. */
const scaledAndBack = async (): Promise<number> => {
  await kubectl(...in_, "scale", "shc/demo", "--replicas=4");
  const tookMs = await settled("demo", "3/3", "4/4");
  await kubectl(...in_, "scale", "shc/demo", "--replicas=3");
  await settled("demo", "3/3", "3/3");
  return tookMs;
};

export const faultsOf = async (load: LoadPod): Promise<void> => {
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
      await operatorsReady();
      return `after ${seconds(tookMs)}`;
    }));
  await test("the operator that leads is deleted by force: the other takes over", () =>
    load.during(async () => {
      const before = await leader();
      await kubectl(...inOperators, "delete", "pod", before, "--force", "--grace-period=0");
      const tookMs = await newLeader(before);
      await operatorsReady();
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
      await operatorsReady();
      return `a scaling afterwards settled in ${seconds(await scaledAndBack())}`;
    }));
  const { restartApi } = faults;
  if (restartApi !== undefined) {
    await test("the API server is restarted", () =>
      load.during(async () => {
        await restartApi("");
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
        ...["pdb", "demo-shard-1", "--type=merge", "-p", '{"spec":{"minAvailable":0}}'],
      );
      await kubectl(...in_, "scale", "statefulset/demo-read", "--replicas=4");
      return `after ${seconds(
        await until("put right", 20_000, async () => {
          await kubectl(...in_, "get", "service", "demo-read");
          const found = [
            await field("{.spec.minAvailable}", ...in_, "pdb", "demo-shard-1"),
            await field("{.spec.replicas}", ...in_, "statefulset", "demo-read"),
          ].join(" ");
          return found === "1 3" ? undefined : found;
        }),
      )}`;
    }));
};

/** Without load: the keys that it adds are news, and written as such. */
export const atRest = async (): Promise<void> => {
  await test("at rest nothing is written to the API server", async () => {
    await settled("demo", "3/3", "3/3");
    // Counts that the load left are written at a look at everything, every 10 s, once the last such write is 10 s old.
    await sleep(22_000);
    const of = (version: string, kinds: string): Promise<string> =>
      field(`{range .items[*]}{.kind}/{.metadata.name}={.metadata.${version}} {end}`, ...in_, kinds);
    // Kubernetes' own controllers write the status of the latter.
    const versions = async (): Promise<string> =>
      `${await of("resourceVersion", "shc,sht,svc,secrets")}${await of("generation", "sts,pdb")}`;
    const status = (): Promise<string> => field("{.status}", ...in_, "shc", "demo");
    const [before, statusBefore] = [await versions(), await status()];
    await sleep(15_000);
    const after = await versions();
    expect(before === after, `\n${before}\n${after}\n${statusBefore}\n${await status()}`);
    return "15 s";
  });
};
