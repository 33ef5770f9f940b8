import test from "ava";
import fc from "fast-check";
import { epoch, shardId } from "../../../core/ids.ts";
import { createLogger } from "../../../core/logger.ts";
import {
  decodeMessage,
  encodeMessage,
  isControl,
  toReaderSchema,
  type FromReader,
} from "../../../core/message.ts";
import { decodeStreamed } from "../../../core/record.ts";
import type { Request } from "../../../core/request.ts";
import type { Handlers } from "../../../net/connection.ts";
import { createCounters } from "../../../shard/counters.ts";
import { emptyHolding, type Holding } from "../../../shard/holding.ts";
import { createReader, step as stepReader, type ReaderEvent } from "../../../shard/reader.ts";
import { createPublisher, type Publisher } from "../../../shard/replication/publisher.ts";
import { activate, step as stepWriter, type Writer } from "../../../shard/writer.ts";
import { createSmallStore } from "../../support/shardStore.ts";
import { stringOf } from "../../support/shardBytes.ts";
import { increment, remove, set } from "../../support/shardClient.ts";
import { createManualClock, type ManualClock } from "../../support/shardClock.ts";

// The real writer, publisher and reader; only the socket between them is a queue that the script empties, or throws away.

/** Small enough that a script of some dozen writes meets every edge. */
const limits = { backlog: 6_000, unsent: 600, ahead: 200, entriesPerTurn: 100 };

const createSource = (clock: ManualClock) => {
  const counters = createCounters();
  const publisher = createPublisher({ clock, logger: createLogger("silent", {}), counters, limits });
  const writer = activate<null>(emptyHolding(shardId(0), createSmallStore()), epoch(1));
  publisher.serve(writer.holding);
  return { counters, publisher, writer };
};

const write = (
  { writer, publisher }: { writer: Writer<null>; publisher: Publisher },
  request: Request,
  wallMs: number,
) => {
  const effects = stepWriter(writer, {
    kind: "requests",
    to: null,
    requests: [request],
    refused: [],
    wallMs,
  });
  for (const effect of [...effects, ...stepWriter(writer, { kind: "expire", wallMs })])
    if (effect.kind === "append") writer.holding.bytes += publisher.append(effect.records);
  stepWriter(writer, { kind: "durable", through: writer.holding.version });
};

/** A reader whose link carries frames only when told to. */
const createFollower = (clock: ManualClock, publisher: Publisher) => {
  const holding = emptyHolding(shardId(0), createSmallStore());
  const reader = createReader<null>(holding, 0);
  let frames: Uint8Array[] = [];
  let handlers: Handlers | null = null;
  let most = 0;
  let continued = 0;
  const unsent = () => frames.reduce((sum, frame) => sum + frame.length, 0);

  const say = (message: FromReader): void => handlers?.message(encodeMessage(message));
  const take = (event: ReaderEvent<null>): void => {
    for (const effect of stepReader(reader, event)) {
      if (effect.kind === "resync") say({ kind: "resync", shard: shardId(0), ...effect.place });
      if (effect.kind === "reconnect") cut();
      if (effect.kind === "ack" && holding.complete)
        say({ kind: "ack", epoch: holding.epoch, version: holding.version, bytes: holding.bytes });
    }
  };
  const cut = (): void => {
    const closed = handlers;
    handlers = null;
    frames = [];
    closed?.closed();
    take({ kind: "disconnected" });
  };
  return {
    reader,
    holding,
    cut,
    mostUnsent: () => most,
    continued: () => continued,
    connect: () => {
      if (handlers !== null) return;
      const connection = {
        send: (frame: Uint8Array) => {
          frames.push(frame);
          most = Math.max(most, unsent());
        },
        ...{
          unsentBytes: unsent,
          receivedBytes: () => 0,
          close: cut,
          cut,
          isOpen: () => handlers !== null,
          remote: "test",
        },
      };
      const hello = {
        kind: "hello",
        protocol: 1,
        cluster: "c",
        role: "reader",
        pod: "r",
        incarnation: "1",
        to: "",
      } as const;
      handlers = publisher.opened(connection, {
        ...hello,
        nonce: new Uint8Array(32),
        proof: new Uint8Array(32),
      });
      take({ kind: "connected" });
    },
    deliver: (count: number) => {
      for (const frame of frames.splice(0, count)) {
        const now = { nowMs: clock.nowMs(), wallMs: clock.wallMs() };
        if (isControl(frame)) {
          const message = decodeMessage(toReaderSchema, frame);
          if (message.kind === "continue") continued++;
          take({ kind: "message", message, now });
        } else take({ kind: "streamed", items: decodeStreamed(frame), now });
      }
      if (frames.length === 0) handlers?.drained?.();
    },
  };
};
type Follower = ReturnType<typeof createFollower>;

const settle = (clock: ManualClock, followers: readonly Follower[], writer: Writer<null>): void => {
  for (let i = 0; i < 1_000; i++) {
    for (const follower of followers) {
      follower.connect();
      follower.deliver(Infinity);
    }
    clock.turn();
    if (i % 10 === 0) clock.advance(100);
    const { version } = writer.holding;
    if (
      followers.every(
        ({ reader, holding }) => reader.progress.kind === "streaming" && holding.version === version,
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
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), to: follower }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reactivate" as const) }) },
);

test("whatever is cut and whenever, in the end every reader holds what the writer holds", (t) => {
  const seen = { copies: 0, continued: 0 };
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 150 }), (script) => {
      const clock = createManualClock();
      const source = createSource(clock);
      const followers = [createFollower(clock, source.publisher), createFollower(clock, source.publisher)];
      settle(clock, followers, source.writer);
      for (const one of script) {
        switch (one.kind) {
          case "write":
            for (const each of one.requests) write(source, each, clock.wallMs());
            break;
          case "deliver":
            followers[one.to]?.deliver(one.frames);
            break;
          case "turn":
            clock.turn(one.turns);
            break;
          case "advance":
            clock.advance(one.ms);
            break;
          case "connect":
            followers[one.to]?.connect();
            break;
          case "cut":
            followers[one.to]?.cut();
            break;
          case "reactivate":
            source.writer = activate(source.writer.holding, epoch(source.writer.epoch + 1));
            source.publisher.serve(source.writer.holding);
            break;
        }
      }
      settle(clock, followers, source.writer);
      for (const { holding, mostUnsent } of followers) {
        t.deepEqual(contents(holding), contents(source.writer.holding));
        t.is(holding.bytes, source.writer.holding.bytes);
        t.deepEqual(holding.history, source.writer.holding.history);
        // The bound, the frame that crossed it (here at most the whole backlog), and a few messages.
        t.true(mostUnsent() < limits.unsent + limits.backlog + 2_000, `${mostUnsent()} bytes were waiting`);
      }
      seen.copies += source.counters.copiesServed;
      for (const { continued } of followers) seen.continued += continued();
    }),
    { numRuns: 300 },
  );
  t.log(seen);
  // The scripts must have met both ways to go on.
  t.true(seen.continued > 30 && seen.copies > 700);
});

test("a reader that lags by less than the backlog goes on; one that lags by more takes a full copy", (t) => {
  const clock = createManualClock();
  const source = createSource(clock);
  const one = createFollower(clock, source.publisher);
  settle(clock, [one], source.writer);
  t.is(source.counters.copiesServed, 1);
  one.cut();
  for (let i = 0; i < 10; i++) write(source, set(`key:${i}`, "1"), 0);
  settle(clock, [one], source.writer);
  t.is(source.counters.copiesServed, 1);
  one.cut();
  for (let i = 0; i < 100; i++) write(source, set(`key:${i}`, "x".repeat(100)), 0);
  settle(clock, [one], source.writer);
  t.is(source.counters.copiesServed, 2);
});

test("a reader that takes nothing holds a bounded part of the stream, and the others go on", (t) => {
  const clock = createManualClock();
  const source = createSource(clock);
  const [slow, fast] = [createFollower(clock, source.publisher), createFollower(clock, source.publisher)];
  settle(clock, [slow, fast], source.writer);
  for (let i = 0; i < 2_000; i++) {
    write(source, set(`key:${i % 50}`, "x".repeat(50)), 0);
    clock.turn();
    fast.deliver(Infinity);
    if (i % 20 === 0) clock.advance(100);
  }
  t.is(fast.holding.version, source.writer.holding.version);
  t.true(slow.mostUnsent() < 1_000, `${slow.mostUnsent()} bytes were waiting`);
  const [slowStatus, fastStatus] = source.publisher.readers();
  t.like(slowStatus, { state: "catchingUp", lag: { versions: 2_000 } });
  t.true((slowStatus?.lag.ms ?? 0) > 9_000);
  t.like(fastStatus, { state: "streaming", lag: { versions: 0, ms: 0 } });
  settle(clock, [slow, fast], source.writer);
  t.deepEqual(contents(slow.holding), contents(source.writer.holding));
});
