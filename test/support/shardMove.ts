import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { epoch, mapVersion, shardId, slot } from "../../core/ids.ts";
import type { MoveReport, Report } from "../../core/message.ts";
import type { Result } from "../../core/request.ts";
import { slotOf } from "../../core/slot.ts";
import type { Address, Move, Shard, SlotRange } from "../../core/topology.ts";
import { connectToShard, get, set, textOf, type ShardClient } from "./shardClient.ts";
import { shardFields } from "./fields.ts";
import { startTestInfo, type TestInfo, type TestSession } from "./shardInfo.ts";
import { addressOf } from "./shardPair.ts";
import { startProxy, type Proxy } from "./shardProxy.ts";
import { startShardProcess, type ShardProcess } from "./shardProcess.ts";

/** Two shards as real processes, the first with all slots, and a test that moves some of them to the second. */
export type MoveWorld = {
  readonly info: TestInfo;
  readonly processes: Map<string, ShardProcess>;
  /** What the topology says; change it, then `publish`. */
  readonly shards: { epoch: number; slots: readonly SlotRange[]; mapVersion: number }[];
  moves: readonly Move[];
  readonly publish: () => void;
  /** Begins to move slots from the first shard to the second; answers the move's id. */
  readonly begin: (slots: readonly SlotRange[]) => number;
  readonly freeze: () => void;
  /** Gives the slots of the move to the second shard. */
  readonly commit: () => void;
  readonly abort: () => void;
  /** What the owner of a shard says of the move, once it is as wanted. */
  readonly said: (pod: string, wanted: (move: MoveReport) => boolean) => Promise<MoveReport>;
  readonly address: (pod: string) => Address;
  /** Kills the owner of a shard, where it still lives, and starts it again on its volume; it owns in another epoch, and no move goes on. */
  readonly restart: (id: number) => Promise<void>;
  link: Proxy | null;
  readonly stop: () => Promise<void>;
};

export const firstWriter = "demo-write-0";
export const secondWriter = "demo-write-1";
export const secondReader = "demo-read-1";
/** The lower half of all slots: of every two keys about one. */
export const lowerHalf: readonly SlotRange[] = [[slot(0), slot(8191)]];
const upperHalf: readonly SlotRange[] = [[slot(8192), slot(16383)]];
const all: readonly SlotRange[] = [[slot(0), slot(16383)]];

export const startMoveWorld = async ({
  readers = [],
  env = {},
  nodeArguments = [],
  proxied = false,
}: {
  readonly readers?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArguments?: readonly string[];
  /** The second shard's readers reach it through a link that can be stopped. */
  readonly proxied?: boolean;
} = {}): Promise<MoveWorld> => {
  const info = await startTestInfo();
  const folder = await mkdtemp(join(tmpdir(), "edis-moves-"));
  const processes = new Map<string, ShardProcess>();
  const owners = [firstWriter, secondWriter];
  const assignments = Object.fromEntries(readers.map((pod) => [pod, 1]));
  let lastMove = 0;

  const start = (pod: string): Promise<TestSession> => {
    const role = owners.includes(pod) ? "writer" : "reader";
    const before = info.sessions.get(pod)?.incarnation;
    const own = { ...env, EDIS_DATA: join(folder, pod) };
    processes.set(pod, startShardProcess({ role, pod, info: info.url, env: own, nodeArguments }));
    return info.registered(pod, before);
  };
  const shardAt = (id: number): Shard => {
    const { epoch: at, slots, mapVersion: map } = world.shards[id] ?? { epoch: 0, slots: [], mapVersion: 1 };
    const owner = info.sessions.get(owners[id] ?? "");
    return {
      ...{ ...shardFields, id: shardId(id), epoch: epoch(at), slots, mapVersion: mapVersion(map) },
      owner: owner === undefined ? null : { pod: owner.pod, incarnation: owner.incarnation },
    };
  };
  const world: MoveWorld = {
    ...{ info, processes, moves: [], link: null },
    shards: [
      { epoch: 1, slots: all, mapVersion: 1 },
      { epoch: 1, slots: [], mapVersion: 1 },
    ],
    publish: () => {
      info.publishMoves([shardAt(0), shardAt(1)], world.moves);
    },
    begin: (slots) => {
      const [from, to] = [shardAt(0), shardAt(1)];
      const id = ++lastMove;
      const ids = { id, from: from.id, fromEpoch: from.epoch, to: to.id, toEpoch: to.epoch };
      world.moves = [{ ...ids, slots, stage: "copying" }];
      world.publish();
      return id;
    },
    freeze: () => {
      world.moves = world.moves.map((move) => ({ ...move, stage: "freezing" }));
      world.publish();
    },
    commit: () => {
      const map = 1 + Math.max(...world.shards.map((shard) => shard.mapVersion));
      world.moves = [];
      const [first, second] = world.shards;
      if (first !== undefined) Object.assign(first, { slots: upperHalf, mapVersion: map });
      if (second !== undefined) Object.assign(second, { slots: lowerHalf, mapVersion: map });
      world.publish();
    },
    abort: () => {
      world.moves = [];
      world.publish();
    },
    said: async (pod, wanted) => {
      const report = await info.reported(pod, (one) => movesOf(one).some(wanted));
      const found = movesOf(report).find(wanted);
      if (found === undefined) throw new Error("it was there a moment ago");
      return found;
    },
    address: (pod) => addressOf(info, pod),
    restart: async (id) => {
      const pod = owners[id] ?? "";
      await processes.get(pod)?.kill();
      await start(pod);
      world.moves = [];
      const shard = world.shards[id];
      if (shard !== undefined) shard.epoch++;
      world.publish();
      await info.reported(pod, ({ serving }) => serving.kind === "owner" && serving.epoch === shard?.epoch);
    },
    stop: async () => {
      await Promise.all([...processes.values()].map((one) => one.kill()));
      await Promise.all([info.close(), world.link?.close()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
  await Promise.all([...owners, ...readers].map(start));
  if (proxied) {
    world.link = await startProxy(addressOf(info, secondWriter).replication);
    info.replicationVia(secondWriter, world.link.port);
  }
  info.publish([], assignments);
  world.publish();
  for (const pod of owners) await info.reported(pod, ({ serving }) => serving.kind === "owner");
  for (const pod of readers)
    await info.reported(pod, ({ serving }) => serving.kind === "reader" && serving.state === "streaming");
  return world;
};

const movesOf = ({ serving }: Report): readonly MoveReport[] =>
  serving.kind === "owner" ? serving.moves : [];

/** Copies and follows, freezes, and commits once the second shard holds everything. */
export const moveAll = async (world: MoveWorld): Promise<void> => {
  world.begin(lowerHalf);
  await world.said(secondWriter, (move) => move.kind === "target" && move.holds !== null);
  await freezeAll(world);
  world.commit();
};

/** Freezes, and waits until the second shard holds everything. */
export const freezeAll = async (world: MoveWorld): Promise<void> => {
  world.freeze();
  const source = await world.said(firstWriter, (move) => move.kind === "source" && move.frozen !== null);
  const frozen = source.kind === "source" ? (source.frozen ?? 0) : 0;
  await world.said(secondWriter, (move) => move.kind === "target" && (move.holds ?? -1) >= frozen);
};

/** Asks the shard that has the key, wherever that is by now; a write again where it was not applied. */
export type MoveClient = {
  readonly set: (key: string, value: string) => Promise<void>;
  readonly get: (key: string) => Promise<string | null>;
  readonly clients: readonly ShardClient[];
  readonly close: () => void;
};

export const connectToBoth = async (world: MoveWorld): Promise<MoveClient> => {
  const clients = await Promise.all(
    [firstWriter, secondWriter].map((pod) => connectToShard(world.address(pod))),
  );
  const at = (shard: number): { shard: number; epoch: number } => ({
    shard,
    epoch: world.shards[shard]?.epoch ?? 0,
  });
  const ask = async (
    key: string,
    asked: (client: ShardClient, id: number) => Promise<Result | undefined>,
  ) => {
    for (;;)
      for (const [id, client] of clients.entries()) {
        const result = await asked(client, id);
        if (result?.kind !== "error") return result;
        if (!["not-owner", "try-again"].includes(result.code)) throw new Error(`${key}: ${result.message}`);
      }
  };
  return {
    clients,
    set: async (key, value) => {
      await ask(key, async (client, id) => (await client.ask([set(key, value)], at(id)))[0]);
    },
    get: async (key) => {
      const read = { kind: "linearizable" } as const;
      const result = await ask(key, async (client, id) => (await client.ask([get(key, read)], at(id)))[0]);
      return textOf(result);
    },
    close: () => {
      for (const client of clients) client.close();
    },
  };
};

/** Whether a key is in the lower half of the slots. */
export const isLower = (key: string): boolean => slotOf(Buffer.from(key)) < 8192;
