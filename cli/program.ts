import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { Client } from "../client/index.ts";
import { EdisError } from "../core/errors.ts";
import type { Shell } from "./commands.ts";
import { exitCodeOf, exitCodes } from "./exit.ts";
import { writeFailure, type Output } from "./output.ts";
import { durationMs, settingsOf, type Environment, type Options, type Settings } from "./settings.ts";
import type { PlanFlags } from "./plan.ts";
import { addUp } from "./upCommand.ts";

/** Where a line of words is run: from the command line, or again and again from the prompt. */
export type Surroundings = {
  readonly env: Environment;
  readonly output: Output;
  /** Connects, or gives the client that is connected already. */
  readonly connected: (settings: Settings) => Promise<Client>;
  /** All of standard input, for `set KEY -`. */
  readonly readInput: () => Promise<Uint8Array>;
  /** What happens without a command; undefined inside the prompt. */
  readonly prompt: ((settings: Settings) => Promise<number>) | undefined;
  /** Options that hold unless the line says otherwise. */
  readonly defaults: Partial<Options>;
  readonly version: string;
};

/** Runs one command and returns its exit code. Errors are written, never thrown. */
export const runWords = async (words: readonly string[], around: Surroundings): Promise<number> => {
  let code: number = exitCodes.ok;
  const program = programOf(around, (ended) => {
    code = ended;
  });
  try {
    await program.parseAsync(words, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    if (!(error instanceof EdisError)) throw error;
    writeFailure(error, { output: around.output, settings: settingsIn(program, around) });
    return exitCodeOf(error);
  }
};

const settingsIn = (program: Command, { env, defaults }: Surroundings): Settings =>
  settingsOf({ ...defaults, ...program.opts<Options>() }, env);

type Ended = (code: number) => void;

const programOf = (around: Surroundings, ended: Ended): Command => {
  const { output, defaults, prompt } = around;
  const program = new Command("edis")
    .description("Talks to an Edis cluster: a sharded, replicated key-value store.")
    .configureOutput({
      writeOut: output.write,
      writeErr: output.writeError,
      outputError: (text, write) => {
        write(`edis: ${text.replace(/^error: /, "")}      See: edis help\n`);
      },
    })
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .option("--info <urls>", "ws://host:port of info or of any shard, comma separated (or EDIS_INFO)")
    .option("--cluster <namespace/name>", "which one, where info knows several (or EDIS_CLUSTER_NAME)")
    .addOption(
      new Option("--consistency <level>", "of reads")
        .choices(["eventual", "session", "linearizable"])
        .default(defaults.consistency ?? "eventual"),
    )
    .addOption(
      new Option("--output <format>", "how results are written")
        .choices(["text", "json"])
        .default(defaults.output ?? "text"),
    )
    .addOption(
      new Option("--timeout <duration>", "how long to try: 500ms, 10s, 1m")
        .argParser(durationArgument)
        .default(defaults.timeout ?? 5_000, "5s"),
    )
    .version(around.version, "--version", "prints the version");
  const command = commandsOf(program, { around, ended });
  addData(command);
  addCluster(command, program);
  if (prompt === undefined) {
    program.command("exit").alias("quit").description("leaves the prompt (so does Ctrl-D)");
  } else {
    addUp(program, output, ended);
    program.addHelpText("after", teaching).allowExcessArguments();
    program.action(async (): Promise<void> => {
      const [word] = program.args;
      if (word !== undefined) program.error(`error: unknown command '${word}'`);
      ended(await prompt(settingsIn(program, around)));
    });
  }
  return program;
};

const teaching = `
Without a command a prompt starts; lines that are piped in are run one by one.

Examples:
  edis set greeting hello            stores a value
  edis get greeting                  prints it
  edis set job:7 taken --if-absent --ttl 30s
                                     only if nobody has it, for 30 seconds
  edis incr visits                   counts up
  edis set picture - < cat.jpg       the value from standard input
  edis topology                      who owns which slots, how far behind each reader is
  edis get greeting --consistency linearizable
                                     asks the owner, not a reader
  edis plan -f cluster.yaml          what this file would change
  edis verify                        whether all copies hold the same
  edis up -f cluster.yaml            a cluster of processes on this machine

Exit codes:
  0  done
  1  the key is not there, or the condition does not hold
  2  the command or its arguments are wrong
  3  the cluster cannot be reached or did not answer in time; nothing was changed
  4  the write may or may not have been applied: read before you send it again

In a shard's pod no option is needed: EDIS_INFO and EDIS_CLUSTER are set there.`;

const durationArgument = (text: string): number => {
  try {
    return durationMs(text);
  } catch {
    throw new InvalidArgumentError("Wanted is 500ms, 10s, 5m, 2h or 1d.");
  }
};

const integerArgument = (text: string): number => {
  const n = Number(text);
  if (/^[+-]?\d+$/.test(text) && Number.isSafeInteger(n)) return n;
  throw new InvalidArgumentError("Wanted is an integer of at most 53 bits.");
};

type Adder = {
  readonly program: Command;
  /** Runs a command against the cluster. */
  readonly run: (work: (shell: Shell) => Promise<number>) => Promise<void>;
  readonly around: Surroundings;
};

const commandsOf = (
  program: Command,
  { around, ended }: { readonly around: Surroundings; readonly ended: Ended },
): Adder => ({
  program,
  around,
  run: async (work) => {
    const settings = settingsIn(program, around);
    ended(await work({ settings, output: around.output, client: async () => around.connected(settings) }));
  },
});

type SetFlags = {
  readonly ttl?: number;
  readonly ifAbsent?: boolean;
  readonly ifPresent?: boolean;
  readonly ifEqual?: string;
};

const addData = ({ program, run, around }: Adder): void => {
  program
    .command("get")
    .description("prints the value of a key; exit code 1 where there is none")
    .argument("<key>")
    .action(async (key: string) => run(async (shell) => (await commands()).get(shell, key)));
  program
    .command("set")
    .description("stores a value; exit code 1 where the condition does not hold")
    .argument("<key>")
    .argument(
      "<value>",
      around.prompt === undefined ? "the value" : "the value; - takes it from standard input",
    )
    .option("--ttl <duration>", "it expires after 500ms, 10s, 5m, 2h or 1d", durationArgument)
    .option("--if-absent", "only if the key is not there")
    .option("--if-present", "only if the key is there")
    .option("--if-equal <value>", "only if the value is this one")
    .action(async (key: string, value: string, { ttl, ...conditions }: SetFlags) =>
      run(async (shell) => {
        const data = value === "-" && around.prompt !== undefined ? await around.readInput() : value;
        return (await commands()).set(shell, [key, data], { expiresInMs: ttl, ...conditions });
      }),
    );
  program
    .command("del")
    .description("deletes keys; prints how many were there, exit code 1 where none was")
    .argument("<keys...>")
    .action(async (keys: string[]) => run(async (shell) => (await commands()).del(shell, keys)));
  program
    .command("incr")
    .description("adds to an integer and prints it; a key that is not there counts as 0")
    .argument("<key>")
    .argument("[by]", "how much, may be negative", integerArgument, 1)
    .action(async (key: string, by: number) => run(async (shell) => (await commands()).incr(shell, key, by)));
  program
    .command("mget")
    .description("prints the values of many keys, one a line; exit code 1 where one is not there")
    .argument("<keys...>")
    .action(async (keys: string[]) => run(async (shell) => (await commands()).mget(shell, keys)));
  program
    .command("mset")
    .description("stores many values, each by itself; prints how many")
    .argument("<words...>", "KEY VALUE, as often as you like")
    .action(async (words: string[]) => run(async (shell) => (await commands()).mset(shell, words)));
};

const addCluster = ({ run }: Adder, program: Command): void => {
  program
    .command("topology")
    .description("a table: who owns which slots, its readers, how far behind they are")
    .action(async () => run(async (shell) => (await commands()).topology(shell)));
  program
    .command("failover")
    .description("what another owner for a shard would mean; with --force, gives it one whatever is lost")
    .argument("<shard>", "its number, see edis topology", integerArgument)
    .option("--force", "do it: writes that only missing pods hold are lost")
    .option("--state <folder>", "where edis up keeps its state (.edis)")
    .addHelpText("after", failoverHelp)
    .action(async (shard: number, flags: { readonly force?: true; readonly state?: string }) =>
      run(async (shell) => (await import("./failover.ts")).failover(shell, shard, flags)),
    );
  program
    .command("plan")
    .description("what a change would do (slots, pods, time), without doing it")
    .argument("[name]", "which cluster: name, or namespace/name")
    .option("-f, --file <file>", "ShardClusters as they are to be; without it: as they are wished now")
    .option("--writers <n>", "with so many writers instead", integerArgument)
    .option("--readers <n>", "with so many readers instead", integerArgument)
    .addHelpText("after", planHelp)
    .action(async (name: string | undefined, flags: PlanFlags) =>
      run(async (shell) => (await import("./plan.ts")).plan(shell, name, flags)),
    );
  program
    .command("verify")
    .description("whether every key is where the map says, once, and all copies hold the same")
    .addHelpText("after", verifyHelp)
    .action(async () => run(async (shell) => (await import("./verify.ts")).verify(shell)));
  program
    .command("ping")
    .description("whether the owner of every shard answers; exit code 3 where one does not")
    .action(async () => run(async (shell) => (await commands()).ping(shell)));
};

const planHelp = `
Asks the operator, which plans as it would if the change were made, and says which slots would move from which shard to which, how
many keys and bytes that is, how long it may take, which pods would come, go, or be made anew, and what would be refused.

Examples:
  edis plan -f cluster.yaml          what saving or applying this file would do
  edis plan demo --writers 5         what another number of writers would do
  edis plan                          what is still to be done of what is wished now

Info has to be asked: --info names the operator, not a shard.

Exit codes:
  0  shown, whether or not something would be refused
  2  the file or an argument is wrong
  3  info cannot be reached`;

const verifyHelp = `
Compares, slot by slot, what each owner and each of its copies hold (a digest of keys, values and expiry instants), and looks for
keys in processes that are not to have them. Nothing is changed, and the cluster serves on: a slot that is written to while it is
looked at is looked at again.

Exit codes:
  0  every key is where the map says, once, and all copies hold the same
  1  something is wrong: it says what, and where
  3  some of it could not be looked at, and nothing that was is wrong`;

const failoverHelp = `
A shard whose owner is gone gets another one by itself, wherever a copy is known to hold everything that was acknowledged.
This is for where none is: then somebody has to decide whether to wait for the missing pods or to go on without them.

Without --force nothing is changed. With it, the word is meant for the epoch that the shard has now and is never acted on twice.
In Kubernetes the word is an annotation: this prints the kubectl command that sets it.

Exit codes:
  0  done, or shown
  2  there is no such shard
  3  nobody could take over within the timeout`;

// The client, with the websocket library and the codec, is loaded only by a command that needs it.
const commands = async (): Promise<typeof import("./commands.ts")> => import("./commands.ts");
