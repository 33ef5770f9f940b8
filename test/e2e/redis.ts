import { Cluster } from "ioredis";
import { createCluster } from "redis";
import { slotCount } from "../../core/ids.ts";
import { slotOf } from "../../core/slot.ts";
import { respClient } from "../support/respClient.ts";
import { until } from "../support/shardUntil.ts";

/**
 * The usual Redis Cluster clients, unchanged, in a pod: they know the Service and nothing else, and read from readers. Says
 * in a line of JSON what they were answered (redisPod.ts looks at it), and which pods answered.
 */
const host = process.env["REDIS_HOST"] ?? "";
const port = 6379;
const expiryMs = 1_500;
const keysAtOnce = 256;
const slotsPerKey = 4;
/** Two of three keys are not of the writer that the Service chose. */
const movedKeysMax = 100;

/** What is asked of every client, whatever it calls it. */
type Client = {
  readonly name: string;
  readonly set: (key: string, value: string, expiresInMs?: number) => Promise<unknown>;
  readonly get: (key: string) => Promise<string | null>;
  readonly getAll: (keys: readonly string[]) => Promise<readonly (string | null)[]>;
  /** Sets a key to 1 and adds 1 in one transaction; what both said. */
  readonly transact: (key: string) => Promise<readonly unknown[]>;
  readonly close: () => void;
};

const ioredis = (): Client => {
  const client = new Cluster([{ host, port }], { scaleReads: "slave" });
  return {
    name: "ioredis",
    set: (key, value, ms) => (ms === undefined ? client.set(key, value) : client.set(key, value, "PX", ms)),
    get: (key) => client.get(key),
    getAll: (keys) => client.mget([...keys]),
    transact: async (key) => {
      const said = (await client.multi().set(key, "1").incr(key).exec()) ?? [];
      return said.map(([error, result]) => error?.message ?? result);
    },
    close: () => {
      client.disconnect();
    },
  };
};

const nodeRedis = async (): Promise<Client> => {
  const client = createCluster({
    rootNodes: [{ url: `redis://${host}:${port}` }],
    useReplicas: true,
    RESP: 3,
  });
  client.on("error", () => undefined);
  await client.connect();
  return {
    name: "node-redis",
    set: (key, value, ms) =>
      ms === undefined
        ? client.set(key, value)
        : client.set(key, value, { expiration: { type: "PX", value: ms } }),
    get: (key) => client.get(key),
    getAll: (keys) => client.mGet([...keys]),
    transact: (key) => client.multi().set(key, "1").incr(key).exec(),
    close: () => {
      client.destroy();
    },
  };
};

/** A key for every fourth slot. */
const keys = ((): readonly string[] => {
  const bySlot = new Map<number, string>();
  for (let n = 0; bySlot.size < slotCount / slotsPerKey; n++) {
    const key = `redis:${n}`;
    const slot = slotOf(Buffer.from(key));
    if (slot % slotsPerKey === 0) bySlot.set(slot, key);
  }
  return [...bySlot.values()];
})();

/** Does something with every key, some keys at a time. */
const forAll = async <T>(work: (key: string) => Promise<T>): Promise<T[]> => {
  const results: T[] = [];
  for (let first = 0; first < keys.length; first += keysAtOnce)
    results.push(...(await Promise.all(keys.slice(first, first + keysAtOnce).map(work))));
  return results;
};

/** How many commands the pods of each kind have been asked so far; this question is one for each of them. */
const commands = async (): Promise<{ readonly writers: number; readonly readers: number }> => {
  const asked = { writers: 0, readers: 0 };
  for (const { address, isReader } of await nodes()) {
    const client = await respClient(port, address);
    const [info] = await client.send(["INFO", "stats"]);
    client.close();
    const count = Number(/total_commands_processed:(\d+)/.exec(info?.toString() ?? "")?.[1]);
    asked[isReader ? "readers" : "writers"] += count;
  }
  return asked;
};

const nodes = async (): Promise<readonly { readonly address: string; readonly isReader: boolean }[]> => {
  const client = await respClient(port, host);
  const [said] = await client.send(["CLUSTER", "NODES"]);
  client.close();
  return [...(said?.toString() ?? "").matchAll(/^\w+ (?<address>[\d.]+):\d+\S* (?<flags>\S+) /gm)].map(
    ({ groups }) => ({
      address: groups?.["address"] ?? "",
      isReader: groups?.["flags"]?.includes("slave") === true,
    }),
  );
};

const askAll = async (client: Client): Promise<unknown> => {
  const { name } = client;
  const beganMs = performance.now();
  await forAll((key) => client.set(key, `${name} ${key}`));
  const wrong = async (): Promise<number> =>
    (await forAll(async (key) => (await client.get(key)) === `${name} ${key}`)).filter((isRight) => !isRight)
      .length;
  // A reader may be behind.
  await until("every key is read", async () => (await wrong()) === 0);
  const before = await commands();
  const wrongAfterwards = await wrong();
  const after = await commands();
  const tagged = Array.from({ length: 10 }, (_, i) => `{${name}}${i}`);
  await Promise.all(tagged.map((key, i) => client.set(key, String(i))));
  let values: readonly (string | null)[] = [];
  await until("the tagged keys are read", async () => {
    values = await client.getAll(tagged);
    return !values.includes(null);
  });
  const transacted = await client.transact(`{${name}}transacted`);
  return {
    ...{ name, keys: keys.length, wrong: wrongAfterwards, tagged: values, transacted },
    byReaders: after.readers - before.readers,
    byWriters: after.writers - before.writers,
    goneAfterMs: await expire(client),
    tookMs: Math.round(performance.now() - beganMs),
  };
};

/** How long after it was set a key is gone at the readers, in ms. */
const expire = async (client: Client): Promise<number> => {
  const key = `brief:${client.name}`;
  const setMs = performance.now();
  await client.set(key, "there", expiryMs);
  await until("the key is there", async () => (await client.get(key)) === "there");
  await until("the key is gone", async () => (await client.get(key)) === null);
  return Math.round(performance.now() - setMs);
};

/** No client at all: writes keys through the Service until one has moved, and follows that. */
const followMoved = async (): Promise<unknown> => {
  const service = await respClient(port, host);
  for (let n = 0; n < movedKeysMax; n++) {
    const [refused = Buffer.alloc(0)] = await service.send(["SET", `raw:${n}`, "1"]);
    const [, address] = /^-MOVED \d+ ([\d.]+):\d+\r\n$/.exec(refused.toString()) ?? [];
    if (address === undefined) continue;
    const owner = await respClient(port, address);
    const said = await owner.send(["SET", `raw:${n}`, "followed"], ["GET", `raw:${n}`]);
    for (const { close } of [service, owner]) close();
    return { refused: refused.toString().trim(), followed: said.map(String) };
  }
  throw new Error(`The Service's writer owns all of ${movedKeysMax} keys`);
};

const clients: unknown[] = [];
for (const create of [ioredis, nodeRedis]) {
  const client = await create();
  clients.push(await askAll(client));
  client.close();
}
process.stdout.write(`${JSON.stringify({ clients, moved: await followMoved() })}\n`);
