import { until } from "../../test/support/net.ts";
import { respClient } from "../../test/support/respClient.ts";
import { ageMs } from "./process.ts";

/** One command on a connection of its own; its reply as text. Rejects with an error reply. */
export const ask = async (port: number, command: readonly string[]): Promise<string> => {
  const client = await respClient(port);
  try {
    const [reply] = await client.send(command);
    const text = reply?.toString("latin1") ?? "";
    if (text.startsWith("-")) throw new Error(`${command.join(" ")} is answered ${text.trim()}`);
    return text;
  } finally {
    client.close();
  }
};

/** Whether a server takes connections and answers; false also while it loads. */
export const isAnswering = async (port: number): Promise<boolean> => {
  try {
    await ask(port, ["PING"]);
    return true;
  } catch {
    return false;
  }
};

export const infoField = async (port: number, field: string): Promise<string | undefined> =>
  new RegExp(`^${field}:(.*)\r$`, "m").exec(await ask(port, ["INFO", "everything"]))?.[1];

/** Milliseconds from the start of a process to its first answer to GET of a key that is there. */
export const firstAnswerMs = async (
  pid: () => number,
  port: () => number | Promise<number>,
  key: string,
): Promise<number> => {
  const hasKey = async (): Promise<boolean> => {
    try {
      return /^\$[1-9]/.test(await ask(await port(), ["GET", key]));
    } catch {
      return false;
    }
  };
  await until(`${key} is read after a start`, hasKey, 120_000);
  return ageMs(pid());
};
