import type { Clock } from "../core/clock.ts";
import { EdisError } from "../core/errors.ts";
import { slotCount, type Epoch, type ShardId } from "../core/ids.ts";
import { expiredPerTurnMax } from "../core/limits.ts";
import type { Logger } from "../core/logger.ts";
import type { RequestFrame, Result } from "../core/request.ts";
import type { Home, Member, PodRef, TopologyIndex } from "../core/topology.ts";
import type { Counters } from "./counters.ts";
import { dutyOf, type Duty } from "./duty.ts";
import { emptyHolding, type Holding } from "./holding.ts";
import * as reading from "./reader.ts";
import type { Publisher } from "./replication/publisher.ts";
import { subscribe, type Subscriber } from "./replication/subscriber.ts";
import type { Refusal, SlotSet, Standing } from "./route.ts";
import type { Store } from "./store/store.ts";
import * as writing from "./writer.ts";

/**
 * What this process is now: nothing, the owner of a shard, or a follower of one; carries out what writer and reader
 * decide. The topology alone changes it.
 */
export type Roles = {
  readonly role: () => Role;
  readonly standing: () => Standing;
  /** Becomes what a newer topology wants. */
  readonly follow: (index: TopologyIndex) => void;
  /** Answers a frame; `refused` says which of its requests are not to be carried out. */
  readonly answer: (waiter: Waiter, refused: readonly (Refusal | null)[]) => void;
  readonly stop: () => void;
};

/** Whoever asked, until all results are there. */
export type Waiter = {
  readonly frame: RequestFrame;
  readonly done: (results: readonly Result[]) => void;
  /** Of a reader, where results come one by one. */
  readonly results: Result[];
  missing: number;
};

export type Role =
  | { readonly kind: "nothing" }
  | { readonly kind: "owner"; readonly holding: Holding; readonly writer: writing.Writer<Waiter> }
  | {
      readonly kind: "reader";
      readonly holding: Holding;
      readonly reader: reading.Reader<Waiter>;
      readonly source: Member | null;
      readonly subscriber: Subscriber | null;
    };

export type RolesOptions = {
  readonly clusterId: string;
  readonly self: PodRef;
  readonly home: Home;
  readonly token: Uint8Array;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly counters: Counters;
  readonly publisher: Publisher;
  readonly createStore: () => Store;
  /** Info should hear of it at once. */
  readonly changed: () => void;
};

const expireEveryMs = 50;
const tickEveryMs = 20;

export const createRoles = (options: RolesOptions): Roles => {
  const { clock, logger, self, publisher, counters } = options;
  const { changed } = options;
  let role: Role = { kind: "nothing" };
  let standing: Standing = { kind: "nothing", informed: false };
  let lagMsMax = 0;
  // The last holding, while nothing is served from it: what this process owned, if it is named owner once more.
  let kept: Holding | null = null;
  // An epoch is activated once per process: having stepped down from one, this process never serves it again.
  const activated = new Map<ShardId, Epoch>();

  const now = (): reading.Now => ({ nowMs: clock.nowMs(), wallMs: clock.wallMs() });

  const performWrites = (
    writer: writing.Writer<Waiter>,
    effects: readonly writing.WriterEffect<Waiter>[],
  ): void => {
    for (const effect of effects) {
      switch (effect.kind) {
        case "append":
          writer.holding.bytes += publisher.append(effect.records);
          // Memory is all there is to reach: what is applied is as durable as it gets.
          performWrites(writer, writing.step(writer, { kind: "durable", through: writer.holding.version }));
          break;
        case "reply":
          effect.to.done(effect.results);
          break;
      }
    }
  };

  const performReads = (following: Following, effects: readonly reading.ReaderEffect<Waiter>[]): void => {
    for (const effect of effects) performRead(following, effect, options);
  };

  const expire = (): void => {
    if (role.kind !== "owner") return;
    const { writer } = role;
    const before = writer.holding.version;
    performWrites(writer, writing.step(writer, { kind: "expire", wallMs: clock.wallMs() }));
    const removed = writer.holding.version - before;
    counters.expiredKeys += removed;
    if (removed === expiredPerTurnMax) clock.soon(expire);
  };

  const leave = (): void => {
    const left = role;
    role = { kind: "nothing" };
    if (left.kind === "nothing") return;
    kept = left.holding;
    publisher.stop(
      new EdisError("not-serving", "Cannot go on with this copy: this process serves it no longer"),
    );
    if (left.kind === "owner") {
      logger.warn({ shard: left.holding.shard, epoch: left.writer.epoch }, "stepped down");
      performWrites(left.writer, writing.step(left.writer, { kind: "stepDown" }));
    } else {
      left.subscriber?.stop();
      performReads({ reader: left.reader, subscriber: null }, reading.step(left.reader, { kind: "stop" }));
    }
  };

  const holdingOf = (shard: ShardId): Holding => {
    const holding = kept?.shard === shard ? kept : emptyHolding(shard, options.createStore());
    kept = null;
    return holding;
  };

  const own = ({ shard, epoch }: Extract<Duty, { kind: "own" }>): void => {
    if (role.kind === "owner" && role.holding.shard === shard && role.writer.epoch === epoch) return;
    leave();
    if (epoch <= (activated.get(shard) ?? 0)) {
      logger.error({ shard, epoch }, "named owner of an epoch that was served before: not activated");
      return;
    }
    activated.set(shard, epoch);
    const writer = writing.activate<Waiter>(holdingOf(shard), epoch);
    const { holding } = writer;
    publisher.serve(holding);
    role = { kind: "owner", holding, writer };
    logger.info({ shard, epoch, version: holding.version, keys: holding.store.keys() }, "owns the shard");
  };

  const followFrom = ({ shard, source }: Extract<Duty, { kind: "follow" }>): void => {
    if (role.kind === "reader" && role.holding.shard === shard) {
      if (isSameSource(role.source, source)) return;
      role.subscriber?.stop();
      performReads(
        { reader: role.reader, subscriber: null },
        reading.step(role.reader, { kind: "disconnected" }),
      );
    } else {
      leave();
      const reader = reading.createReader<Waiter>(holdingOf(shard), clock.nowMs());
      publisher.serve(reader.holding);
      role = { kind: "reader", holding: reader.holding, reader, source: null, subscriber: null };
    }
    const { reader, holding } = role;
    const subscriber = source === null ? null : connect(reader, source);
    role = { kind: "reader", holding, reader, source, subscriber };
    logger.info({ shard, source: source?.pod ?? null, version: holding.version }, "follows the shard");
  };

  const connect = (reader: reading.Reader<Waiter>, source: Member): Subscriber => {
    const { clusterId, home, token, random } = options;
    const following: { reader: typeof reader; subscriber: Subscriber | null } = { reader, subscriber: null };
    const take = (event: reading.ReaderEvent<Waiter>): void => {
      const before = reader.progress.kind;
      performReads(following, reading.step(reader, event));
      if (reader.progress.kind !== before) changed();
    };
    const subscriber = subscribe({
      ...{ clusterId, role: home, self, token, source, clock, random, logger, holding: reader.holding },
      connected: () => {
        take({ kind: "connected" });
      },
      disconnected: () => {
        take({ kind: "disconnected" });
      },
      message: (message) => {
        if (message.kind === "copy") counters.copiesTaken++;
        if (message.kind === "failure")
          logger.debug({ source: source.pod, ...message }, "source ends the stream");
        take({ kind: "message", message, now: now() });
      },
      streamed: (items, bytes) => {
        counters.receivedBytes += bytes;
        take({ kind: "streamed", items, now: now() });
      },
    });
    following.subscriber = subscriber;
    return subscriber;
  };

  const cancelExpire = clock.every(expireEveryMs, expire);
  const cancelTick = clock.every(tickEveryMs, () => {
    if (role.kind === "reader" && role.reader.waiting.length > 0)
      performReads(role, reading.step(role.reader, { kind: "tick", now: now() }));
  });

  return {
    role: () => role,
    standing: () =>
      standing.kind === "reader" && role.kind === "reader"
        ? { ...standing, complete: role.holding.complete }
        : standing,
    follow: (index) => {
      const before = role;
      lagMsMax = index.topology.lagMsMax;
      const duty = dutyOf(index, self);
      switch (duty.kind) {
        case "own":
          own(duty);
          break;
        case "follow":
          followFrom(duty);
          break;
        case "nothing":
          leave();
          break;
      }
      standing = standingOf(role, index);
      if (role !== before) changed();
    },
    answer: (waiter, refused) => {
      const { requests } = waiter.frame;
      switch (role.kind) {
        case "owner": {
          const event = { kind: "requests", to: waiter, requests, refused, wallMs: clock.wallMs() } as const;
          performWrites(role.writer, writing.step(role.writer, event));
          return;
        }
        case "reader": {
          const event = { kind: "reads", to: waiter, requests, refused, lagMsMax, now: now() } as const;
          performReads(role, reading.step(role.reader, event));
          return;
        }
        case "nothing":
          // Everything is refused: route said so for each.
          waiter.done(refused.filter((result) => result !== null));
          return;
      }
    },
    stop: () => {
      cancelExpire();
      cancelTick();
      leave();
    },
  };
};

type Following = { readonly reader: reading.Reader<Waiter>; readonly subscriber: Subscriber | null };

const performRead = (
  { reader, subscriber }: Following,
  effect: reading.ReaderEffect<Waiter>,
  { publisher, counters, logger }: RolesOptions,
): void => {
  switch (effect.kind) {
    case "resync":
      counters.resyncsSent++;
      subscriber?.resync(effect.place);
      return;
    case "ack":
      subscriber?.ack();
      return;
    case "reconnect":
      counters.brokenStreams++;
      logger.warn({ shard: reader.shard, reason: effect.reason }, "stream broken off: connecting anew");
      subscriber?.reconnect();
      return;
    case "applied":
      if (publisher.isUsed()) publisher.append(effect.records);
      return;
    case "dropped":
      publisher.serve(reader.holding);
      return;
    case "result": {
      const { to, index, result } = effect;
      to.results[index] = result;
      if (--to.missing === 0) to.done(to.results);
      return;
    }
  }
};

const isSameSource = (a: Member | null, b: Member | null): boolean =>
  a?.pod === b?.pod &&
  a?.incarnation === b?.incarnation &&
  a?.address.host === b?.address.host &&
  a?.address.replication === b?.address.replication;

const standingOf = (role: Role, { topology }: TopologyIndex): Standing => {
  if (role.kind === "nothing") return { kind: "nothing", informed: true };
  const { shard, complete } = role.holding;
  const slots = slotSetOf(topology.shards[shard]?.slots ?? []);
  return role.kind === "owner"
    ? { kind: "owner", shard, epoch: role.writer.epoch, slots }
    : { kind: "reader", shard, complete, slots };
};

const slotSetOf = (ranges: readonly (readonly [number, number])[]): SlotSet => {
  const slots = new Uint8Array(slotCount);
  for (const [from, to] of ranges) slots.fill(1, from, to + 1);
  return slots;
};
