import * as v from "valibot";
import { expect, kubectl, sleep, until } from "./kube.ts";
import { startProgram } from "./programPod.ts";

const line = v.object({
  atMs: v.number(),
  writes: v.number(),
  reads: v.number(),
  writeFailures: v.number(),
  readFailures: v.number(),
  /** Answers that show what they must not: to writes, and to reads of each level. */
  violations: v.object({
    write: v.number(),
    linearizable: v.number(),
    session: v.number(),
    eventual: v.number(),
  }),
  /** Of each lane: its slot, and the longest time without an acknowledged write since the line before. Milliseconds. */
  gaps: v.array(v.tuple([v.number(), v.number()])),
  failures: v.array(v.object({ atMs: v.number(), what: v.string(), code: v.string(), message: v.string() })),
});
export type LoadLine = v.InferOutput<typeof line>;
/** What the load says in a line of its log of how it goes; null where it says something else. */
export const loadLine = (text: string): LoadLine | null => {
  if (!text.startsWith("{")) return null;
  const parsed = v.safeParse(line, JSON.parse(text));
  return parsed.success ? parsed.output : null;
};
const verdict = v.object({
  verified: v.number(),
  lost: v.array(v.string()),
  /** Some of what was wrong, in words. */
  wrong: v.optional(v.array(v.string()), []),
  lanes: v.optional(
    v.array(
      v.object({ slot: v.number(), writes: v.number(), gapMsMax: v.number(), availability: v.number() }),
    ),
    [],
  ),
});
export type Verdict = v.InferOutput<typeof verdict>;

/** What went on while something was done. */
export type Meanwhile = {
  readonly writes: number;
  readonly reads: number;
  /** How long it took, and the load beside it. Milliseconds. */
  readonly tookMs: number;
  /** The longest time in which some lane had no write acknowledged. Milliseconds. */
  readonly gapMs: number;
  readonly writeFailures: number;
  readonly readFailures: number;
  /** Some of what failed, in words; empty where nothing did. */
  readonly failures: string;
};

/** The load generator (load.ts) in a pod of the image under test, in the namespace of the cluster. */
export type LoadPod = {
  readonly start: () => Promise<void>;
  /** Does something under load; rejects where a read or a write failed meanwhile. Says how many went through, and the longest gap. */
  readonly during: (what: () => Promise<string>) => Promise<string>;
  /** The same, in figures; operations may fail, but none may be wrong. */
  readonly measured: (what: () => Promise<void>) => Promise<Meanwhile>;
  /** Stops the load and rejects where an acknowledged write is not there. */
  readonly verify: () => Promise<string>;
  /** Stops the load; says what became of it. */
  readonly end: () => Promise<Verdict & { readonly last: LoadLine }>;
};

export type LoadOptions = {
  readonly namespace: string;
  readonly image: string;
  /** Name of the cluster that is loaded. */
  readonly cluster: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Where it has to run. */
  readonly node?: string;
};

export const loadPod = ({ namespace, image, cluster, environment = {}, node }: LoadOptions): LoadPod => {
  const in_ = ["-n", namespace];
  const log = (): Promise<string> => kubectl(...in_, "logs", "load", "--tail=400");
  const lines = async (): Promise<unknown[]> =>
    (await log())
      .split("\n")
      .filter((text) => text.startsWith("{"))
      .map((text) => JSON.parse(text) as unknown);
  const all = async (): Promise<LoadLine[]> =>
    (await log()).split("\n").flatMap((text) => loadLine(text) ?? []);
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
  const measured = async (what: () => Promise<void>): Promise<Meanwhile> => {
    const before = await fresh();
    await what();
    await sleep(1_000);
    const after = await fresh();
    const between = (await all()).filter(({ atMs }) => atMs > before.atMs && atMs <= after.atMs);
    expectTrue(after);
    expect(after.writes > before.writes && after.reads > before.reads, "reads or writes stood still");
    const recent = after.failures.filter(({ atMs }) => atMs >= before.atMs - 1_000);
    return {
      writes: after.writes - before.writes,
      reads: after.reads - before.reads,
      tookMs: after.atMs - before.atMs,
      gapMs: Math.max(0, ...between.flatMap(({ gaps }) => gaps.map(([, ms]) => ms))),
      writeFailures: after.writeFailures - before.writeFailures,
      readFailures: after.readFailures - before.readFailures,
      failures: recent.length === 0 ? "" : JSON.stringify(recent.slice(0, 3)),
    };
  };
  const end = async (): Promise<Verdict & { readonly last: LoadLine }> => {
    const before = await last();
    await kubectl(...in_, "exec", "load", "--", "sh", "-c", "kill -USR2 1");
    const found: Verdict[] = [];
    await until("the load's verdict", 60_000, async () => {
      for (const value of await lines()) {
        const parsed = v.safeParse(verdict, value);
        if (parsed.success) found.push(parsed.output);
      }
      return found.length > 0 ? undefined : "none yet";
    });
    const [said] = found;
    if (said === undefined) throw new Error("the load gave no verdict");
    return { ...said, last: before };
  };

  return {
    start: async () => {
      const settings = {
        LOAD_INFO: `ws://${cluster}.${namespace}:7379`,
        LOAD_CLUSTER: `${namespace}/${cluster}`,
      };
      await startProgram({
        ...{ namespace, image, name: "load", environment: { ...settings, ...environment } },
        ...(node === undefined ? {} : { node }),
      });
      await until("the load runs", 180_000, async () => {
        const { writes, reads } = await last();
        return writes > 100 && reads > 100 ? undefined : `${writes} writes, ${reads} reads so far`;
      });
    },
    measured,
    during: async (what) => {
      let said = "";
      const { writes, reads, gapMs, tookMs, ...failed } = await measured(async () => {
        said = await what();
      });
      const { writeFailures, readFailures, failures } = failed;
      expect(
        writeFailures === 0 && readFailures === 0,
        `${writeFailures} writes and ${readFailures} reads failed: ${failures}`,
      );
      const rate = Math.round((writes * 1_000) / tookMs);
      const done = `${writes} writes (${rate} a second), ${reads} reads, none failed; longest gap ${gapMs} ms`;
      return said === "" ? done : `${said}; ${done}`;
    },
    end,
    verify: async () => {
      const { verified, lost } = await end();
      expect(verified > 0, `nothing was verified: ${lost.join("; ")}`);
      expect(lost.length === 0, `LOST ${lost.join("; ")}`);
      return `${verified} keys`;
    },
  };
};

/** No answer was wrong. */
const expectTrue = ({ violations }: LoadLine): void => {
  const { write, linearizable, session, eventual } = violations;
  expect(write === 0, `${write} writes found that one before them was lost`);
  expect(linearizable === 0, `${linearizable} linearizable reads were stale or of what nobody wrote`);
  expect(session === 0, `${session} session reads went back`);
  expect(eventual === 0, `${eventual} eventual reads were older than they may be`);
};
