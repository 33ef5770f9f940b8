import { spawn } from "node:child_process";

export type Ran = { readonly code: number; readonly out: string; readonly err: string };

/** Runs a program; does not reject where it ends badly. */
export const run = (program: string, args: readonly string[], input = ""): Promise<Ran> =>
  new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.on("data", (piece: Buffer) => (out += piece.toString()));
    child.stderr.on("data", (piece: Buffer) => (err += piece.toString()));
    child.on("error", (error) => {
      resolve({ code: 127, out, err: `${program}: ${error.message}` });
    });
    child.on("close", (code) => {
      resolve({ code: code ?? 1, out, err });
    });
    // A program that ends without having read it says why in its own words.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });

/** Runs a program; rejects with what it said where it ends badly. */
export const must = async (program: string, args: readonly string[], input = ""): Promise<string> => {
  const { code, out, err } = await run(program, args, input);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: exit code ${code}: ${err}${out}`);
  return out;
};

export const kubectl = (...args: readonly string[]): Promise<string> => must("kubectl", args);
export const helm = (...args: readonly string[]): Promise<string> => must("helm", args);
export const apply = (manifest: string): Promise<string> => must("kubectl", ["apply", "-f", "-"], manifest);

/** What a JSON path says of an object, or of a list: text, pieces parted by blanks. */
export const field = (path: string, ...args: readonly string[]): Promise<string> =>
  kubectl("get", ...args, "-o", `jsonpath=${path}`);

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `look` gives no complaint; rejects with the last one when the time is over. Returns the milliseconds. */
export const until = async (
  what: string,
  deadlineMs: number,
  look: () => Promise<string | undefined>,
): Promise<number> => {
  const startMs = performance.now();
  for (;;) {
    const complaint = await look().catch((error: unknown) =>
      error instanceof Error ? error.message : String(error),
    );
    const tookMs = Math.round(performance.now() - startMs);
    if (complaint === undefined) return tookMs;
    if (tookMs > deadlineMs) throw new Error(`${what}: not within ${deadlineMs} ms: ${complaint}`);
    await sleep(200);
  }
};

export const expect = (holds: boolean, complaint: string): void => {
  if (!holds) throw new Error(complaint);
};
