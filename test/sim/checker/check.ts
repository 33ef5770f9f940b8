import type { History, Violation } from "./history.ts";
import { checkLedger } from "./ledger.ts";
import { checkLinearizable } from "./linearizable.ts";
import { checkSessions } from "./sessions.ts";

export type Promised = {
  /** Nothing acknowledged is lost. Where a failover may lose a tail (`acks: owner`), only that no session goes back. */
  readonly keepsAcknowledged: boolean;
  /** Fewer operations that went well prove nothing. */
  readonly okMin: number;
  /** Kinds of faults that were carried out. */
  readonly faults: readonly string[];
  /** Whether slots may have moved between shards, whose places have nothing to do with one another. */
  readonly slotsMoved: boolean;
};

export type Result = {
  readonly violations: readonly Violation[];
  readonly ok: number;
  readonly unknown: number;
  readonly failed: number;
  /** Keys whose order was too costly to decide. */
  readonly undecided: number;
};

/** What a history proves, or what is wrong with it. */
export const checkHistory = (history: History, promised: Promised): Result => {
  const count = (outcome: string): number => history.filter((one) => one.outcome === outcome).length;
  const ok = count("ok");
  const violations: Violation[] = [];
  if (ok < promised.okMin)
    violations.push({ kind: "proves nothing", key: "", what: `${ok} operations went well, wanted are ${promised.okMin}` });
  if (promised.faults.length === 0)
    violations.push({ kind: "proves nothing", key: "", what: "no fault was carried out" });
  let undecided = 0;
  if (promised.keepsAcknowledged) {
    violations.push(...checkLedger(history));
    const found = checkLinearizable(history);
    violations.push(...found.violations);
    ({ undecided } = found);
  }
  violations.push(...checkSessions(promised.slotsMoved ? history.map(withoutPlace) : history));
  return { violations, ok, unknown: count("unknown"), failed: count("fail"), undecided };
};

const withoutPlace = ({ epoch: _, version: __, ...rest }: History[number]): History[number] => rest;
