import { byKey, inWords, type History, type Operation, type Violation } from "./history.ts";

/**
 * Whether every acknowledged write is still there at the end, or was overwritten by an operation that did not precede it.
 * A key's last linearizable read, after everything else was over, says what is there at the end.
 */
export const checkLedger = (history: History): readonly Violation[] =>
  [...byKey(history)].flatMap(([key, operations]) => {
    const last = operations.filter(isGoodRead).at(-1);
    if (last === undefined) return [];
    const before = operations.filter(({ invokeNs }) => invokeNs < last.invokeNs);
    const what = before.some(({ op }) => op === "incr") ? counted(before, last) : written(before, last);
    return what === null ? [] : [{ kind: "acknowledged write lost", key, what }];
  });

const isGoodRead = ({ op, outcome, level }: Operation): boolean =>
  op === "get" && outcome === "ok" && level === "linearizable";

/** Increments: the sum lies between those that were acknowledged and those that may have been carried out. */
const counted = (before: History, last: Operation): string | null => {
  if (before.some(({ op }) => op === "set" || op === "cas" || op === "del")) return null;
  const sum = (outcomes: readonly string[]): number =>
    before
      .filter(({ op, outcome }) => op === "incr" && outcomes.includes(outcome))
      .reduce((total, { value }) => total + Number(value ?? 1), 0);
  const found = Number(last.result ?? 0);
  const [least, most] = [sum(["ok"]), sum(["ok", "unknown"])];
  return found >= least && found <= most ? null : `the count is ${found}, wanted is ${least} to ${most}`;
};

const written = (before: History, last: Operation): string | null => {
  const found = last.result ?? null;
  const changes = before.filter(({ op, outcome }) => op !== "get" && outcome !== "fail");
  /** What may have left it as it was found. */
  const makers = changes.filter(({ op, value }) => (found === null ? op === "del" : op !== "del" && value === found));
  const isFirst = found === null && makers.length === 0;
  if (found !== null && makers.length === 0)
    return `found ${found}, which no operation that may have been carried out has written`;
  const lost = changes.find(
    (write) =>
      write.outcome === "ok" &&
      isEffective(write) &&
      !makers.includes(write) &&
      (isFirst || makers.every((maker) => maker.outcome === "ok" && maker.completeNs < write.invokeNs)),
  );
  return lost === undefined ? null : `${inWords(lost)}, but at the end there is ${String(found)}`;
};

const isEffective = ({ op, result }: Operation): boolean => (op === "cas" ? result === "true" : true);
