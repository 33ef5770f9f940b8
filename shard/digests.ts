import type { Clock } from "../core/clock.ts";
import { EdisError, messageOf } from "../core/errors.ts";
import { slot as slotFrom, slotCount, type ShardId, type Slot } from "../core/ids.ts";
import { digestBytesPerSlot, digestBytesPerTurnMax, digestsMax, digestWaitMsMax } from "../core/limits.ts";
import type { ToTool } from "../core/message.ts";
import { isAfter, type Place } from "../core/request.ts";
import { slotOfRange } from "../core/slot.ts";
import type { DigestAsked } from "../core/tools.ts";
import type { SlotRange, Topology, TopologyIndex } from "../core/topology.ts";
import { addEntry, noContent, type ContentDigest } from "./contentDigest.ts";
import { hasMap, type Holding } from "./holding.ts";
import { coming } from "./moves/slots.ts";
import type { Role } from "./role.ts";
import { slotSetOf } from "./route.ts";
import type { EntryRange } from "./store/entries.ts";

/** Tells what this process holds, so that copies can be compared: slot by slot, in small steps, whatever is written meanwhile. */
export type Digests = {
  /** Answers once; not at all where `isWanted` says that nobody waits any more. */
  readonly ask: (question: Question) => void;
};
export type Question = {
  readonly asked: DigestAsked;
  readonly isWanted: () => boolean;
  readonly answer: (message: ToTool) => void;
};

export type DigestsOptions = {
  readonly clock: Clock;
  /** What this process serves; null where that is nothing whole. */
  readonly holding: () => Holding | null;
  readonly topology: () => TopologyIndex | undefined;
};

const lookMs = 5;
/** What it costs to look at a slot, and at a key, beside their bytes. */
const slotCost = 16;
const keyCost = 32;

export const createDigests = (options: DigestsOptions): Digests => {
  const waiting: Question[] = [];
  let isBusy = false;

  const work = async (): Promise<void> => {
    isBusy = true;
    for (let question = waiting.shift(); question !== undefined; question = waiting.shift()) {
      const answer = await digestOf(options, question).catch((error: unknown) =>
        unanswered(question.asked, error),
      );
      if (answer !== null && question.isWanted()) question.answer(answer);
    }
    isBusy = false;
  };
  return {
    ask: (question) => {
      if (waiting.length >= digestsMax) {
        const message = `Cannot tell what slots hold: ${digestsMax} such questions wait already; retry in a moment`;
        question.answer(unanswered(question.asked, new EdisError("too-busy", message)));
        return;
      }
      waiting.push(question);
      if (!isBusy) void work();
    },
  };
};

const unanswered = ({ id }: { readonly id: number }, error: unknown): ToTool => {
  if (!(error instanceof EdisError)) throw error;
  return { kind: "unanswered", id, code: error.code, message: messageOf(error) };
};

/** Null where nobody waits for it any more. */
const digestOf = async (options: DigestsOptions, { asked, isWanted }: Question): Promise<ToTool | null> => {
  const { clock } = options;
  const holding = await reached(options, asked.after);
  const from = placeOf(holding);
  const walk = walkOf(holding, asked);
  while (!walkOn(walk)) {
    await turn(clock);
    if (!isWanted()) return null;
    if (options.holding() !== holding || !hasMap(holding)) throw changed();
  }
  checkOwn(walk);
  const { shard } = holding;
  const strays = walk.misfiled + straysOf(holding, options.topology());
  return { kind: "digested", id: asked.id, shard, from, to: placeOf(holding), strays, slots: walk.told };
};

const turn = async (clock: Clock): Promise<void> =>
  new Promise((resolve) => {
    clock.soon(resolve);
  });

const placeOf = ({ epoch, version }: Holding): Place => ({ epoch, version });

/** What this process serves, once that is at the place. */
const reached = async (options: DigestsOptions, after: Place | null): Promise<Holding> => {
  const { clock } = options;
  const untilMs = clock.nowMs() + digestWaitMsMax;
  for (;;) {
    const holding = options.holding();
    if (holding === null || !hasMap(holding)) throw changed();
    if (after === null || !isAfter(after, holding)) return holding;
    if (clock.nowMs() >= untilMs)
      throw new EdisError(
        "behind",
        `Cannot tell what slots hold at (${after.epoch}, ${after.version}): this process stands at (${holding.epoch}, ${holding.version}) after ${digestWaitMsMax} ms`,
      );
    await clock.sleep(lookMs);
  }
};

/** What a process in this role can be asked for. */
export const servedHolding = (role: Role): Holding | null => {
  if (role.kind === "nothing") return null;
  const { holding } = role.held;
  return holding.complete ? holding : null;
};

const changed = (): EdisError =>
  new EdisError(
    "not-serving",
    "Cannot tell what slots hold: this process holds no whole copy, or its slots are changing; ask again in a moment",
  );

type Walk = {
  readonly holding: Holding;
  readonly slots: readonly Slot[];
  /** What is told of each slot, in their order. */
  readonly told: Buffer;
  /** Which of them it is at, and where in the order of its hashes. */
  at: number;
  hash: number;
  keys: number;
  bytes: number;
  digest: ContentDigest;
  /** Keys of another slot than the one that has them. */
  misfiled: number;
  /** What this turn has cost so far. */
  cost: number;
};

const walkOf = (holding: Holding, { slots: ranges }: DigestAsked): Walk => {
  const set = slotSetOf(ranges);
  const slots: Slot[] = [];
  for (let s = 0; s < slotCount; s++) if (set[s] !== 0) slots.push(slotFrom(s));
  return {
    ...{ holding, slots, told: Buffer.alloc(slots.length * digestBytesPerSlot), at: 0, hash: 0 },
    ...{ keys: 0, bytes: 0, digest: noContent(), misfiled: 0, cost: 0 },
  };
};

/** A turn's worth. True once all slots have been gone through. */
const walkOn = (walk: Walk): boolean => {
  const { store } = walk.holding;
  walk.cost = 0;
  for (let slot = walk.slots[walk.at]; slot !== undefined; slot = walk.slots[walk.at]) {
    const bytesMax = digestBytesPerTurnMax - walk.cost;
    if (bytesMax <= 0) return false;
    walk.cost += slotCost;
    const hash = store.visitSlot(slot, { hash: walk.hash, bytesMax }, (entry) => {
      add(walk, slot, entry);
    });
    walk.hash = hash ?? 0;
    if (hash === null) tell(walk);
  }
  return true;
};

const add = (walk: Walk, slot: Slot, entry: Readonly<EntryRange>): void => {
  const { bytes, keyFrom, valueFrom, valueTo } = entry;
  const size = valueTo - keyFrom;
  walk.keys++;
  walk.bytes += size;
  walk.cost += size + keyCost;
  if (slotOfRange(bytes, keyFrom, valueFrom) !== slot) walk.misfiled++;
  addEntry(walk.digest, entry);
};

const tell = (walk: Walk): void => {
  const { told, at, keys, bytes, digest } = walk;
  const offset = at * digestBytesPerSlot;
  told.writeUInt32LE(keys, offset);
  told.writeDoubleLE(bytes, offset + 4);
  told.writeInt32LE(digest.low, offset + 12);
  told.writeInt32LE(digest.high, offset + 16);
  walk.at++;
  walk.keys = 0;
  walk.bytes = 0;
  walk.digest = noContent();
};

/** Whoever asks goes by another map where it has slots that are not this shard's. */
const checkOwn = ({ slots, holding }: Walk): void => {
  const foreign = slots.find((slot) => holding.slots[slot] === 0);
  if (foreign === undefined) return;
  throw new EdisError(
    "not-owner",
    `Cannot tell what slot ${foreign} holds: it is not of shard ${holding.shard}; fetch the topology again`,
  );
};

/** Keys of slots that are neither the shard's own nor on their way to it. */
const straysOf = ({ store, slots, shard }: Holding, index: TopologyIndex | undefined): number => {
  const expected = slotSetOf(index === undefined ? [] : comingSlots(index.topology, shard));
  let strays = 0;
  for (let s = 0; s < slotCount; s++)
    if (slots[s] === 0 && expected[s] === 0) strays += store.slotKeys(slotFrom(s));
  return strays;
};

const comingSlots = (topology: Topology, shard: ShardId): readonly SlotRange[] => {
  const epoch = topology.shards[shard]?.epoch;
  return epoch === undefined ? [] : coming(topology, shard, epoch).flatMap(({ slots }) => slots);
};
