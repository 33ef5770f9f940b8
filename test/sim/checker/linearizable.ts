import { byKey, inWords, type History, type Operation, type Violation } from "./history.ts";

/**
 * Whether each key's operations could have happened one after the other, each at an instant between its call and its answer
 * (Wing and Gong's search, with Lowe's cache). Writes whose outcome is unknown may have happened at any time after their call,
 * or never. Reads of other levels are left out.
 */
export const checkLinearizable = (history: History, stepsMax = 200_000): Verdict => {
  const violations: Violation[] = [];
  let undecided = 0;
  for (const [key, operations] of byKey(history)) {
    const relevant = relevantOf(operations);
    if (!relevant.some((one) => one.op === "get")) continue;
    const found = search(relevant, stepsMax);
    if (found === "undecided") undecided++;
    else if (found !== null)
      violations.push({ kind: "not linearizable", key, what: `no order explains ${inWords(found)}` });
  }
  return { violations, undecided };
};
export type Verdict = { readonly violations: readonly Violation[]; readonly undecided: number };

const relevantOf = (operations: History): History => {
  const taken = operations.filter(({ op, outcome, level }) =>
    op === "get" ? outcome === "ok" && level === "linearizable" : outcome !== "fail",
  );
  // A plain write that nobody knows of and nobody has seen may as well not have been: fewer orders to try.
  const seen = new Set(
    operations.flatMap(({ outcome, result, expect }) => [expect, outcome === "ok" ? result : undefined]),
  );
  // Increments and comparisons see what is there without naming it, and so does a delete that found something.
  const isPlain = !operations.some(
    ({ op, result }) => op === "incr" || op === "cas" || (op === "del" && result === "true"),
  );
  return taken.filter(
    ({ op, outcome, value }) => !(isPlain && op === "set" && outcome === "unknown" && !seen.has(value)),
  );
};

type Entry = {
  readonly index: number;
  readonly operation: Operation;
  readonly atNs: number;
  readonly isCall: boolean;
  /** The other end; null for a call without an answer. */
  other: Entry | null;
  before: Entry | null;
  after: Entry | null;
};

const search = (operations: History, stepsMax: number): Operation | "undecided" | null => {
  const head = listOf(operations);
  const done = new Uint8Array(operations.length);
  const tried = new Set<string>();
  const stack: { readonly entry: Entry; readonly state: string | null }[] = [];
  let state: string | null = null;
  let furthest: Operation | null = null;
  let most = -1;
  let entry = head.after;
  for (let steps = 0; entry !== null; steps++) {
    if (steps > stepsMax) return "undecided";
    if (entry.isCall) {
      const next = applied(entry.operation, state);
      if (next !== undefined) {
        done[entry.index] = 1;
        const seen = `${done.join("")}${next ?? "∅"}`;
        if (!tried.has(seen)) {
          tried.add(seen);
          stack.push({ entry, state });
          state = next;
          lift(entry);
          entry = head.after;
          continue;
        }
        done[entry.index] = 0;
      }
      entry = entry.after;
      continue;
    }
    if (stack.length > most) {
      most = stack.length;
      furthest = entry.operation;
    }
    const last = stack.pop();
    if (last === undefined) return furthest;
    done[last.entry.index] = 0;
    state = last.state;
    unlift(last.entry);
    entry = last.entry.after;
  }
  return null;
};

/** The state after it; undefined where it cannot have happened then. */
const applied = (
  { op, outcome, value, expect, result }: Operation,
  state: string | null,
): string | null | undefined => {
  const isKnown = outcome === "ok";
  switch (op) {
    case "get":
      return state === (result ?? null) ? state : undefined;
    case "set":
      return value ?? "";
    case "del":
      return isKnown && result !== String(state !== null) ? undefined : null;
    case "incr": {
      const sum = String(Number(state ?? 0) + Number(value ?? 1));
      return isKnown && result !== sum ? undefined : sum;
    }
    case "cas": {
      const isThere = state !== null && state === expect;
      if (isKnown && result !== String(isThere)) return undefined;
      return isThere ? (value ?? "") : state;
    }
  }
};

const listOf = (operations: History): Entry => {
  const entries = operations.flatMap((operation, index): Entry[] => {
    const base = { index, operation, before: null, after: null };
    const call: Entry = { ...base, atNs: operation.invokeNs, isCall: true, other: null };
    if (operation.outcome !== "ok") return [call];
    const answer: Entry = { ...base, atNs: operation.completeNs, isCall: false, other: call };
    call.other = answer;
    return [call, answer];
  });
  // Of one instant calls come first: they may overlap.
  entries.sort((a, b) => a.atNs - b.atNs || Number(b.isCall) - Number(a.isCall));
  const [any] = operations;
  if (any === undefined) throw new Error("nothing to order");
  const head: Entry = {
    index: -1,
    operation: any,
    atNs: 0,
    isCall: true,
    other: null,
    before: null,
    after: null,
  };
  let last = head;
  for (const entry of entries) {
    last.after = entry;
    entry.before = last;
    last = entry;
  }
  return head;
};

const unlink = (entry: Entry): void => {
  if (entry.before !== null) entry.before.after = entry.after;
  if (entry.after !== null) entry.after.before = entry.before;
};
const relink = (entry: Entry): void => {
  if (entry.before !== null) entry.before.after = entry;
  if (entry.after !== null) entry.after.before = entry;
};
const lift = (call: Entry): void => {
  unlink(call);
  if (call.other !== null) unlink(call.other);
};
const unlift = (call: Entry): void => {
  if (call.other !== null) relink(call.other);
  relink(call);
};
