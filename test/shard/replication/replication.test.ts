import test from "ava";
import fc from "fast-check";
import { epoch, shardId, version } from "../../../core/ids.ts";
import { createLogger } from "../../../core/logger.ts";
import {
  decodeMessage,
  encodeMessage,
  isControl,
  toReaderSchema,
  type FromReader,
} from "../../../core/message.ts";
import type { Request } from "../../../core/request.ts";
import type { Handlers } from "../../../net/connection.ts";
import { createCounters } from "../../../shard/counters.ts";
import type { Held } from "../../../shard/held.ts";
import { emptyHolding, type Holding } from "../../../shard/holding.ts";
import { createJournal, type Journal } from "../../../shard/journal.ts";
import { createReader, step as stepReader, type ReaderEvent } from "../../../shard/reader.ts";
import { createPublisher, type Publisher } from "../../../shard/replication/publisher.ts";
import { activate, step as stepWriter, type Writer } from "../../../shard/writer.ts";
import { createSmallStore } from "../../support/shardStore.ts";
import { stringOf } from "../../support/shardBytes.ts";
import { increment, remove, set } from "../../support/shardClient.ts";
import { createMemoryLog } from "../../support/memoryLog.ts";
import { createManualClock, type ManualClock } from "../../support/shardClock.ts";

// The real writer, publisher and reader; only the socket between them is a queue that the script empties, or throws away.

const acked = ({ epoch, version, bytes }: Holding): FromReader => ({
  ...{ kind: "ack", epoch, version, bytes, grant: 0, leaseMs: 0 },
});

/** Small enough that a script of some dozen writes meets every edge. */
const limits = { unsent: 600, ahead: 200, entriesPerTurn: 100 };
const logBytes = 2_000;

type Source = {
  readonly clock: ManualClock;
  readonly counters: ReturnType<typeof createCounters>;
  readonly publisher: Publisher;
  readonly held: Held;
  readonly journal: Journal;
  writer: Writer<null>;
};

const createSource = (clock: ManualClock): Source => {
  const counters = createCounters();
  const publisher = createPublisher({ clock, logger: createLogger("silent", {}), counters, limits });
  const held = {
    holding: emptyHolding(shardId(0), createSmallStore()),
    log: createMemoryLog(version(0), logBytes),
  };
  const journal = createJournal();
  publisher.serve(held);
  const writer = activate<null>(held.holding, epoch(1), { journal, isFull: false });
  const source = { clock, counters, publisher, held, journal, writer };
  flush(source);
  return source;
};

/** As at the end of a turn of the event loop. */
const flush = ({ held, journal, publisher, writer }: Source): void => {
  for (const batch of journal.take()) {
    held.log.append(batch);
    publisher.append(batch);
  }
  stepWriter(writer, { kind: "durable", through: held.log.durable() });
};

const write = (source: Source, request: Request, wallMs: number) => {
  const { writer } = source;
  const requests = { kind: "requests", to: null, requests: [request], refused: [], wallMs } as const;
  stepWriter(writer, requests);
  stepWriter(writer, { kind: "expire", wallMs });
  flush(source);
};

/** A link that carries frames only when told to. */
type Wire = { frames: Uint8Array[]; handlers: Handlers | null; most: number };
const unsentOn = ({ frames }: Wire): number => frames.reduce((sum, frame) => sum + frame.length, 0);

const open = (wire: Wire, publisher: Publisher, cut: () => void): void => {
  const connection = {
    send: (frame: Uint8Array) => {
      wire.frames.push(frame);
      wire.most = Math.max(wire.most, unsentOn(wire));
    },
    ...{ unsentBytes: () => unsentOn(wire), close: cut, cut, isOpen: () => wire.handlers !== null },
    ...{ pause: () => undefined, resume: () => undefined, receivedBytes: () => 0, remote: "test" },
  };
  const hello = { kind: "hello", protocol: 1, cluster: "c", role: "reader" } as const;
  const rest = { pod: "r", incarnation: "1", to: "", nonce: new Uint8Array(32), proof: new Uint8Array(32) };
  wire.handlers = publisher.opened(connection, { ...hello, ...rest });
};

/** A reader with its two links. */
const createFollower = (clock: ManualClock, publisher: Publisher) => {
  const holding = emptyHolding(shardId(0), createSmallStore());
  const reader = createReader<null>(holding, 0);
  const main: Wire = { frames: [], handlers: null, most: 0 };
  const second: Wire = { frames: [], handlers: null, most: 0 };
  let continued = 0;

  const say = (wire: Wire, message: FromReader): void => wire.handlers?.message(encodeMessage(message));
  const take = (event: ReaderEvent<null>): void => {
    for (const effect of stepReader(reader, event)) {
      if (effect.kind === "resync") say(main, { kind: "resync", shard: shardId(0), ...effect.place });
      if (effect.kind === "reconnect") cut();
      if (effect.kind === "askCopy") copy();
      if (effect.kind === "copyEnds" || effect.kind === "copyFails") close(second);
      if (effect.kind === "ack" && holding.complete) say(main, acked(holding));
    }
  };
  const close = (wire: Wire): void => {
    const { handlers } = wire;
    wire.handlers = null;
    wire.frames = [];
    handlers?.closed();
  };
  const cut = (): void => {
    close(main);
    take({ kind: "disconnected" });
  };
  const cutCopy = (): void => {
    if (second.handlers === null) return;
    close(second);
    take({ kind: "copyLost" });
  };
  const copy = (): void => {
    close(second);
    open(second, publisher, cutCopy);
    say(second, { kind: "copy", shard: shardId(0) });
  };
  const deliver = (wire: Wire, count: number): void => {
    for (const frame of wire.frames.splice(0, count)) {
      const now = { nowMs: clock.nowMs(), wallMs: clock.wallMs() };
      if (isControl(frame)) {
        const message = decodeMessage(toReaderSchema, frame);
        if (message.kind === "continue") continued++;
        take({ kind: "message", message, now });
      } else if (wire === second) take({ kind: "entries", bytes: frame });
      else {
        take({ kind: "streamed", bytes: frame, now });
        if (holding.complete && reader.link === "streaming") say(main, acked(holding));
      }
    }
    if (wire.frames.length === 0) wire.handlers?.drained?.();
  };
  return {
    ...{ reader, holding, cut, cutCopy },
    mostUnsent: () => Math.max(main.most, second.most),
    continued: () => continued,
    connect: () => {
      if (main.handlers === null) {
        open(main, publisher, cut);
        take({ kind: "connected" });
      }
      if (reader.copy?.kind === "asked" && second.handlers === null) copy();
    },
    deliver: (count: number) => {
      deliver(main, count);
      deliver(second, count);
    },
  };
};
type Follower = ReturnType<typeof createFollower>;

/** A turn of the event loop, and the reads of the log that ended in it. */
const turn = async (clock: ManualClock, turns = 1): Promise<void> => {
  for (let i = 0; i < turns; i++) {
    clock.turn();
    await Promise.resolve();
    await Promise.resolve();
  }
};

const settle = async (source: Source, followers: readonly Follower[]): Promise<void> => {
  const { clock, held } = source;
  for (let i = 0; i < 1_000; i++) {
    for (const follower of followers) {
      follower.connect();
      follower.deliver(Infinity);
    }
    await turn(clock);
    if (i % 10 === 0) clock.advance(100);
    const { version: newest } = held.holding;
    if (
      followers.every(
        ({ reader, holding }) =>
          reader.link === "streaming" && holding.complete && holding.version === newest,
      )
    )
      return;
  }
  throw new Error("did not settle");
};

const contents = ({ store }: Holding) => {
  const all: unknown[] = [];
  const walk = store.walk();
  for (let next = walk.next(); next.done !== true; next = walk.next())
    all.push([stringOf(next.value.key), stringOf(next.value.value), next.value.expiresAtMs]);
  return all.map((one) => JSON.stringify(one)).sort();
};

const key = fc.nat(30).map((n) => `key:${n}`);
const request = fc.oneof(
  fc.tuple(key, fc.nat(80)).map(([k, n]) => set(k, "x".repeat(n))),
  fc
    .tuple(key, fc.integer({ min: 1, max: 300 }))
    .map(([k, ms]) => set(k, "soon gone", { expiry: { kind: "in", ms } })),
  key.map((k) => remove(k)),
  key.map((k) => increment(`count:${k}`)),
);
const follower = fc.nat(1);
const action = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      requests: fc.array(request, { minLength: 1, maxLength: 12 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("deliver" as const), to: follower, frames: fc.nat(3) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("turn" as const), turns: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.nat(150) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("connect" as const), to: follower }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("cut" as const), to: follower, second: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reactivate" as const) }) },
);

test("whatever is cut and whenever, in the end every reader holds what the writer holds", async (t) => {
  const seen = { copies: 0, continued: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 20, maxLength: 150 }), async (script) => {
      const clock = createManualClock();
      const source = createSource(clock);
      const followers = [createFollower(clock, source.publisher), createFollower(clock, source.publisher)];
      await settle(source, followers);
      for (const one of script) {
        switch (one.kind) {
          case "write":
            for (const each of one.requests) write(source, each, clock.wallMs());
            break;
          case "deliver":
            followers[one.to]?.deliver(one.frames);
            break;
          case "turn":
            await turn(clock, one.turns);
            break;
          case "advance":
            clock.advance(one.ms);
            break;
          case "connect":
            followers[one.to]?.connect();
            break;
          case "cut":
            if (one.second) followers[one.to]?.cutCopy();
            else followers[one.to]?.cut();
            break;
          case "reactivate":
            source.publisher.serve(source.held);
            source.writer = activate(source.held.holding, epoch(source.writer.epoch + 1), {
              journal: source.journal,
              isFull: false,
            });
            flush(source);
            break;
        }
      }
      await settle(source, followers);
      for (const { holding, mostUnsent } of followers) {
        t.deepEqual(contents(holding), contents(source.held.holding));
        t.is(holding.bytes, source.held.holding.bytes);
        t.deepEqual(holding.history, source.held.holding.history);
        // The bound, the frame that crossed it (here at most the whole log), and a few messages.
        t.true(mostUnsent() < limits.unsent + logBytes + 2_000, `${mostUnsent()} bytes were waiting`);
      }
      seen.copies += source.counters.copiesServed;
      for (const { continued } of followers) seen.continued += continued();
    }),
    { numRuns: 300 },
  );
  t.log(seen);
  // The scripts must have met both ways to go on.
  t.true(seen.continued > 30 && seen.copies > 650);
});

test("a reader that lags by less than the log goes on; one that lags by more takes a full copy", async (t) => {
  const clock = createManualClock();
  const source = createSource(clock);
  const one = createFollower(clock, source.publisher);
  await settle(source, [one]);
  t.is(source.counters.copiesServed, 1);
  one.cut();
  for (let i = 0; i < 10; i++) write(source, set(`key:${i}`, "1"), 0);
  await settle(source, [one]);
  t.is(source.counters.copiesServed, 1);
  one.cut();
  for (let i = 0; i < 100; i++) write(source, set(`key:${i}`, "x".repeat(100)), 0);
  await settle(source, [one]);
  t.is(source.counters.copiesServed, 2);
});

test("a reader that takes nothing holds a bounded part of the stream, and the others go on", async (t) => {
  const clock = createManualClock();
  const source = createSource(clock);
  const [slow, fast] = [createFollower(clock, source.publisher), createFollower(clock, source.publisher)];
  await settle(source, [slow, fast]);
  for (let i = 0; i < 2_000; i++) {
    write(source, set(`key:${i % 50}`, "x".repeat(50)), 0);
    await turn(clock);
    fast.deliver(Infinity);
    if (i % 20 === 0) clock.advance(100);
  }
  t.is(fast.holding.version, source.held.holding.version);
  t.true(slow.mostUnsent() < 1_000, `${slow.mostUnsent()} bytes were waiting`);
  const [slowStatus, fastStatus] = source.publisher.readers();
  t.like(slowStatus, { state: "catchingUp", lag: { versions: 2_000 } });
  t.true((slowStatus?.lag.ms ?? 0) > 9_000);
  t.like(fastStatus, { state: "streaming", lag: { versions: 0, ms: 0 } });
  await settle(source, [slow, fast]);
  t.deepEqual(contents(slow.holding), contents(source.held.holding));
});
