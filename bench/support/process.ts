import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";

/** What Linux tells of a process, and children that do not outlive this one. */

/** Linux reports times in hundredths of a second, whatever its own clock. */
const tickMicros = 10_000;

const statOf = (pid: number): readonly string[] => {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name may hold anything; the fields behind it are numbers.
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
};

/** Processor time of all threads since the process began, microseconds. */
export const cpuMicros = (pid: number): number => {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) * tickMicros;
};

/** Milliseconds since the process began, to 10 ms. */
export const ageMs = (pid: number): number =>
  Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1_000 - Number(statOf(pid)[19]) * 10;

const statusBytes = (pid: number, field: string): number => {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (match === null) throw new Error(`/proc/${pid}/status has no ${field}`);
  return Number(match[1]) * 1_024;
};
export const residentBytes = (pid: number): number => statusBytes(pid, "VmRSS");
/** The most that was resident at any time. */
export const peakBytes = (pid: number): number => statusBytes(pid, "VmHWM");

const children = new Set<ChildProcess>();
const folders = new Set<string>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  // Those that are still there were left in the middle of something; what was just ended may still write there.
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});
/** Goes with this process at the latest. */
export const removeAtExit = (folder: string): void => {
  folders.add(folder);
};
process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));

export type Child = { readonly pid: number; readonly kill: (signal?: NodeJS.Signals) => Promise<void> };

/** Starts a program that says nothing. Rejects where it cannot be started. */
export const startChild = async (
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Child> => {
  const child = spawn(program, args, { stdio: "ignore", env });
  await once(child, "spawn");
  children.add(child);
  const ended = once(child, "exit").then(() => children.delete(child));
  return {
    pid: child.pid ?? 0,
    kill: async (signal = "SIGKILL") => {
      child.kill(signal);
      await ended;
    },
  };
};

export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("there is no free port");
  return address.port;
};
