import { respClient } from "../../test/support/respClient.ts";

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
