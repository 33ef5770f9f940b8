import type { Clock } from "../core/clock.ts";
import { slotCount } from "../core/ids.ts";
import type { MoveReport, SlotSizes } from "../core/message.ts";
import { countSlots, type Move, type Shard } from "../core/topology.ts";
import type { Ledger, MoveAge, Ownership, Session } from "./plan/model.ts";

/** What the operator remembers of one cluster while it leads: how large each slot is, and how long each move has stood. */
export type LedgerKeeper = {
  /** Takes in what is seen now. */
  readonly look: (ownership: Ownership | null, sessions: readonly Session[]) => Ledger;
};

type Seen = { stage: Move["stage"]; stageMs: number; state: string; stateMs: number; thawed: number };

export const createLedger = (clock: Pick<Clock, "nowMs" | "wallMs">): LedgerKeeper => {
  const slotBytes = new Float64Array(slotCount).fill(NaN);
  const taken = new Map<number, SlotSizes>();
  const moves = new Map<number, Seen>();
  return {
    look: (ownership, sessions) => {
      for (const { slotSizes } of sessions) {
        const shard = slotSizes === null ? undefined : ownership?.shards[slotSizes.shard];
        if (slotSizes === null || shard === undefined || taken.get(shard.id) === slotSizes) continue;
        if (takeSizes(slotBytes, shard, slotSizes)) taken.set(shard.id, slotSizes);
      }
      const ages = ageMoves(moves, {
        moves: ownership?.moves ?? [],
        said: saidOf(sessions),
        nowMs: clock.nowMs(),
      });
      return { slotBytes, moves: ages, wallMs: clock.wallMs() };
    },
  };
};

/** Sizes come in the order of the shard's slots; they count only where those are still the same. What a slot had stays known when it moves. */
const takeSizes = (
  slotBytes: Float64Array,
  shard: Shard,
  { epoch, mapVersion, sizes }: SlotSizes,
): boolean => {
  if (epoch !== shard.epoch || mapVersion < shard.mapVersion) return false;
  if (sizes.length !== countSlots(shard.slots) * 4) return false;
  const view = new DataView(sizes.buffer, sizes.byteOffset, sizes.byteLength);
  let at = 0;
  for (const [from, to] of shard.slots)
    for (let s: number = from; s <= to; s++, at += 4) slotBytes[s] = view.getFloat32(at, true);
  return true;
};

type Around = {
  readonly moves: readonly Move[];
  readonly said: (id: number) => string;
  readonly nowMs: number;
};

const ageMoves = (known: Map<number, Seen>, { moves, said, nowMs }: Around): ReadonlyMap<number, MoveAge> => {
  const ids = new Set(moves.map(({ id }) => id));
  for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
  return new Map(
    moves.map(({ id, stage }): [number, MoveAge] => {
      const state = `${stage} ${said(id)}`;
      const seen = known.get(id) ?? { stage, stageMs: nowMs, state, stateMs: nowMs, thawed: 0 };
      known.set(id, seen);
      if (seen.stage !== stage) {
        if (stage === "copying") seen.thawed++;
        [seen.stage, seen.stageMs] = [stage, nowMs];
      }
      if (seen.state !== state) [seen.state, seen.stateMs] = [state, nowMs];
      return [id, { stageMs: nowMs - seen.stageMs, idleMs: nowMs - seen.stateMs, thawed: seen.thawed }];
    }),
  );
};

/** What shows that a move goes on: whatever its two ends say of it, but for the figures that the source counts anyway. */
const saidOf = (sessions: readonly Session[]): ((id: number) => string) => {
  const texts = new Map<number, string>();
  for (const { report } of sessions) {
    if (report.serving.kind !== "owner") continue;
    for (const move of report.serving.moves)
      texts.set(move.id, `${texts.get(move.id) ?? ""} ${progressText(move)}`);
  }
  return (id) => texts.get(id) ?? "";
};
const progressText = (move: MoveReport): string =>
  move.kind === "source"
    ? `${move.frozen ?? ""}`
    : `${move.state} ${move.keys} ${move.bytes} ${move.lag} ${move.holds ?? ""}`;
