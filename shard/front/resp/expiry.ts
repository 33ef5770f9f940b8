import { notInteger, ReplyError } from "./command.ts";
import { fitsInt64, parseInt64 } from "./numbers.ts";

/** What an amount of time counts, and from when: from now, or from 1970. */
export type Unit = { readonly scale: number; readonly isRelative: boolean };

/** The instant that an option of SET or GETEX means, in milliseconds. Throws as Redis does; beyond 53 bits is invalid, too. */
export const instantOf = (
  { amount, unit, name }: { readonly amount: Buffer; readonly unit: Unit; readonly name: string },
  wallMs: number,
): number => {
  const n = parseInt64(amount);
  if (n === undefined) throw notInteger();
  if (n <= 0n) throw invalidExpiry(name);
  return within(n, { unit, name }, wallMs);
};

/** The same for EXPIRE and its kin, which take what lies in the past. */
export const deadlineOf = (
  { amount, unit, name }: { readonly amount: Buffer; readonly unit: Unit; readonly name: string },
  wallMs: number,
): number => {
  const n = parseInt64(amount);
  if (n === undefined) throw notInteger();
  return within(n, { unit, name }, wallMs);
};

const within = (
  n: bigint,
  { unit, name }: { readonly unit: Unit; readonly name: string },
  wallMs: number,
): number => {
  const scaled = n * BigInt(unit.scale);
  const atMs = unit.isRelative ? scaled + BigInt(wallMs) : scaled;
  if (!fitsInt64(scaled) || atMs > BigInt(Number.MAX_SAFE_INTEGER)) throw invalidExpiry(name);
  // However long ago it was, it is over.
  return Math.max(Number(atMs), 0);
};

const invalidExpiry = (name: string): ReplyError =>
  new ReplyError(`ERR invalid expire time in '${name}' command`);
