import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { exitCodes } from "./exit.ts";
import type { Output } from "./output.ts";
import { LineError, wordsOf } from "./words.ts";

export type PromptOptions = {
  readonly input: NodeJS.ReadStream;
  readonly output: Output;
  /** Runs one line's words. */
  readonly run: (words: readonly string[]) => Promise<number>;
  /** What to say first, on a terminal. */
  readonly greeting: string;
};

const historyLinesMax = 1_000;
const historyFile = (): string => join(homedir(), ".edis_history");

/** Reads commands line by line: with a prompt and history on a terminal, quietly from a pipe. Returns the worst exit code of a pipe. */
export const runPrompt = async (options: PromptOptions): Promise<number> => {
  const { input, output } = options;
  const isTerminal = input.isTTY && output.isTerminal;
  const lines = createInterface({
    input,
    ...(isTerminal
      ? {
          output: process.stdout,
          prompt: "edis> ",
          history: readHistory(),
          historySize: historyLinesMax,
          removeHistoryDuplicates: true,
        }
      : {}),
    terminal: isTerminal,
  });
  let history: readonly string[] = [];
  lines.on("history", (changed) => {
    history = changed;
  });
  // Ctrl-C empties the line, as a shell does; at an empty one it leaves.
  lines.on("SIGINT", () => {
    if (lines.line === "") {
      lines.close();
      return;
    }
    output.write("\n");
    lines.write(null, { ctrl: true, name: "e" });
    lines.write(null, { ctrl: true, name: "u" });
    lines.prompt();
  });
  if (isTerminal) output.write(options.greeting);
  const worst = await readLines(lines, options, isTerminal);
  if (!isTerminal) return worst;
  if (history.length > 0) writeHistory(history);
  return exitCodes.ok;
};

const readLines = async (
  lines: ReturnType<typeof createInterface>,
  { run, output }: PromptOptions,
  isTerminal: boolean,
): Promise<number> => {
  let worst: number = exitCodes.ok;
  let closed = false;
  lines.on("close", () => {
    closed = true;
  });
  const ask = (): void => {
    if (isTerminal && !closed) lines.prompt();
  };
  ask();
  for await (const line of lines) {
    const outcome = await runLine(line, run, output);
    if (outcome === "leave") break;
    worst = Math.max(worst, outcome);
    ask();
  }
  lines.close();
  return worst;
};

const runLine = async (
  line: string,
  run: PromptOptions["run"],
  output: Output,
): Promise<number | "leave"> => {
  try {
    const words = wordsOf(line);
    const [first] = words;
    if (first === undefined || first.startsWith("#")) return exitCodes.ok;
    if (first === "exit" || first === "quit") return "leave";
    return await run(words);
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    output.writeError(`edis: ${error.message}\n      Quote a word as 'a b' or "a b"\n`);
    return exitCodes.usage;
  }
};

/** Newest first, as readline keeps it; the file has the oldest first. A history that cannot be kept is no reason to fail. */
const readHistory = (): string[] => {
  try {
    if (!existsSync(historyFile())) return [];
    const lines = readFileSync(historyFile(), "utf8").split("\n");
    return lines
      .filter((line) => line !== "")
      .slice(-historyLinesMax)
      .reverse();
  } catch {
    return [];
  }
};

const writeHistory = (history: readonly string[]): void => {
  try {
    const lines = history.slice(0, historyLinesMax).toReversed();
    // Values may be secrets: for nobody else to read.
    writeFileSync(historyFile(), `${lines.join("\n")}\n`, { mode: 0o600 });
  } catch {
    // It was kept in memory for this session.
  }
};
