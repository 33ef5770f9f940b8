import { inWords, type History, type Operation, type Violation } from "./history.ts";

/**
 * Whether what one session saw never went back: a session read shows what the session wrote or read before, or something
 * newer. By the place (epoch, version) of answers for one key, and by values that are written once.
 */
export const checkSessions = (history: History): readonly Violation[] => {
  const violations: Violation[] = [];
  const sessions = Map.groupBy(history, ({ process, key }) => `${process} ${key}`);
  const writers = new Map(
    history
      .filter(({ op, outcome }) => (op === "set" || op === "cas") && outcome !== "fail")
      .map((write) => [`${write.key} ${write.value ?? ""}`, write]),
  );
  for (const operations of sessions.values()) {
    let seen: Operation | null = null;
    let shown: Operation | null = null;
    for (const one of operations) {
      if (one.outcome !== "ok") continue;
      if (one.op === "get" && one.level !== "eventual") {
        if (seen !== null && isBefore(one, seen))
          violations.push({ kind: "session went back", key: one.key, what: `${inWords(one)} after ${inWords(seen)}` });
        const made = writers.get(`${one.key} ${one.result ?? ""}`);
        if (shown !== null && made !== undefined && made.outcome === "ok" && made.completeNs < shown.invokeNs)
          violations.push({ kind: "session went back", key: one.key, what: `${inWords(one)}, which is older than ${inWords(shown)}` });
        if (made !== undefined && made.outcome === "ok") shown = later(shown, made);
      }
      if (one.op === "set" || (one.op === "cas" && one.result === "true")) shown = later(shown, one);
      if (seen === null || isBefore(seen, one)) seen = one;
    }
  }
  return violations;
};

const later = (a: Operation | null, b: Operation): Operation =>
  a !== null && b.completeNs < a.invokeNs ? a : b;

const isBefore = (a: Operation, b: Operation): boolean => {
  const [epochs, versions] = [(a.epoch ?? 0) - (b.epoch ?? 0), (a.version ?? 0) - (b.version ?? 0)];
  return epochs < 0 || (epochs === 0 && versions < 0);
};
