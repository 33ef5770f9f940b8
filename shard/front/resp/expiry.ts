import { notInteger, ReplyError } from "./command.ts";
import { parseInt64 } from "./numbers.ts";

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
  const atMs = Number(n) * unit.scale + (unit.isRelative ? wallMs : 0);
  if (!Number.isSafeInteger(atMs)) throw invalidExpiry(name);
  return atMs;
};

const invalidExpiry = (name: string): ReplyError =>
  new ReplyError(`ERR invalid expire time in '${name}' command`);
