import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "../client/index.ts";
import { EdisError, messageOf } from "../core/errors.ts";
import { valueBytesMax } from "../core/limits.ts";
import { exitCodes } from "./exit.ts";
import { processOutput } from "./output.ts";
import { runWords, type Surroundings } from "./program.ts";
import type { Settings } from "./settings.ts";

/** The edis command. */
const main = async (): Promise<number> => {
  // `edis get … | head` closes the pipe early: nobody reads on, so there is nothing more to do.
  process.stdout.on("error", () => process.exit(exitCodes.ok));
  const connection: { client?: Promise<Client> } = {};
  const connected = async (settings: Settings): Promise<Client> => {
    connection.client ??= connectWith(settings).catch((error: unknown) => {
      delete connection.client;
      throw error;
    });
    return connection.client;
  };
  const around: Surroundings = {
    env: process.env,
    output: processOutput,
    connected,
    readInput,
    prompt: async (settings) => prompt(around, settings),
    defaults: {},
    version: version(),
  };
  try {
    return await runWords(process.argv.slice(2), around);
  } finally {
    const client = await connection.client?.catch(() => undefined);
    client?.close();
  }
};

const connectWith = async ({ info, cluster, consistency, timeoutMs }: Settings): Promise<Client> => {
  const { connect } = await import("../client/index.ts");
  return connect({ info, cluster, consistency, timeoutMs, connectMs: 0 });
};

const prompt = async (around: Surroundings, settings: Settings): Promise<number> => {
  const { runPrompt } = await import("./prompt.ts");
  const { info, cluster, consistency, output, timeoutMs } = settings;
  return runPrompt({
    input: process.stdin,
    output: around.output,
    greeting: "Type help for the commands, exit to leave.\n",
    run: async (words) =>
      runWords(words, {
        ...around,
        prompt: undefined,
        // The prompt keeps one client: what it was started with holds for every line.
        connected: async () => around.connected(settings),
        defaults: {
          info: info.join(","),
          ...(cluster === undefined ? {} : { cluster }),
          ...(consistency === undefined ? {} : { consistency }),
          output,
          timeout: timeoutMs,
        },
      }),
  });
};

const readInput = async (): Promise<Uint8Array> => {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of process.stdin) {
    const read = part as Uint8Array;
    parts.push(read);
    bytes += read.length;
    if (bytes > valueBytesMax)
      throw new EdisError(
        "too-large",
        `Cannot send what comes from standard input: a value has at most ${valueBytesMax} bytes`,
      );
  }
  return Buffer.concat(parts);
};

/** Written into the bundle; from source it stands in package.json. */
const version = (): string => {
  const built = process.env["EDIS_VERSION"];
  if (built !== undefined) return built;
  const described: unknown = JSON.parse(
    readFileSync(join(process.argv[1] ?? ".", "../../package.json"), "utf8"),
  );
  return typeof described === "object" && described !== null && "version" in described
    ? String(described.version)
    : "unknown";
};

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(
      `edis: failed: ${messageOf(error)}\n      This is a defect of edis; please report it\n`,
    );
    process.exitCode = exitCodes.usage;
  },
);
