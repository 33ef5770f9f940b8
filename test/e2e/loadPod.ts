import * as v from "valibot";
import { expect, kubectl, sleep, until } from "./kube.ts";
import { startProgram } from "./programPod.ts";

const line = v.object({
  atMs: v.number(),
  writes: v.number(),
  reads: v.number(),
  writeFailures: v.number(),
  readFailures: v.number(),
  wrongReads: v.number(),
  gaps: v.object({ write: v.number(), read: v.number() }),
  failures: v.array(v.object({ atMs: v.number(), what: v.string(), code: v.string(), message: v.string() })),
});
export type LoadLine = v.InferOutput<typeof line>;
const verdict = v.object({ verified: v.number(), lost: v.array(v.string()) });

/** The load generator (load.ts) in a pod of the image under test, in the namespace of the cluster. */
export type LoadPod = {
  readonly start: () => Promise<void>;
  /** Does something under load; rejects where a read or a write failed meanwhile. Says how many went through. */
  readonly during: (what: () => Promise<string>) => Promise<string>;
  /** Stops the load and rejects where an acknowledged write is not there. */
  readonly verify: () => Promise<string>;
};

export const loadPod = (namespace: string, image: string, info: string): LoadPod => {
  const in_ = ["-n", namespace];
  const lines = async (): Promise<unknown[]> =>
    (await kubectl(...in_, "logs", "load", "--tail=400"))
      .split("\n")
      .filter((text) => text.startsWith("{"))
      .map((text) => JSON.parse(text) as unknown);
  const all = async (): Promise<LoadLine[]> =>
    (await lines()).flatMap((value) => {
      const parsed = v.safeParse(line, value);
      return parsed.success ? [parsed.output] : [];
    });
  const last = async (): Promise<LoadLine> => {
    const found = (await all()).at(-1);
    if (found === undefined) throw new Error("the load says nothing yet");
    return found;
  };
  /** The first line that was written after now. */
  const fresh = async (): Promise<LoadLine> => {
    const { atMs } = await last();
    await until("a word of the load", 15_000, async () => {
      const now = await last();
      return now.atMs > atMs ? undefined : `nothing after ${atMs} ms`;
    });
    return last();
  };

  return {
    start: async () => {
      const environment = { LOAD_INFO: info, LOAD_CLUSTER: `${namespace}/demo` };
      await startProgram({ namespace, image, name: "load", environment });
      await until("the load runs", 60_000, async () => {
        const { writes, reads } = await last();
        return writes > 100 && reads > 100 ? undefined : `${writes} writes, ${reads} reads so far`;
      });
    },
    during: async (what) => {
      const before = await fresh();
      const said = await what();
      await sleep(1_000);
      const after = await fresh();
      const between = (await all()).filter(({ atMs }) => atMs > before.atMs && atMs <= after.atMs);
      const writeFailures = after.writeFailures - before.writeFailures;
      const readFailures = after.readFailures - before.readFailures;
      const recent = after.failures.filter(({ atMs }) => atMs >= before.atMs - 1_000);
      expect(
        writeFailures === 0 && readFailures === 0,
        `${writeFailures} writes and ${readFailures} reads failed: ${JSON.stringify(recent.slice(0, 3))}`,
      );
      expect(after.wrongReads === 0, `${after.wrongReads} reads showed what nobody wrote`);
      expect(after.writes > before.writes && after.reads > before.reads, "reads or writes stood still");
      const write = Math.max(...between.map(({ gaps }) => gaps.write));
      const read = Math.max(...between.map(({ gaps }) => gaps.read));
      const done = `${after.writes - before.writes} writes, ${after.reads - before.reads} reads, none failed; longest ${write} and ${read} ms`;
      return said === "" ? done : `${said}; ${done}`;
    },
    verify: async () => {
      await kubectl(...in_, "exec", "load", "--", "sh", "-c", "kill -USR2 1");
      let text = "";
      await until("the load's verdict", 30_000, async () => {
        for (const value of await lines()) {
          const parsed = v.safeParse(verdict, value);
          if (!parsed.success) continue;
          const { verified, lost } = parsed.output;
          expect(verified > 0, `nothing was verified: ${lost.join("; ")}`);
          text = lost.length === 0 ? `${verified} keys` : `LOST ${lost.join("; ")}`;
          return undefined;
        }
        return "none yet";
      });
      expect(!text.startsWith("LOST"), text);
      return text;
    },
  };
};
