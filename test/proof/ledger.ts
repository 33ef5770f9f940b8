/**
 * What is known of one key that one lane alone writes, and what its answers prove. Of two kinds of keys each write tells by its
 * answer whether the one before is still there: a lost one is found even where another follows at once.
 */
export type Kind = "counter" | "swapped" | "plain";
export const kinds: readonly Kind[] = ["counter", "swapped", "plain"];

export type Key = {
  readonly name: string;
  readonly kind: Kind;
  /** The last number whose write was acknowledged, and when. */
  acked: number;
  ackedMs: number;
  /** The greatest number that may be there. */
  sent: number;
  /** The greatest that a linearizable read has brought. */
  shown: number;
  /** What became of its last write is not known, or something is wrong: nobody writes it any more. */
  isClosed: boolean;
};

export const newKey = (name: string, kind: Kind): Key => ({
  ...{ name, kind, acked: 0, ackedMs: -Infinity, sent: 0, shown: 0, isClosed: false },
});

/** What a write brought: the number after an increment, or whether a set was carried out. */
export type Written = number | boolean;

/** The write of `sent` was acknowledged. Says what that proves to be wrong, or null. */
export const acknowledged = (key: Key, written: Written, nowMs: number): string | null => {
  const { sent, kind, name, acked } = key;
  if (written === (kind === "counter" ? sent : true)) {
    key.acked = sent;
    key.ackedMs = nowMs;
    return null;
  }
  key.isClosed = true;
  return kind === "counter"
    ? `${name} became ${String(written)} by one more, though ${acked} was acknowledged`
    : `${name} did not hold ${acked}, which was acknowledged`;
};

/** It was certainly not carried out. */
export const refused = (key: Key): void => {
  key.sent = key.acked;
};

export type Level = "linearizable" | "session" | "eventual";
export const levels: readonly Level[] = ["linearizable", "session", "eventual"];

export type Reading = {
  readonly level: Level;
  /** The greatest that the session has written or read. */
  readonly seen: number;
  readonly nowMs: number;
  readonly lagMsMax: number;
};

/** The least that a read may bring. To be asked before it is sent: what is acknowledged meanwhile need not be there. */
export const leastOf = (key: Key, { level, seen, nowMs, lagMsMax }: Reading): number => {
  if (level === "linearizable") return Math.max(key.acked, key.shown);
  if (level === "session") return seen;
  return nowMs - key.ackedMs > lagMsMax ? key.acked : 0;
};

/** What is wrong with what a read brought, or null. */
export const judge = (
  key: Key,
  { level, found, least }: { readonly level: Level; readonly found: number; readonly least: number },
): string | null => {
  if (level === "linearizable") key.shown = Math.max(key.shown, found);
  const what = `${level} read of ${key.name} brought ${found}, `;
  if (found > key.sent) return `${what}though nobody wrote more than ${key.sent}`;
  return found < least ? `${what}which may not be below ${least}` : null;
};

/** At the end there is the last acknowledged number, or a later one of which nothing is known. */
export const lostOf = ({ name, acked, sent }: Key, found: number): string | null =>
  found >= acked && found <= sent ? null : `${name}: acknowledged ${acked}, sent ${sent}, there is ${found}`;
