import { expect, kubectl, must, run } from "./kube.ts";
import { test } from "./report.ts";
import { in_, namespace } from "./world.ts";

/** Redis's own tools in a pod that knows the Service and nothing else. They are this machine's, with all that they are linked with. */
const pod = "shell";
const host = `demo.${namespace}`;
const folder = "/tmp/redis";
const keys = Array.from({ length: 60 }, (_, i) => `tool:${i}`);

/** Puts the tools into the pod. */
const copyTools = async (): Promise<void> => {
  const pack = [
    "set -e; tools=$(command -v redis-cli redis-benchmark)",
    "libraries=$(ldd $tools | grep -o '/[^ ]*' | grep -v : | sort -u)",
    `tar -chf - --transform 's,.*/,,' $tools $libraries | kubectl ${in_.join(" ")} exec -i ${pod} -- sh -c 'mkdir -p ${folder} && tar -xf - -C ${folder}'`,
  ];
  await must("bash", ["-o", "pipefail", "-c", pack.join("\n")]);
};

/** What a tool says in the pod, without colours. */
const tool = async (name: string, args: readonly string[], input = ""): Promise<string> => {
  const linked = [`${folder}/ld-linux-x86-64.so.2`, "--library-path", folder, `${folder}/${name}`];
  const { code, out, err } = await run(
    "kubectl",
    [...in_, "exec", "-i", pod, "--", ...linked, ...args],
    input,
  );

  const text = `${out}${err}`.replaceAll(/\x1b\[[\d;]*m/g, "");
  expect(code === 0, `${name} ${args.join(" ")} ended with ${code}: ${text.slice(-1_000)}`);
  return text;
};

export const redisTools = async (): Promise<void> => {
  const { code } = await run("bash", ["-c", "command -v redis-cli && command -v redis-benchmark"]);
  await test("redis-cli -c in a pod writes and reads keys of all shards through the Service", async () => {
    if (code !== 0) return "left out: this machine has no redis-cli (Debian: apt-get install redis-tools)";
    await copyTools();
    const lines = keys.flatMap((key) => [`set ${key} here`, `get ${key}`]);
    const out = await tool("redis-cli", ["-c", "-h", host], `${lines.join("\n")}\n`);
    const said = out.split("\n").filter((line) => line !== "" && !line.startsWith("-> Redirected"));
    expect(said.join() === keys.flatMap(() => ["OK", "here"]).join(), said.join());
    expect(out.includes("-> Redirected to slot"), "it is not sent on to other shards");
    return `${keys.length} keys`;
  });
  if (code !== 0) return;
  await test("redis-cli --cluster check in a pod finds 3 owners with a reader each, and nothing wrong", async () => {
    const out = await tool("redis-cli", ["--cluster", "check", `${host}:6379`]);
    expect(out.includes("[OK] All nodes agree about slots configuration."), out);
    expect(out.includes("[OK] All 16384 slots covered."), out);
    expect(!/\[(ERR|WARNING)\]/.test(out), out);
    expect(out.match(/slots:\[[^\]]*\] \(546[12] slots\) master\n +1 additional/g)?.length === 3, out);
    expect(out.match(/^S: /gm)?.length === 3, out);
    return "";
  });
  await test("redis-benchmark --cluster in a pod", async () => {
    const what = ["-t", "set,get", "-n", "20000", "-r", "10000", "-P", "16", "--csv"];
    const out = await tool("redis-benchmark", ["--cluster", "-h", host, ...what]);
    const rates = [...out.matchAll(/^"(SET|GET)[^"]*","(\d+)/gm)];
    expect(rates.length === 2 && rates.every(([, , rate]) => Number(rate) > 0), out);
    return rates.map(([, name = "", rate = ""]) => `${name} ${rate}/s`).join(", ");
  });
  await kubectl(...in_, "exec", pod, "--", "rm", "-rf", folder);
};
