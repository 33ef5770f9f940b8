import { apply, expect, helm, kubectl, run, until } from "./kube.ts";
import { seconds, test } from "./report.ts";
import { cluster, in_, install, namespace, operators, settled } from "./world.ts";

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

export const deletion = async (): Promise<void> => {
  await test("a deleted ShardCluster leaves its volumes, as whenDeleted says Retain, and nothing else", async () => {
    await kubectl(...in_, "delete", "shc", "demo");
    const tookMs = await gone("demo");
    // Only readers' volumes go when their pods are scaled away: a fourth writer's stays, where there was one.
    const wanted = ["read-0", "read-1", "read-2", "write-0", "write-1", "write-2"];
    const left = (await claims("demo")).map((claim) => claim.replace("persistentvolumeclaim/data-demo-", ""));
    const others = left.filter((claim) => claim !== "write-3").sort();
    expect(others.join() === wanted.join(), `the claims are of ${left.join(", ")}`);
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
