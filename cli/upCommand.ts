import { InvalidArgumentError, type Command } from "commander";
import { systemClock } from "../core/clock.ts";
import type { Output } from "./output.ts";

type UpFlags = {
  readonly file: string;
  readonly infoPort?: number;
  readonly httpPort?: number;
  readonly state?: string;
  readonly plain?: true;
};

/** `edis up`: what it takes, and how the process around it ends. */
export const addUp = (program: Command, output: Output, ended: (code: number) => void): void => {
  program
    .command("up")
    .description("runs the clusters of a file as processes on this machine, until Ctrl-C")
    .requiredOption("-f, --file <file>", "ShardClusters as for kubectl; saving the file rescales")
    .option("--info-port <port>", "where clients find it (7378)", portArgument)
    .option("--http-port <port>", "its status page (7370)", portArgument)
    .option("--state <folder>", "where it keeps its state and logs (.edis)")
    .option("--plain", "plain lines instead of a live status")
    .action(async (flags: UpFlags) => {
      ended(await runUp(flags, output));
    });
};

const runUp = async (flags: UpFlags, { isTerminal, write, writeError }: Output): Promise<number> => {
  const { up, infoPortDefault, httpPortDefault, stateDefault } = await import("./up.ts");
  const ending = new AbortController();
  const end = (): void => {
    // Who asks twice does not want to wait.
    if (ending.signal.aborted) process.exit(130);
    ending.abort();
  };
  process.on("SIGINT", end).on("SIGTERM", end);
  try {
    return await up(
      {
        file: flags.file,
        infoPort: flags.infoPort ?? infoPortDefault,
        httpPort: flags.httpPort ?? httpPortDefault,
        state: flags.state ?? stateDefault,
        plain: flags.plain ?? false,
      },
      {
        clock: systemClock,
        script: process.argv[1] ?? "",
        screen: isTerminal
          ? (): ScreenSize => ({ columns: process.stdout.columns, rows: process.stdout.rows })
          : null,
        write,
        writeError,
        signal: ending.signal,
      },
    );
  } finally {
    process.off("SIGINT", end).off("SIGTERM", end);
  }
};

type ScreenSize = { readonly columns: number; readonly rows: number };

const portArgument = (text: string): number => {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError("Wanted is a port from 0 to 65535; 0 takes any free one.");
};
