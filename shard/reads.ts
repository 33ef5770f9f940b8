import type { ShardId } from "../core/ids.ts";
import { replyValueBytesMax, sessionWaitMsMax, waitingReadsMax } from "../core/limits.ts";
import type { Lag } from "../core/message.ts";
import { isAfter, type Place, type ReadLevel, type Result } from "../core/request.ts";
import { slotOf } from "../core/slot.ts";
import { hasMap, type Holding } from "./holding.ts";
import type { Reader, ReaderEffect, ReaderEvent } from "./reader.ts";
import { refusal } from "./route.ts";
import { hasExpired } from "./turn.ts";
import { repliesTooLarge, takeRoom } from "./writer.ts";

/** Reads at a reader: answered from what it holds, as far as its lag and the session's place allow; or waiting for that. */

/** A session's read that is answered once the holding has reached `place`. */
export type Waiting<To> = Asked<To> & { readonly place: Place; readonly untilMs: number };
/** One read of a frame; all reads of the frame share the room for values in its reply. */
type Asked<To> = {
  readonly to: To;
  readonly index: number;
  readonly key: Uint8Array;
  readonly room: { valueBytesLeft: number };
};
/** The time of an event: monotonic for durations, wall clock for expiry. */
export type Now = { readonly nowMs: number; readonly wallMs: number };

/** How far behind its source this reader is. */
export const lagOf = <To>({ holding, known, coveredAtMs }: Reader<To>, nowMs: number): Lag => ({
  versions: Math.max(0, known.version - holding.version),
  bytes: Math.max(0, known.bytes - holding.bytes),
  ms: Math.max(0, Math.round(nowMs - coveredAtMs)),
});

export const takeReads = <To>(
  reader: Reader<To>,
  { to, requests, refused, lagMsMax, now }: Extract<ReaderEvent<To>, { kind: "reads" }>,
): readonly ReaderEffect<To>[] => {
  const effects: ReaderEffect<To>[] = [];
  const room = { valueBytesLeft: replyValueBytesMax };
  requests.forEach((request, index) => {
    const refusedResult = refused[index] ?? null;
    if (refusedResult !== null || request.kind !== "get") {
      effects.push({ kind: "result", to, index, result: refusedResult ?? onlyReads() });
      return;
    }
    const asked = { to, index, key: request.key, room };
    const result = read(reader, { asked, level: request.read, lagMsMax }, now);
    if (result !== null) effects.push({ kind: "result", to, index, result });
  });
  return effects;
};

/** The result, or null where the read waits now. */
const read = <To>(
  reader: Reader<To>,
  {
    asked,
    level,
    lagMsMax,
  }: { readonly asked: Asked<To>; readonly level: ReadLevel; readonly lagMsMax: number },
  now: Now,
): Result | null => {
  switch (level.kind) {
    case "linearizable":
      return onlyReads();
    case "eventual": {
      if (!reader.isCovered)
        return refusal(
          "lagging",
          "Cannot read here: since it started this reader has not been heard to hold all there is; ask another",
        );
      const bound = level.lagMsMax ?? lagMsMax;
      const { ms } = lagOf(reader, now.nowMs);
      if (ms > bound)
        return refusal(
          "lagging",
          `Cannot read here: this reader is ${ms} ms behind, ${bound} are allowed; ask another`,
        );
      return valueOf(reader, asked, now);
    }
    case "session":
      if (!isAfter(level, reader.holding)) return valueOf(reader, asked, now);
      if (reader.waiting.length >= waitingReadsMax) return behind(level, reader.holding);
      reader.waiting.push({
        ...asked,
        place: { epoch: level.epoch, version: level.version },
        untilMs: now.nowMs + sessionWaitMsMax,
      });
      return null;
  }
};

const valueOf = <To>(reader: Reader<To>, { key, room }: Asked<To>, now: Now): Result => {
  const { holding } = reader;
  const stored = holding.store.get(key);
  const view = stored === undefined || hasExpired(stored.expiresAtMs, now.wallMs) ? null : stored.value;
  if (!takeRoom(room, view?.length ?? 0)) return repliesTooLarge();
  // A copy: other reads of its frame may wait, and the answer with them, while the stream changes the store.
  const value = view === null ? null : new Uint8Array(view);
  const lagMs = lagOf(reader, now.nowMs).ms;
  return { kind: "value", value, epoch: holding.epoch, version: holding.version, lagMs };
};

/** Answers the waiting reads whose place has been reached. */
export const release = <To>(reader: Reader<To>, now: Now): readonly ReaderEffect<To>[] => {
  if (reader.waiting.length === 0 || !reader.holding.complete) return [];
  const { holding, waiting } = reader;
  reader.waiting = waiting.filter(({ place }) => isAfter(place, holding));
  return waiting
    .filter(({ place }) => !isAfter(place, holding))
    .map((asked) => ({
      kind: "result",
      to: asked.to,
      index: asked.index,
      result: isServed(holding, asked.key) ? valueOf(reader, asked, now) : movedAway(reader.shard),
    }));
};

/** While a read waited its slot may have moved. */
const isServed = (holding: Holding, key: Uint8Array): boolean =>
  hasMap(holding) && holding.slots[slotOf(key)] !== 0;

const movedAway = (shard: ShardId): Result =>
  refusal("not-owner", `Cannot answer: the slots of shard ${shard} have changed; fetch the topology again`);

/** Sends waiting reads elsewhere. */
export const giveUp = <To>(
  reader: Reader<To>,
  isOver: (waiting: Waiting<To>) => boolean,
): readonly ReaderEffect<To>[] => {
  if (reader.waiting.length === 0) return [];
  const over = reader.waiting.filter(isOver);
  if (over.length > 0) reader.waiting = reader.waiting.filter((waiting) => !over.includes(waiting));
  return over.map(({ to, index, place }) => ({
    kind: "result",
    to,
    index,
    result: behind(place, reader.holding),
  }));
};

const behind = (wanted: Place, { epoch, version }: Place): Result =>
  refusal(
    "behind",
    `Cannot read at (${wanted.epoch}, ${wanted.version}): this reader stands at (${epoch}, ${version}); ask another or the owner`,
  );
const onlyReads = (): Result =>
  refusal("not-owner", "Cannot answer: this is a reader, the request needs the owner");
