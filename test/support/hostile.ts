import { WebSocket } from "ws";
import { encode } from "../../core/cbor.ts";
import { systemClock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { epoch, shardId, version } from "../../core/ids.ts";
import { encodeMessage, type Role } from "../../core/message.ts";
import type { Request } from "../../core/request.ts";
import { encodeRequests } from "../../core/requestEncoder.ts";
import { dial } from "../../net/dial.ts";
import { reportFields } from "./fields.ts";
import { silent } from "./net.ts";

/** Numbers in [0, n) from a seed (mulberry32), so that an attack can be repeated. */
export const randomFrom = (seed: number): ((n: number) => number) => {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
};

const get: Request = { kind: "get", key: Buffer.from("a key"), read: { kind: "eventual", lagMsMax: null } };
const always = { kind: "always" } as const;
const never = { kind: "never" } as const;
const set: Request = {
  kind: "set",
  key: Buffer.from("k"),
  value: Buffer.alloc(100, 1),
  condition: always,
  expiry: never,
};
const place = { shard: shardId(0), epoch: epoch(1), version: version(3) };
const ref = { pod: "demo-read-0", incarnation: "x" };
const lag = { versions: 1, bytes: 2, ms: 3 };
const counts = {
  version: version(1),
  keys: 1,
  bytes: 1,
  leaving: false,
  readers: [{ pod: "p", state: "s", lag }],
};

/** Well-formed frames of every direction: what mutants are made from. */
export const seeds: readonly Uint8Array[] = [
  encodeRequests({
    id: 1,
    shard: shardId(0),
    epoch: epoch(1),
    requests: [get, set, { kind: "delete", key: Buffer.from("k") }],
  }),
  encodeRequests({
    id: 2,
    shard: shardId(0),
    epoch: epoch(1),
    requests: [{ kind: "increment", key: Buffer.from("n"), by: 2 }],
  }),
  encodeMessage({ kind: "watch" }),
  encodeMessage({ kind: "ask" }),
  encodeMessage({ kind: "resync", ...place }),
  encodeMessage({ kind: "ack", epoch: epoch(1), version: version(9), bytes: 7, grant: 3, leaseMs: 2_000 }),
  encodeMessage({
    kind: "register",
    home: "reader",
    address: { host: "127.0.0.1", client: 1, replication: 2, http: 3, resp: 4 },
    node: "n",
    zone: "z",
    uid: "u",
    startedAtMs: 1,
    ended: [{ uid: "before", startedAtMs: 1 }],
    had: [],
  }),
  encodeMessage({
    kind: "report",
    report: { ...ref, home: "reader", serving: { kind: "nothing" }, held: null, ...reportFields, ...counts },
  }),
  encode([2, 1, 5, Buffer.from("k")]),
];

const bombs: readonly ((random: (n: number) => number) => Buffer)[] = [
  (random) => Buffer.alloc(1 + random(100_000), [0x81, 0xa1, 0xc1, 0x9f, 0xd8][random(5)]),
  (random) => Buffer.concat([Buffer.from([0x9b]), bytes(random, 8), bytes(random, 20)]),
  (random) => Buffer.concat([Buffer.from("c25a00030d40", "hex"), Buffer.alloc(200_000, random(256))]),
  (random) => Buffer.concat([Buffer.from([0x83, 1, 0, 0x5a]), bytes(random, 4)]),
  (random) => bytes(random, 1 + random(400)),
];

const bytes = (random: (n: number) => number, length: number): Buffer =>
  Buffer.from(Array.from({ length }, () => random(256)));

/** One hostile frame: a mutated good one, a bomb, or noise. */
export const hostileFrame = (random: (n: number) => number): Buffer => {
  if (random(10) === 0) return bombs[random(bombs.length)]?.(random) ?? Buffer.alloc(1);
  let frame = Buffer.from(seeds[random(seeds.length)] ?? []);
  for (let edits = 1 + random(4); edits > 0; edits--) {
    const at = random(frame.length + 1);
    switch (random(4)) {
      case 0:
        frame[Math.min(at, frame.length - 1)] = random(256);
        break;
      case 1:
        frame = Buffer.concat([frame.subarray(0, at), bytes(random, 1 + random(8)), frame.subarray(at)]);
        break;
      case 2:
        frame = frame.subarray(0, Math.max(1, at));
        break;
      default:
        frame = Buffer.concat([frame, seeds[random(seeds.length)] ?? Buffer.alloc(0)]);
    }
  }
  return frame;
};

export type Attack = {
  readonly url: string;
  /** Who the attacker says to be; null: it sends its frames instead of a hello. */
  readonly as: {
    readonly role: Role;
    readonly cluster: string;
    readonly token: Uint8Array | null;
    readonly pod: string;
  } | null;
  readonly frames: number;
  readonly seed: number;
};

export type Outcome = { readonly sent: number; readonly connections: number; readonly unreachable: string[] };

/** Sends hostile frames over 16 connections at a time, each until it is closed, until all have been sent. */
export const attack = async ({ url, as, frames, seed }: Attack): Promise<Outcome> => {
  const random = randomFrom(seed);
  const outcome = { sent: 0, connections: 0, unreachable: [] as string[] };
  const lane = async (): Promise<void> => {
    while (outcome.sent < frames && outcome.unreachable.length < 100) {
      try {
        outcome.connections++;
        await (as === null ? rawVisit(url, random, outcome) : visit(url, as, { random, outcome, frames }));
      } catch (error) {
        outcome.unreachable.push(messageOf(error));
        await systemClock.sleep(10);
      }
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  return outcome;
};

type Count = { sent: number };

const rawVisit = async (url: string, random: (n: number) => number, outcome: Count): Promise<void> => {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await new Promise<void>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("message", () => {
      outcome.sent++;
      socket.send(hostileFrame(random));
    });
    socket.on("close", () => {
      resolve();
    });
  });
};

const visit = async (
  url: string,
  as: NonNullable<Attack["as"]>,
  { random, outcome, frames }: { random: (n: number) => number; outcome: Count; frames: number },
): Promise<void> => {
  let close = (): void => undefined;
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  const connection = await dial({
    url,
    ...as,
    self: { pod: as.pod, incarnation: String(random(2 ** 31)) },
    to: "",
    clock: systemClock,
    logger: silent,
    signal: new AbortController().signal,
    timeoutMs: 20_000,
    opened: () => ({ message: () => undefined, closed: close }),
  });
  // Two in flight, so that a frame behind a bad one is met too; more would mostly be sent into closed connections.
  while (connection.isOpen() && outcome.sent < frames) {
    for (let i = 0; i < 2; i++) {
      outcome.sent++;
      connection.send(hostileFrame(random));
    }
    await Promise.race([closed, systemClock.sleep(1)]);
  }
  connection.cut();
};
