import { connect, EdisError, type Client } from "../../client/index.ts";

/**
 * A steady load, run in a pod: workers write growing numbers to keys of their own and read them back from the readers. A
 * line of JSON says twice a second how it goes. SIGUSR2 stops the writing, reads every key from its owner, and says whether
 * every acknowledged write is there.
 */
const info = process.env["LOAD_INFO"] ?? "";
const cluster = process.env["LOAD_CLUSTER"] ?? "";
const workers = 4;
const keysPerWorker = 64;
const pauseMs = 5;
const failuresKept = 20;

type Failure = {
  readonly atMs: number;
  readonly what: string;
  readonly code: string;
  readonly message: string;
};
type Ledger = { acked: number; sent: number };

const startMs = performance.now();
const nowMs = (): number => Math.round(performance.now() - startMs);
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const ledger = new Map<string, Ledger>();
const failures: Failure[] = [];
const counts = { writes: 0, reads: 0, writeFailures: 0, readFailures: 0, wrongReads: 0 };
const gaps = { write: 0, read: 0 };
let writing = true;

const failed = (what: "write" | "read", error: unknown): void => {
  if (what === "write") counts.writeFailures++;
  else counts.readFailures++;
  const code = error instanceof EdisError ? error.code : "none";
  failures.push({
    atMs: nowMs(),
    what,
    code,
    message: error instanceof Error ? error.message : String(error),
  });
  if (failures.length > failuresKept) failures.shift();
};

const write = async (client: Client, worker: number): Promise<void> => {
  for (let n = 1; writing; n++) {
    const key = `load:${worker}:${n % keysPerWorker}`;
    const entry = ledger.get(key) ?? { acked: 0, sent: 0 };
    ledger.set(key, entry);
    entry.sent = n;
    const began = performance.now();
    try {
      await client.set(key, String(n));
      entry.acked = n;
      counts.writes++;
    } catch (error) {
      failed("write", error);
    }
    gaps.write = Math.max(gaps.write, Math.round(performance.now() - began));
    await sleep(pauseMs);
  }
};

const read = async (client: Client, worker: number): Promise<void> => {
  for (let n = 1; writing; n++) {
    const key = `load:${worker}:${n % keysPerWorker}`;
    const began = performance.now();
    try {
      const value = await client.get(key, { consistency: "eventual" });
      counts.reads++;
      // A reader may be behind; it never knows of what nobody wrote.
      if (Number(value ?? 0) > (ledger.get(key)?.sent ?? 0)) counts.wrongReads++;
    } catch (error) {
      failed("read", error);
    }
    gaps.read = Math.max(gaps.read, Math.round(performance.now() - began));
    await sleep(pauseMs);
  }
};

/** Every key holds its last acknowledged number, or a later one whose answer was lost. */
const verify = async (client: Client): Promise<void> => {
  const lost: string[] = [];
  for (const [key, { acked, sent }] of ledger) {
    const value = Number((await client.get(key, { consistency: "linearizable" })) ?? 0);
    if (value < acked || value > sent)
      lost.push(`${key}: acknowledged ${acked}, sent ${sent}, there is ${value}`);
  }
  say({ verified: ledger.size, lost });
};

const client = await connect({ info, cluster, connectMs: 30_000 });
say({ started: true });
const running = Promise.all(
  Array.from({ length: workers }, (_, worker) => [write(client, worker), read(client, worker)]).flat(),
);
setInterval(() => {
  say({ atMs: nowMs(), ...counts, gaps: { ...gaps }, failures });
  gaps.write = 0;
  gaps.read = 0;
}, 500);
process.on("SIGUSR2", () => {
  writing = false;
  running
    .then(() => verify(client))
    .catch((error: unknown) => {
      say({ verified: 0, lost: [String(error)] });
    });
});
process.on("SIGTERM", () => process.exit(0));
