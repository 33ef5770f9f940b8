import { fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";

/**
 * Writes at a fixed rate through the client library, from a process of its own: it goes to whichever shard owns a key, and follows
 * its slot when that moves. Each write has an instant at which it is due, and its latency counts from there.
 */
export type Writer = {
  /** What is due from now on counts under this name. */
  readonly phase: (name: string) => void;
  /** Waits for what is under way and ends. */
  readonly end: () => Promise<Written>;
};
export type WriterOptions = {
  /** Of info. */
  readonly url: string;
  readonly perSecond: number;
  /** Keys that are there, `key:000000000000` and on. */
  readonly keys: number;
};
export type Written = { readonly phases: readonly WritePhase[]; readonly errors: readonly string[] };
/** Latencies are in milliseconds. */
export type WritePhase = {
  readonly name: string;
  readonly seconds: number;
  readonly writes: number;
  readonly failed: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** What of it is the load's own: from when a write was due to when it was handed to the client. */
  readonly ownP99: number;
  readonly ownMax: number;
};

export type ToWriter = { readonly kind: "phase"; readonly name: string } | { readonly kind: "end" };
export type FromWriter = { readonly kind: "ready" } | ({ readonly kind: "ended" } & Written);

const program = fileURLToPath(new URL("writerProcess.ts", import.meta.url));

export const startWriter = async (options: WriterOptions): Promise<Writer> => {
  const child = fork(program, [JSON.stringify(options)]);
  process.once("exit", () => child.kill("SIGKILL"));
  try {
    // What measures is not to wait for a processor, where this user may ask for that.
    setPriority(child.pid ?? 0, -10);
  } catch {
    // Then its own delay, which is shown, is greater.
  }
  const next = async (): Promise<FromWriter> => {
    const [message] = (await Promise.race([
      once(child, "message"),
      once(child, "exit").then(() => [null]),
    ])) as [FromWriter | null];
    if (message === null) throw new Error("The load's process ended");
    return message;
  };
  const tell = (message: ToWriter): void => {
    child.send(message);
  };
  await next();
  return {
    phase: (name) => {
      tell({ kind: "phase", name });
    },
    end: async () => {
      tell({ kind: "end" });
      const message = await next();
      child.kill("SIGKILL");
      return message.kind === "ended" ? message : { phases: [], errors: ["the load did not end"] };
    },
  };
};
