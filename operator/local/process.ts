import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { backoffMs } from "../../core/backoff.ts";
import { isoTime, type Clock } from "../../core/clock.ts";
import { shardNodeArguments } from "../shardProgram.ts";
import { openLogFile, type LogFile } from "./logFile.ts";

/** A shard process that is kept running. */
export type Kept = {
  readonly pid: () => number | null;
  readonly restarts: () => number;
  /** Every process of it that started before this has ended: its end was seen. Wall clock, milliseconds; 0 before the first end. */
  readonly deadBeforeMs: () => number;
  /** Why it does not come up; null where nothing is wrong. */
  readonly problem: () => string | null;
  /** Asks it to end, and after `killMs` ends it. Resolves when it is gone for good. */
  readonly stop: (killMs: number) => Promise<void>;
};

export type KeepOptions = {
  readonly pod: string;
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly logPath: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** It ended, though nobody asked it to, and is started again. */
  readonly died: (how: string) => void;
};

const backoff = { firstMs: 100, maxMs: 10_000 };
/** A process that ran for this long came up well: what ended it is not held against its next start. */
const wellMs = 5_000;
/** Ends in a row after which something is wrong with it, and not merely done to it. */
const endsMax = 2;

/** Starts the program as often as it ends. Its output goes to the log; it ends when this process does, however that ends. */
export const keepRunning = (options: KeepOptions): Kept => {
  const { clock, random, died, logPath, pod } = options;
  const stopping = new AbortController();
  const log = openLogFile(logPath);
  let child: ChildProcess | null = null;
  let ends = 0;
  let restarts = 0;
  let lastEnd = "";
  let deadBeforeMs = 0;
  const isStopping = (): boolean => stopping.signal.aborted;

  const run = async (): Promise<void> => {
    while (!isStopping()) {
      const startMs = clock.nowMs();
      // Where the clock was put back, the next one must not be taken for one that ended.
      deadBeforeMs = Math.min(deadBeforeMs, clock.wallMs());
      child = start(options, log);
      lastEnd = await endOf(child);
      deadBeforeMs = clock.wallMs();
      child = null;
      if (isStopping()) return;
      ends = clock.nowMs() - startMs >= wellMs ? 1 : ends + 1;
      restarts++;
      died(lastEnd);
      await clock.sleep(backoffMs(backoff, ends, random()), stopping.signal).catch(() => undefined);
    }
  };
  const done = run().finally(log.close);

  return {
    pid: () => child?.pid ?? null,
    restarts: () => restarts,
    deadBeforeMs: () => deadBeforeMs,
    problem: () =>
      ends > endsMax ? `${pod} ${lastEnd}, ${ends} times in a row; its log is ${logPath}` : null,
    stop: async (killMs) => {
      stopping.abort();
      child?.kill("SIGTERM");
      const cancel = clock.after(killMs, () => child?.kill("SIGKILL"));
      await done;
      cancel();
    },
  };
};

const start = ({ program, env, clock, pod }: KeepOptions, log: LogFile): ChildProcess => {
  // Its standard input says nothing and ends with this process: that is how it notices, even after a SIGKILL.
  const child = spawn(process.execPath, [...shardNodeArguments, program], {
    env: { ...memoryTunables, ...withoutEdis(process.env), ...env, EDIS_PARENT_PIPE: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const started = {
    level: "info",
    time: isoTime(clock.wallMs()),
    pod,
    pid: child.pid,
    msg: "started by edis up",
  };
  log.write(Buffer.from(`${JSON.stringify(started)}\n`));
  child.stdin.on("error", () => undefined);
  child.stdout.on("data", log.write);
  child.stderr.on("data", log.write);
  return child;
};

const endOf = async (child: ChildProcess): Promise<string> => {
  try {
    const [code, signal] = (await once(child, "close")) as [number | null, string | null];
    return signal === null ? `ended with exit code ${code ?? 0}` : `was ended by ${signal}`;
  } catch (error) {
    return `could not be started: ${error instanceof Error ? error.message : String(error)}`;
  }
};

/**
 * What the C library is told, in the image, too. It asks for pages of 2 MiB where it maps that much: a store is read at random, and with
 * pages of 4 KiB the processor has to look up where nearly every one lies; a system that has no such pages goes without. And it has two
 * places to take memory from, not one for each thread that compiles or collects, with some MiB in each.
 */
const memoryTunables = { GLIBC_TUNABLES: "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=2" };

const withoutEdis = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("EDIS_")));
