import { connect, type Socket } from "node:net";
import { messageOf } from "../../core/errors.ts";
import type { Outcome } from "./hostile.ts";
import { randomFrom } from "./hostile.ts";
import { encodeCommand } from "./respClient.ts";

type Below = (n: number) => number;

/** Well-formed commands: what mutants are made from. None that may take away what others wrote. */
const seeds: readonly Buffer[] = [
  ["SET", "k", "v"],
  ["SET", "k", "v", "EX", "100", "NX"],
  ["SET", "k", "v", "IFEQ", "v", "PX", "1000"],
  ["GET", "k"],
  ["MGET", "k", "k"],
  ["MSET", "k", "v", "k", "w"],
  ["INCRBY", "n", "3"],
  ["INCRBYFLOAT", "f", "0.5"],
  ["APPEND", "k", "x"],
  ["SETRANGE", "k", "5", "x"],
  ["GETRANGE", "k", "0", "-1"],
  ["SETBIT", "b", "7", "1"],
  ["BITCOUNT", "b", "0", "-1"],
  ["DEL", "k"],
  ["EXPIRE", "k", "100", "GT"],
  ["SCAN", "0", "MATCH", "*", "COUNT", "10"],
  ["OBJECT", "ENCODING", "k"],
  ["MULTI"],
  ["EXEC"],
  ["WATCH", "k"],
  ["HELLO", "3", "SETNAME", "x"],
  ["CLIENT", "SETNAME", "x"],
  ["CLIENT", "REPLY", "SKIP"],
  ["CLUSTER", "KEYSLOT", "k"],
  ["COMMAND", "GETKEYS", "GET", "k"],
  ["CONFIG", "GET", "max*"],
  ["READONLY"],
  ["PING"],
]
  .map((args) => encodeCommand(args))
  .concat([Buffer.from("GET k\r\n"), Buffer.from(`SET "k" "a\\x00b"\r\n`), Buffer.from("\r\n")]);

const bombs: readonly ((random: Below) => Buffer)[] = [
  () => Buffer.from("*1048577\r\n"),
  () => Buffer.from("*1048576\r\n$1\r\na\r\n"),
  () => Buffer.from("*2147483648\r\n"),
  () => Buffer.from("*-2147483649\r\n"),
  () => Buffer.from("*2\r\n$3\r\nGET\r\n$-1\r\n"),
  () => Buffer.from("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108865\r\n"),
  () => Buffer.from("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108864\r\nhalf of it"),
  () => Buffer.from("*1\r\n$99999999999999999999\r\n"),
  () => Buffer.from("*1\r\n*1\r\n".repeat(1000)),
  (random) => Buffer.alloc(1 + random(70_000), "a"),
  (random) => Buffer.alloc(1 + random(70_000), '"'),
  (random) => Buffer.from(`*1\r\n$${"0".repeat(1 + random(70_000))}1\r\na\r\n`),
  (random) => noise(random, 1 + random(400)),
];

const noise = (random: Below, length: number): Buffer =>
  Buffer.from(Array.from({ length }, () => random(256)));

/** One hostile command: a mutated good one, a bomb, or noise. */
export const hostileCommand = (random: Below): Buffer => {
  if (random(25) === 0) return bombs[random(bombs.length)]?.(random) ?? Buffer.alloc(1);
  let command = Buffer.from(seeds[random(seeds.length)] ?? []);
  for (let edits = 1 + random(3); edits > 0; edits--) {
    const at = random(command.length + 1);
    switch (random(5)) {
      case 0:
        command[Math.min(at, command.length - 1)] = random(256);
        break;
      case 1:
        command = Buffer.concat([
          command.subarray(0, at),
          noise(random, 1 + random(4)),
          command.subarray(at),
        ]);
        break;
      case 2:
        command = command.subarray(0, Math.max(1, at));
        break;
      case 3:
        // The same length, another byte of content: most of these are carried out.
        command[Math.max(0, command.length - 3)] = random(256);
        break;
      default:
        command = Buffer.concat([command, seeds[random(seeds.length)] ?? Buffer.alloc(0)]);
    }
  }
  return command;
};

/** Sends hostile commands over 16 connections at a time, each until it is closed or has sent enough, until all have been sent. */
export const attackResp = async (
  port: number,
  { inputs, seed }: { readonly inputs: number; readonly seed: number },
): Promise<Outcome> => {
  const random = randomFrom(seed);
  const outcome = { sent: 0, connections: 0, unreachable: [] as string[] };
  const lane = async (): Promise<void> => {
    while (outcome.sent < inputs && outcome.unreachable.length < 100) {
      outcome.connections++;
      try {
        await visit(connect({ host: "127.0.0.1", port, noDelay: true }), random, (count) => {
          outcome.sent += count;
          return outcome.sent < inputs;
        });
      } catch (error) {
        outcome.unreachable.push(messageOf(error));
      }
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  return outcome;
};

/** A command that waits for bytes that never come takes the connection with it: a new one after so many. */
const perConnection = 40;

const visit = async (socket: Socket, random: Below, sent: (count: number) => boolean): Promise<void> =>
  new Promise<void>((resolve, reject) => {
    let left = perConnection;
    let isConnected = false;
    const push = (): void => {
      // Some at once, cut anywhere: what is behind a bad one is met too.
      const count = 1 + random(4);
      const bytes = Buffer.concat(Array.from({ length: count }, () => hostileCommand(random)));
      const cut = random(bytes.length);
      left -= count;
      const isMore = sent(count) && left > 0;
      socket.write(bytes.subarray(0, cut));
      socket.write(bytes.subarray(cut), () => {
        if (socket.destroyed) return;
        if (isMore) push();
        else socket.end();
      });
    };
    socket.on("connect", () => {
      isConnected = true;
      push();
    });
    socket.on("data", () => undefined);
    socket.on("end", () => {
      socket.destroy();
    });
    socket.on("error", (error) => {
      // A connection that is reset has been refused as it should be.
      if (!isConnected) reject(error);
    });
    socket.on("close", () => {
      resolve();
    });
  });
