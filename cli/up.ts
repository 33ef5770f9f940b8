import type { Clock } from "../core/clock.ts";
import { EdisError, messageOf } from "../core/errors.ts";
import { shardProgram, up as startUp, type LocalEvent, type Up } from "../operator/local/up.ts";
import { eventLines, upScreen, type ScreenSize } from "./upScreen.ts";

export const infoPortDefault = 7378;
export const httpPortDefault = 7370;
export const stateDefault = ".edis";

/** What `edis up` was called with. */
export type UpArguments = {
  readonly file: string;
  readonly infoPort: number;
  readonly httpPort: number;
  readonly state: string;
  /** Lines instead of a live status. */
  readonly plain: boolean;
};

export type UpSurroundings = {
  readonly clock: Clock;
  /** The script that runs: the shard program is beside it. */
  readonly script: string;
  /** Where the live status goes; null where nobody looks: plain lines then. */
  readonly screen: (() => ScreenSize) | null;
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
  /** Aborted to stop everything. */
  readonly signal: AbortSignal;
};

const eventsKept = 200;
const frameMs = 250;

/** Runs the clusters of a file until told to stop. Resolves to the exit code. */
export const up = async (options: UpArguments, around: UpSurroundings): Promise<number> => {
  const { clock, signal, writeError } = around;
  const events: LocalEvent[] = [];
  const display: { told: (event: LocalEvent) => void } = { told: () => undefined };
  let running: Up;
  try {
    running = await startUp({
      ...options,
      program: shardProgram(around.script),
      logLevel: "info",
      clock,
      told: (event) => {
        events.push(event);
        if (events.length > eventsKept) events.shift();
        display.told(event);
      },
    });
  } catch (error) {
    if (!(error instanceof EdisError)) throw error;
    writeError(`edis: ${error.message.split("\n").join("\n      ")}\n`);
    return 2;
  }
  const show = options.plain || around.screen === null ? showLines : showScreen;
  const stopShowing = show({ options, around, running, events, display });
  const failure = await Promise.race([running.failed, aborted(signal)]);
  stopShowing();
  around.write("Stopping…\n");
  await running.stop();
  around.write("Everything has ended.\n");
  if (failure === null) return 0;
  writeError(
    `edis: the local operator failed: ${messageOf(failure)}\n      Its log is ${options.state}/logs/operator.log\n`,
  );
  return 1;
};

type Shown = {
  readonly options: UpArguments;
  readonly around: UpSurroundings;
  readonly running: Up;
  readonly events: readonly LocalEvent[];
  readonly display: { told: (event: LocalEvent) => void };
};

/** Each event as a line, and what to type next once the cluster is ready. */
const showLines = ({ options, around, running, events, display }: Shown): (() => void) => {
  let hinted = false;
  const print = (event: LocalEvent): void => {
    for (const line of eventLines(event)) around.write(`${line}\n`);
    if (event.reason !== "Ready" || hinted) return;
    hinted = true;
    around.write(`\n${hintsFor(options, running).join("\n")}\n\n`);
  };
  around.write(`Starting what ${options.file} asks for; logs are in ${options.state}/logs\n`);
  for (const event of events) print(event);
  display.told = print;
  return () => {
    display.told = () => undefined;
  };
};

/** The status, drawn over itself. Not on the alternate screen: the last one stays to be read. */
const showScreen = ({ options, around, running, events }: Shown): (() => void) => {
  const size = around.screen ?? ((): ScreenSize => ({ columns: 80, rows: 24 }));
  const hints = hintsFor(options, running);
  let drawn = 0;
  const draw = (): void => {
    const state = { clusters: running.clusters(), problem: running.problem(), events, hints };
    const lines = upScreen(state, size());
    const back = drawn === 0 ? "" : `\u001b[${drawn}A`;
    around.write(`${back}\r\u001b[J${lines.join("\n")}\n`);
    drawn = lines.length;
  };
  draw();
  const cancel = around.clock.every(frameMs, draw);
  return () => {
    cancel();
    draw();
  };
};

const hintsFor = (options: UpArguments, { infoUrl, httpUrl }: Up): readonly string[] => {
  const info = options.infoPort === infoPortDefault ? "" : ` --info ${infoUrl}`;
  return [
    "Next, in another terminal:",
    `  npx edis set a 1${info}     npx edis get a${info}     npx edis topology${info}     npx edis${info} (a prompt)`,
    `  ${httpUrl}/ shows this as a page`,
    `Change ${options.file} (readers: …) and save it: it takes effect at once. Ctrl-C stops everything.`,
  ];
};

const aborted = (signal: AbortSignal): Promise<null> =>
  new Promise((resolve) => {
    const end = (): void => {
      resolve(null);
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
