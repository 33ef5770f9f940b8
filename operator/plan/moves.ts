import { mapVersion, slot, type MapVersion } from "../../core/ids.ts";
import type { MoveReport } from "../../core/message.ts";
import type { Move, Shard, SlotRange } from "../../core/topology.ts";
import { remaining, type Due } from "./goals.ts";
import type { Loads } from "./loads.ts";
import type { Amount, MoveAge, PlannedEvent, Rebalance, Session } from "./model.ts";
import { fillSlots, rangesIn, rangesText, slotMapOf } from "./slots.ts";

/** Of one move: a second or so of copying, so that what is done shows, and what ends early loses little. */
export const moveBytesMax = 64 * 1024 * 1024;
/** Where a rate is set: about this much time's worth in one move. */
const moveSecondsMax = 10;
/** One is caught up while the next copies. */
const movesPerPairMax = 2;
const movesPerSourceMax = 4;
const movesPerTargetMax = 6;
/** Of a whole cluster: everybody hears of all of them with each change. */
const movesInAllMax = 256;
/** Records that may be left to copy when writes to the slots stop: some milliseconds. */
const closeLagMax = 2_000;
/** Requests wait a second at most while slots are frozen; one that lasts this long is given up for now. */
const freezeMsMax = 2_000;
/** Before it is tried again, times how often it was. */
const thawedRestMs = 1_000;
const idleMsMax = 30_000;
/** One that does not get on for so long is not waited for. */
const heldUpIdleMsMax = 2_000;
export const lookAgainMs = 250;

export type MovesInput = {
  /** As the plan has them by now: their epochs, owners and phases. */
  readonly shards: readonly Shard[];
  readonly moves: readonly Move[];
  readonly lastMove: number;
  readonly mapVersion: MapVersion;
  readonly rebalance: Rebalance | null;
  /** Costs something: asked only where it counts. */
  readonly loads: () => Loads;
  readonly ages: ReadonlyMap<number, MoveAge>;
  /** Of an owner that serves, in the epoch of its shard. */
  readonly ownerOf: (shard: Shard) => Session | undefined;
  /** Null where slots may be moved to this shard now, else what it waits for. */
  readonly notReady: (shard: Shard) => string | null;
  /** Nothing new begins, and what only copies ends; what is frozen is brought to its end. */
  readonly paused: boolean;
  /** 0: no bound. */
  readonly bytesPerSecondMax: number;
};
export type MovesPlan = {
  /** The same array where nothing changes. */
  readonly shards: readonly Shard[];
  readonly moves: readonly Move[];
  readonly lastMove: number;
  readonly mapVersion: MapVersion;
  readonly rebalance: Rebalance | null;
  readonly events: readonly PlannedEvent[];
  readonly againMs: number | null;
};

/**
 * The next step of every move: taken out, begun, frozen, carried out. Any number of them is carried out in one write, which
 * is the moment at which the slots change hands.
 */
export const planMoves = (input: MovesInput): MovesPlan => {
  const { shards, moves, rebalance } = input;
  const going = (moves.length > 0 || rebalance !== null) && shards.length > 0;
  if (!going) return { ...input, events: [], againMs: null };
  const due = rebalance === null ? [] : remaining(rebalance, shards);
  const judged = moves.map((move) => ({ move, verdict: verdictOf(input, due, move) }));
  const ready = judged.flatMap(({ move, verdict }) =>
    verdict.kind === "commit" ? [{ move, amount: verdict.amount }] : [],
  );
  const kept = judged.flatMap(({ move, verdict }) =>
    verdict.kind === "stay" ? [move] : verdict.kind === "turn" ? [{ ...move, stage: verdict.stage }] : [],
  );
  const problems = judged.flatMap(({ move, verdict }) =>
    verdict.kind === "end" && verdict.why !== null ? [`${moveText(move)}: ${verdict.why}`] : [],
  );
  const committed = carryOut(
    input,
    ready.map(({ move }) => move),
  );
  const begun = begin({ ...input, shards: committed.shards }, kept);
  const next = [...kept, ...begun];
  const isSame = next.length === moves.length && next.every((move, i) => sameMove(move, moves[i]));
  return {
    shards: committed.shards,
    mapVersion: committed.mapVersion,
    moves: isSame ? moves : next,
    lastMove: begun.at(-1)?.id ?? input.lastMove,
    rebalance: accounted(rebalance, {
      amounts: ready.map(({ amount }) => amount),
      problem: problems.at(-1) ?? null,
    }),
    events: problems.map((message) => ({ type: "Warning", reason: "MoveFailed", message })),
    againMs: next.length > 0 || rebalance !== null ? lookAgainMs : null,
  };
};

type Verdict =
  | { readonly kind: "stay" }
  /** Into the other stage. */
  | { readonly kind: "turn"; readonly stage: Move["stage"] }
  | { readonly kind: "commit"; readonly amount: Amount }
  /** `why`: what a person should hear of it; null where it is as wished. */
  | { readonly kind: "end"; readonly why: string | null };

const stay: Verdict = { kind: "stay" };

const verdictOf = (input: MovesInput, due: readonly Due[], move: Move): Verdict => {
  const [from, to] = [input.shards[move.from], input.shards[move.to]];
  if (from?.epoch !== move.fromEpoch || to?.epoch !== move.toEpoch) return { kind: "end", why: null };
  if (!isWanted(due, move)) return { kind: "end", why: null };
  const source = said(input.ownerOf(from), move.id, "source");
  const target = said(input.ownerOf(to), move.id, "target");
  const age = input.ages.get(move.id);
  const isStable = from.phase.kind === "stable" && to.phase.kind === "stable";
  if (move.stage === "freezing") {
    const [frozen, holds] = [source?.frozen ?? null, target?.holds ?? null];
    if (isStable && source !== undefined && frozen !== null && holds !== null && holds >= frozen)
      return { kind: "commit", amount: { keys: source.keys, bytes: source.bytes } };
    return (age?.stageMs ?? 0) > freezeMsMax ? { kind: "turn", stage: "copying" } : stay;
  }
  if (input.paused) return { kind: "end", why: null };
  if (age !== undefined && age.idleMs > idleMsMax)
    return { kind: "end", why: target?.problem ?? `nothing came of it for ${idleMsMax / 1000} s` };
  // A source that still says `frozen` has not heard that it is not: what it says then must not be taken for the next time.
  const isClose =
    source?.frozen === null && target !== undefined && isWhole(target) && target.lag <= closeLagMax;
  const hasRested = age === undefined || age.stageMs >= age.thawed * thawedRestMs;
  const mayFreeze =
    isStable && isClose && hasRested && !input.moves.some((other) => holdsUp(input, move, other));
  return mayFreeze ? { kind: "turn", stage: "freezing" } : stay;
};

/**
 * While a target copies other slots, what it still has to take before frozen ones are safe is behind those, and in one sync with
 * them. As long as they come on, all are frozen together, for a moment.
 */
const holdsUp = (input: MovesInput, { to }: Move, other: Move): boolean => {
  if (other.to !== to || other.stage !== "copying") return false;
  const shard = input.shards[to];
  const target = shard === undefined ? undefined : said(input.ownerOf(shard), other.id, "target");
  const idleMs = input.ages.get(other.id)?.idleMs ?? 0;
  if (target === undefined || target.state === "connecting") return false;
  return !isWhole(target) && idleMs < heldUpIdleMsMax;
};

/** All is copied and safe, and what is written meanwhile is taken as it comes. */
const isWhole = ({ state, holds }: Extract<MoveReport, { kind: "target" }>): boolean =>
  state === "following" && holds !== null;

/** Whether all its slots are still the source's, and still to be the target's. */
const isWanted = (due: readonly Due[], { from, to, slots }: Move): boolean =>
  slots.every(([first, last]) =>
    due.some((run) => run.from === from && run.to === to && run.first <= first && last <= run.last),
  );

const said = <Kind extends MoveReport["kind"]>(
  owner: Session | undefined,
  id: number,
  kind: Kind,
): Extract<MoveReport, { kind: Kind }> | undefined => {
  const serving = owner?.report.serving;
  if (serving?.kind !== "owner") return undefined;
  return serving.moves.find(
    (move): move is Extract<MoveReport, { kind: Kind }> => move.id === id && move.kind === kind,
  );
};

/** Gives the slots of these moves to their targets. */
const carryOut = (
  { shards, mapVersion: before }: MovesInput,
  ready: readonly Move[],
): Pick<MovesPlan, "shards" | "mapVersion"> => {
  if (ready.length === 0) return { shards, mapVersion: before };
  const next = mapVersion(before + 1);
  const map = slotMapOf(shards);
  for (const { to, slots } of ready) fillSlots(map, slots, to);
  const touched = new Set(ready.flatMap(({ from, to }) => [from, to]));
  return {
    shards: shards.map((shard) =>
      touched.has(shard.id) ? { ...shard, slots: rangesIn(map, shard.id), mapVersion: next } : shard,
    ),
    mapVersion: next,
  };
};

const begin = (input: MovesInput, kept: readonly Move[]): readonly Move[] => {
  const { rebalance, paused, shards } = input;
  if (rebalance === null || paused) return [];
  const pairs = new Map<string, Due[]>();
  for (const due of remaining(rebalance, shards, kept)) {
    const key = `${due.from} ${due.to}`;
    const pair = pairs.get(key);
    if (pair === undefined) pairs.set(key, [due]);
    else pair.push(due);
  }
  const begun: Move[] = [];
  // One of each pair in turn, so that none waits for all of another.
  for (let round = 0; round < movesPerPairMax; round++) {
    for (const pair of pairs.values()) {
      const [first] = pair;
      const [from, to] = [shards[first?.from ?? -1], shards[first?.to ?? -1]];
      if (from === undefined || to === undefined || !mayBegin(input, from, to)) continue;
      if (!hasRoom([...kept, ...begun], from, to)) continue;
      begun.push({
        id: input.lastMove + begun.length + 1,
        ...{ from: from.id, fromEpoch: from.epoch, to: to.id, toEpoch: to.epoch },
        ...{ slots: takeBatch(pair, input), stage: "copying" },
      });
    }
  }
  return begun;
};

const mayBegin = ({ ownerOf, notReady }: MovesInput, from: Shard, to: Shard): boolean =>
  from.phase.kind === "stable" &&
  to.phase.kind === "stable" &&
  ownerOf(from) !== undefined &&
  ownerOf(to) !== undefined &&
  notReady(to) === null;

const hasRoom = (moves: readonly Move[], from: Shard, to: Shard): boolean => {
  const leaving = moves.filter((move) => move.from === from.id);
  const coming = moves.filter((move) => move.to === to.id).length;
  return (
    moves.length < movesInAllMax &&
    leaving.filter((move) => move.to === to.id).length < movesPerPairMax &&
    leaving.length < movesPerSourceMax &&
    coming < movesPerTargetMax
  );
};

/** Takes the slots of one move off these: at least one, whole ones only. */
const takeBatch = (due: Due[], { loads, bytesPerSecondMax }: MovesInput): readonly SlotRange[] => {
  const rate = bytesPerSecondMax === 0 ? Infinity : bytesPerSecondMax;
  const max = Math.min(moveBytesMax, rate * moveSecondsMax);
  const sizes = loads().bytes;
  const taken: SlotRange[] = [];
  let bytes = 0;
  for (let run = due.shift(); run !== undefined; run = due.shift()) {
    const { first, last } = run;
    for (let s: number = first; s <= last; s++) {
      bytes += sizes[s] ?? 0;
      if (bytes <= max || (taken.length === 0 && s === first)) continue;
      if (s > first) taken.push([first, slot(s - 1)]);
      due.unshift({ ...run, first: slot(s) });
      return taken;
    }
    taken.push([first, last]);
  }
  return taken;
};

const accounted = (
  rebalance: Rebalance | null,
  { amounts, problem }: { readonly amounts: readonly Amount[]; readonly problem: string | null },
): Rebalance | null => {
  if (rebalance === null || (amounts.length === 0 && problem === null)) return rebalance;
  const done = amounts.reduce(
    (sum, { keys, bytes }) => ({ keys: sum.keys + keys, bytes: sum.bytes + bytes }),
    rebalance.done,
  );
  return { ...rebalance, done, problem: problem ?? rebalance.problem };
};

const sameMove = (a: Move, b: Move | undefined): boolean => a.id === b?.id && a.stage === b.stage;

/** `shard 0 to shard 3, slots 4096-5460`. */
export const moveText = ({ from, to, slots }: Pick<Move, "from" | "to" | "slots">): string =>
  `shard ${from} to shard ${to}, slots ${rangesText(slots)}`;
