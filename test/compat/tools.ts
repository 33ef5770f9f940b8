import { spawn } from "node:child_process";
import { once } from "node:events";
import { clusterYaml, startLocalWorld, type LocalWorld } from "../support/localCluster.ts";
import { connect } from "../../client/index.ts";
import { slotOf } from "../../core/slot.ts";
import { encodeCommand } from "../support/respClient.ts";

/** Redis's own tools, unchanged, at a local cluster of 3 writers and 6 readers. Needs Debian's `redis-tools`. */
const minuteMs = 60_000;
const slotsOfOwner = [5_461, 5_461, 5_462];

type Ports = { readonly writer: number; readonly reader: number };
type Check = readonly [name: string, run: (ports: Ports) => Promise<void>];

const keys = Array.from({ length: 60 }, (_, i) => `tool:${i}`);

const checks: readonly Check[] = [
  [
    "redis-cli -c writes and reads keys of all shards, wherever it is connected",
    async ({ writer, reader }) => {
      for (const port of [writer, reader]) {
        const lines = keys.flatMap((key) => [`set ${key} ${port}`, `get ${key}`]);
        const out = await tool("redis-cli", ["-c", "-p", `${port}`], `${lines.join("\n")}\n`);
        const said = out.split("\n").filter((line) => line !== "" && !line.startsWith("-> Redirected"));
        expect(said.join() === keys.flatMap(() => ["OK", `${port}`]).join(), said.join());
        expect(out.includes("-> Redirected to slot"), "it is sent on to other shards");
      }
    },
  ],
  [
    "redis-cli --cluster check finds 3 owners with 2 readers each and nothing wrong, from a writer and from a reader",
    async ({ writer, reader }) => {
      for (const port of [writer, reader]) {
        const out = await tool("redis-cli", ["--cluster", "check", `127.0.0.1:${port}`]);
        expect(out.includes("[OK] All nodes agree about slots configuration."), out);
        expect(out.includes("[OK] All 16384 slots covered."), out);
        expect(!/\[(ERR|WARNING)\]/.test(out), out);
        expect(out.match(/slots:\[[^\]]*\] \(546[12] slots\) master\n +2 additional/g)?.length === 3, out);
        expect(out.match(/^S: /gm)?.length === 6, out);
      }
    },
  ],
  [
    "redis-cli --cluster info and call see every pod",
    async ({ writer }) => {
      const info = await tool("redis-cli", ["--cluster", "info", `127.0.0.1:${writer}`]);
      const owners = [...info.matchAll(/\| (\d+) slots \| 2 slaves/g)].map((match) => Number(match[1]));
      expect(owners.sort().join() === slotsOfOwner.join(), info);
      const call = await tool("redis-cli", ["--cluster", "call", `127.0.0.1:${writer}`, "PING"]);
      expect(call.match(/: PONG/g)?.length === 9, call);
    },
  ],
  [
    "redis-cli --scan, --bigkeys and --pipe",
    async ({ writer }) => {
      const own = (await tool("redis-cli", ["-p", `${writer}`, "--scan", "--pattern", "tool:*"])).split("\n");
      expect(
        own.length > 5 && own.filter((key) => key !== "").every((key) => keys.includes(key)),
        own.join(),
      );
      const big = await tool("redis-cli", ["-p", `${writer}`, "--bigkeys"]);
      expect(/Biggest string found '"?[^']+'? has \d+ bytes/.test(big), big);
      const tag = keys.find((key) => slotOf(Buffer.from(key)) < (slotsOfOwner[0] ?? 0)) ?? "";
      const many = Array.from({ length: 1_000 }, (_, i) => encodeCommand(["SET", `{${tag}}${i}`, "piped"]));
      const piped = await tool("redis-cli", ["-p", `${writer}`, "--pipe"], Buffer.concat(many));
      expect(piped.includes("errors: 0, replies: 1000"), piped);
    },
  ],
  [
    "redis-benchmark --cluster, with pipelines and threads",
    async ({ writer, reader }) => {
      for (const [port, more] of [
        [writer, ["-P", "16"]],
        [reader, []],
        [writer, ["--threads", "2"]],
      ] as const) {
        const what = ["-t", "set,get,incr,mset", "-n", "20000", "-r", "10000", "--csv"];
        const out = await tool("redis-benchmark", ["--cluster", "-p", `${port}`, ...what, ...more]);
        const rates = [...out.matchAll(/^"(SET|GET|INCR|MSET)[^"]*","(\d+)/gm)];
        expect(rates.length === 4 && rates.every(([, , rate]) => Number(rate) > 0), out);
      }
    },
  ],
];

/** Runs them all and says what failed. */
export const compareTools = async (): Promise<{ readonly passed: number; readonly failed: number }> => {
  const world = await startLocalWorld(clusterYaml(3, 6));
  let passed = 0;
  try {
    await world.ready(6, minuteMs);
    const ports = await portsOf(world);
    for (const [name, run] of checks) {
      try {
        await run(ports);
        passed++;
      } catch (error) {
        console.log(`✘ ${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  } finally {
    await world.stop();
  }
  return { passed, failed: checks.length - passed };
};

const portsOf = async (world: LocalWorld): Promise<Ports> => {
  const client = await connect({ info: world.running.infoUrl });
  const { members } = client.topology();
  client.close();
  const portOf = (pod: string): number => members.find((member) => member.pod === pod)?.address.resp ?? 0;
  return { writer: portOf("demo-write-0"), reader: portOf("demo-read-0") };
};

/** What a tool says, without colours. Rejects where it ends with another code than 0, or not within a minute. */
const tool = async (
  program: string,
  args: readonly string[],
  input: string | Buffer = "",
): Promise<string> => {
  const child = spawn(program, args, { stdio: "pipe", timeout: minuteMs });
  let out = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];

  const text = out.replaceAll(/\x1b\[[\d;]*m/g, "");
  expect(code === 0, `${program} ${args.join(" ")} ended with ${code ?? "a signal"}: ${text}`);
  return text;
};

function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what.slice(0, 2_000));
}
