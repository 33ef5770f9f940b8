import type { Peer } from "../client/peer.ts";
import type { Clock } from "../core/clock.ts";
import { EdisError } from "../core/errors.ts";
import type { Digested } from "../core/tools.ts";
import { rangesOf } from "../core/topology.ts";
import { contentAt, isStill, verdictOf, type Round } from "./verifyCompare.ts";

/** Compares one owner with its copies, some slots at a time, until each slot is settled or is written to all the time. */

/** How the same slots of one copy stand to the owner's. */
export type Copy = {
  readonly pod: string;
  same: number;
  readonly different: Difference[];
  /** Slots that were written to whenever they were looked at. */
  readonly written: number[];
  /** Why it could not be asked at last; null where it could. */
  problem: string | null;
};
export type Difference = {
  readonly slot: number;
  readonly keys: number;
  /** At the owner. */
  readonly ownerKeys: number;
};

export type Group = {
  readonly owner: Peer;
  readonly copies: ReadonlyMap<string, Peer>;
  readonly clock: Pick<Clock, "sleep">;
};
export type Compared = { readonly keys: number; readonly bytes: number; readonly copies: readonly Copy[] };

/** Fewer slots each time, so that fewer are written to while they are looked at. */
const roundsMax = 12;
/** So often in a row a slot has to differ: what was written and put back while nobody looked does not. */
const differencesMax = 3;
const restMs = 20;

type Comparison = {
  readonly copy: Copy;
  /** The slots that are not settled, and how often in a row each differed. */
  readonly left: Map<number, number>;
};

/** Rejects with what the owner says, where it cannot tell. */
export const compareSlots = async (group: Group, slots: readonly number[]): Promise<Compared> => {
  const comparisons = [...group.copies.keys()].map((pod): Comparison => ({
    copy: { pod, same: 0, different: [], written: [], problem: null },
    left: new Map(slots.map((s) => [s, 0])),
  }));
  const first = await compareOnce(group, comparisons, slots);
  for (let round = 1; round < roundsMax; round++) {
    const left = new Set(comparisons.flatMap((comparison) => [...comparison.left.keys()]));
    if (left.size === 0) break;
    await group.clock.sleep(restMs * round);
    await compareOnce(
      group,
      comparisons,
      [...left].sort((a, b) => a - b),
    );
  }
  for (const { copy, left } of comparisons) if (copy.problem === null) copy.written.push(...left.keys());
  const contents = slots.map((_, i) => contentAt(first, i));
  return {
    keys: contents.reduce((sum, { keys }) => sum + keys, 0),
    bytes: contents.reduce((sum, { bytes }) => sum + bytes, 0),
    copies: comparisons.map(({ copy }) => copy),
  };
};

/** Resolves to what the owner said first. */
const compareOnce = async (
  group: Group,
  comparisons: readonly Comparison[],
  slots: readonly number[],
): Promise<Digested> => {
  const { round, answers } = await askAll(group, slots);
  for (const comparison of comparisons) {
    const answer = answers.get(comparison.copy.pod);
    comparison.copy.problem = answer instanceof EdisError ? answer.message : null;
    if (answer === undefined || answer instanceof EdisError) continue;
    for (const [i, s] of slots.entries()) judge(comparison, { slot: s, i, round, answer });
  }
  return round.first;
};

type Looked = { readonly slot: number; readonly i: number; readonly round: Round; readonly answer: Digested };

const judge = ({ copy, left }: Comparison, { slot: s, i, round, answer }: Looked): void => {
  const times = left.get(s);
  if (times === undefined) return;
  switch (verdictOf(round, answer, i)) {
    case "written":
      left.set(s, 0);
      return;
    case "same":
      left.delete(s);
      copy.same++;
      return;
    case "different":
      left.set(s, times + 1);
      if (times + 1 < differencesMax) return;
      left.delete(s);
      copy.different.push({
        slot: s,
        keys: contentAt(answer, i).keys,
        ownerKeys: contentAt(round.first, i).keys,
      });
      return;
  }
};

type Answers = { readonly round: Round; readonly answers: ReadonlyMap<string, Digested | EdisError> };

const askAll = async ({ owner, copies }: Group, slots: readonly number[]): Promise<Answers> => {
  const asked = rangesOf(slots);
  const first = await owner.digest({ slots: asked, after: null });
  const answers = await Promise.all(
    [...copies].map(async ([pod, peer]): Promise<readonly [string, Digested | EdisError]> => {
      const answer = await peer.digest({ slots: asked, after: first.to }).catch(saidInstead);
      return [pod, answer];
    }),
  );
  const good = answers.flatMap(([, answer]) => (answer instanceof EdisError ? [] : [answer]));
  const second = isStill([first, ...good]) ? first : await owner.digest({ slots: asked, after: null });
  return { round: { first, second }, answers: new Map(answers) };
};

const saidInstead = (error: unknown): EdisError => {
  if (error instanceof EdisError) return error;
  throw error;
};
