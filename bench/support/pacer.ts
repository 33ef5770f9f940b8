import { fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";

/**
 * Load at a fixed rate, from a process of its own, whatever the server does: each request has an instant at which it is due, and its
 * latency counts from there. A server that stands still for 100 ms is seen by every request that was due meanwhile.
 */
export type Pacer = {
  /** What is due from now on counts under this name. */
  readonly phase: (name: string) => void;
  /** Forgets the figures of this phase. */
  readonly drop: () => void;
  /** Writes more keys beside the load, evenly, unmeasured; resolves when the last is acknowledged. */
  readonly add: (added: Added) => Promise<void>;
  /** Waits for what is under way and ends. Rejects if an answer was an error, or did not come within 10 s. */
  readonly end: () => Promise<readonly Phase[]>;
};
export type PacerOptions = {
  readonly port: number;
  readonly perSecond: number;
  /** Keys that are there, `key:000000000000` and on. */
  readonly keys: number;
  /** Of the requests, 0 to 1; the others are GETs. */
  readonly setShare: number;
};
export type Added = {
  readonly perSecond: number;
  /** Numbers of the keys. Those without a deadline are read and written by the load from then on. */
  readonly from: number;
  readonly to: number;
  /** They expire within one second from this instant on, milliseconds since 1970. */
  readonly expireAtMs?: number;
};
/** Latencies are in milliseconds. */
export type Phase = {
  readonly name: string;
  readonly seconds: number;
  readonly requests: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** What of it is the load's own: from when a request was due to when it was sent. */
  readonly own: { readonly p999: number; readonly max: number };
  /** Of a core, that the load used, 0 to 1. */
  readonly busy: number;
};

/** From the pacer to its process, and back. */
export type ToPacer =
  | { readonly kind: "phase"; readonly name: string }
  | ({ readonly kind: "add" } & Added)
  | { readonly kind: "drop" }
  | { readonly kind: "end" };
export type FromPacer =
  | { readonly kind: "ready" }
  | { readonly kind: "added" }
  | { readonly kind: "ended"; readonly phases: readonly Phase[] }
  | { readonly kind: "failed"; readonly why: string };

const program = fileURLToPath(new URL("pacerProcess.ts", import.meta.url));

export const startPacer = async (options: PacerOptions): Promise<Pacer> => {
  const child = fork(program, [JSON.stringify(options)]);
  process.once("exit", () => child.kill("SIGKILL"));
  hurry(child.pid ?? 0);
  const next = async (): Promise<FromPacer> => {
    const [message] = (await Promise.race([
      once(child, "message"),
      once(child, "exit").then(() => [{ kind: "failed", why: "the load's process ended" }]),
    ])) as [FromPacer];
    if (message.kind === "failed") throw new Error(`The load failed: ${message.why}`);
    return message;
  };
  const tell = (message: ToPacer): void => {
    child.send(message);
  };
  await next();
  return {
    phase: (name) => {
      tell({ kind: "phase", name });
    },
    drop: () => {
      tell({ kind: "drop" });
    },
    add: async (added) => {
      tell({ kind: "add", ...added });
      await next();
    },
    end: async () => {
      tell({ kind: "end" });
      const message = await next();
      child.kill("SIGKILL");
      return message.kind === "ended" ? message.phases : [];
    },
  };
};

/** What measures is not to wait for a processor, where this user may ask for that. It needs a quarter of one. */
const hurry = (pid: number): void => {
  try {
    setPriority(pid, -10);
  } catch {
    // Then its own delay, which is shown, is greater.
  }
};
