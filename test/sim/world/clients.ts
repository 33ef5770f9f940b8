import { connect, EdisError, type BatchOperation, type Client, type Session } from "../../../client/index.ts";
import type { Operation } from "../checker/history.ts";
import type { Seeded } from "./seeded.ts";
import type { SimProcess, World } from "./world.ts";
import { clusterKey, infoHost } from "./world.ts";

/** Clients that work on a few keys and write down what they saw. */
export type Clients = {
  readonly history: Operation[];
  /** Asks nothing new; answers whether all of them are done. */
  readonly end: () => void;
  readonly areDone: () => boolean;
  /** Reads every key that was written once more, linearizably, until that works. */
  readonly readAll: () => Promise<void>;
  readonly connected: () => number;
};

type Asked = Pick<Operation, "op" | "key" | "value" | "expect" | "level">;

export type Working = {
  /** Between two operations, on average. Virtual milliseconds. */
  readonly thinkMs: number;
  /** The first client does nothing but linearizable reads. */
  readonly watches: boolean;
};

export const createClients = (world: World, count: number, { thinkMs, watches }: Working): Clients => {
  const history: Operation[] = [];
  const state: State = { history, ids: 0, values: 0, isEnding: false, working: 0, connected: 0 };
  const processes = Array.from({ length: count }, (_, i) => world.newProcess(`client-${i}`));
  world.clients.push(...processes.map(({ process }) => process.name));
  const clients: Client[] = [];
  for (const made of processes) {
    state.working++;
    world.timeline.at(world.timeline.nowMs(), made.process, () => {
      connectTo(made, world)
        .then(async (client) => {
          clients.push(client);
          state.connected++;
          await work(state, { world, client, made, thinkMs, watches: watches && made === processes[0] });
        })
        .catch((error: unknown) => {
          world.defects.push(`${made.process.name} failed: ${String(error)}`);
        })
        .finally(() => {
          state.working--;
        });
    });
  }
  return {
    history,
    end: () => {
      state.isEnding = true;
    },
    areDone: () => state.working === 0,
    connected: () => state.connected,
    readAll: async () => {
      const made = processes[0];
      const client = clients[0];
      if (made === undefined || client === undefined) return;
      const worker = {
        world,
        client,
        made,
        thinkMs,
        watches,
        process: ++state.ids,
        session: client.session(),
      };
      const keys = new Set(history.filter(({ op }) => op !== "get").map(({ key }) => key));
      for (const key of [...keys].sort()) {
        for (;;) {
          const outcome = await ask(state, worker, { op: "get", key, level: "linearizable" });
          if (outcome === "ok") break;
          await made.clock.sleep(100);
        }
      }
    },
  };
};

type State = {
  readonly history: Operation[];
  ids: number;
  values: number;
  isEnding: boolean;
  working: number;
  connected: number;
};

const connectTo = ({ process, clock, logger, random }: SimProcess, world: World): Promise<Client> =>
  connect({
    ...{ info: `ws://${infoHost}:7378`, cluster: clusterKey, clock, logger, random: random.next },
    ...{ network: world.network.of(process), connectMs: 120_000, timeoutMs: 1_500 },
  });

type Worker = {
  readonly world: World;
  readonly client: Client;
  readonly made: SimProcess;
  readonly thinkMs: number;
  readonly watches: boolean;
  process: number;
  session: Session;
};

const work = async (state: State, given: Omit<Worker, "process" | "session">): Promise<void> => {
  const worker: Worker = { ...given, process: ++state.ids, session: given.client.session() };
  const { random, clock } = worker.made;
  // What it wrote may keep a client waiting where one that only reads would be answered.
  const onlyReads = random.chance(0.3);
  while (!state.isEnding) {
    const chosen = onlyReads || given.watches ? chooseRead(random) : choose(state, random);
    const asked: Asked = given.watches ? { ...chosen, level: "linearizable" } : chosen;
    const outcome = await ask(state, worker, asked);
    if (outcome === "unknown") {
      worker.process = ++state.ids;
      worker.session = worker.client.session();
    }
    await clock.sleep(-Math.log(1 - random.next()) * worker.thinkMs);
  }
};

const chooseRead = (random: Seeded): Asked => ({
  op: "get",
  key: random.chance(0.7) ? `r${random.below(4)}` : `n${random.below(2)}`,
  level: random.pick(["linearizable", "linearizable", "session", "eventual"] as const),
});

/** Three kinds of keys: registers, counters, and some that are written once. */
const choose = (state: State, random: Seeded): Asked => {
  const level = random.pick(["linearizable", "linearizable", "session", "eventual"] as const);
  const register = `r${random.below(4)}`;
  const value = `v${++state.values}`;
  const kind = random.below(20);
  if (kind < 5) return { op: "get", key: register, level };
  if (kind < 9) return { op: "set", key: register, value };
  if (kind < 10) return { op: "del", key: register };
  if (kind < 12) {
    const seen = state.history.findLast(
      ({ key, op, outcome }) => key === register && op === "set" && outcome === "ok",
    );
    return { op: "cas", key: register, expect: seen?.value ?? "v0", value };
  }
  if (kind < 14) return { op: "incr", key: `n${random.below(2)}`, value: "1" };
  if (kind < 16) return { op: "get", key: `n${random.below(2)}`, level };
  if (kind < 19) return { op: "set", key: `e${state.values}`, value };
  return { op: "get", key: `e${1 + random.below(state.values)}`, level };
};

const ask = async (state: State, worker: Worker, asked: Asked): Promise<Operation["outcome"]> => {
  const { world, process } = worker;
  const nowNs = (): number => Math.round(world.timeline.nowMs() * 1e6);
  const invokeNs = nowNs();
  // Written down at once: one that is never answered is known of, too.
  const at =
    state.history.push({ process, ...asked, invokeNs, completeNs: invokeNs, outcome: "unknown" }) - 1;
  const note = (fields: Pick<Operation, "outcome"> & Partial<Operation>): Operation["outcome"] => {
    state.history[at] = { process, ...asked, invokeNs, completeNs: nowNs(), ...fields };
    return fields.outcome;
  };
  const [result] = await worker.session.batch([requestOf(asked)]);
  if (result === undefined) throw new Error("a batch of one has one result");
  switch (result.kind) {
    case "error":
      return note({ outcome: isUnknown(result.error) && asked.op !== "get" ? "unknown" : "fail" });
    case "value":
      return note({
        outcome: "ok",
        result: result.value === null ? null : Buffer.from(result.value).toString(),
        ...result.place,
      });
    case "set":
      return note({
        outcome: "ok",
        ...(asked.op === "cas" ? { result: String(result.applied) } : {}),
        ...result.place,
      });
    case "deleted":
      return note({ outcome: "ok", result: String(result.existed), ...result.place });
    case "integer":
      return note({ outcome: "ok", result: String(result.value), ...result.place });
  }
};

const isUnknown = ({ next }: EdisError): boolean => next === "unknown";

const requestOf = ({ op, key, value = "", expect = "", level }: Asked): BatchOperation => {
  switch (op) {
    case "get":
      return { kind: "get", key, consistency: level };
    case "set":
      return { kind: "set", key, value };
    case "del":
      return { kind: "delete", key };
    case "incr":
      return { kind: "increment", key, by: Number(value) };
    case "cas":
      return { kind: "set", key, value, ifEqual: expect };
  }
};
