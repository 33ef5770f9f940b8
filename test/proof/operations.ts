import { EdisError, type Session } from "../../client/index.ts";
import { errorCodes } from "../../core/errors.ts";
import type { Operation } from "../sim/checker/history.ts";
import type { Key, Written } from "./ledger.ts";

/** Writes the next number of a key, `before` being the one that was acknowledged last, as the key's kind wants it. */
export const carryOut = (session: Session, { kind, name, sent }: Key, before: number): Promise<Written> => {
  if (kind === "counter") return session.increment(name);
  const condition = kind === "plain" ? {} : before === 0 ? { ifAbsent: true } : { ifEqual: String(before) };
  return session.set(name, String(sent), condition);
};

/** The same in the words of a history. */
export const asked = (
  { kind, name, sent }: Key,
  before: number,
): Pick<Operation, "op" | "key" | "value" | "expect"> => {
  if (kind === "counter") return { op: "incr", key: name, value: "1" };
  // The history has no word for "if absent": the first one is a plain set there.
  if (kind === "plain" || before === 0) return { op: "set", key: name, value: String(sent) };
  return { op: "cas", key: name, value: String(sent), expect: String(before) };
};

/** What was asked was certainly not carried out. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof EdisError && errorCodes[error.code] !== "unknown";
