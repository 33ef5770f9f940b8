import type { Clock } from "../core/clock.ts";
import type { Front } from "./front/front.ts";
import type { InfoSession } from "./info.ts";
import type { Moves } from "./moves/moves.ts";
import type { Publisher } from "./replication/publisher.ts";
import type { Roles } from "./roles.ts";

/** What has to come to an end. */
export type Ending = {
  readonly front: Front;
  readonly publisher: Publisher;
  readonly roles: Roles;
  readonly moves: Moves;
  readonly session: InfoSession;
  readonly open: Readonly<Record<"client" | "replication", Port>> & {
    readonly resp: Port & { readonly end: () => void };
    readonly http: Closable;
  };
  readonly clock: Clock;
};
type Closable = { readonly close: () => Promise<void> };
type Port = Closable & { readonly stopAccepting: () => void; readonly connections: () => number };

export type EndOptions = {
  readonly handsOver: boolean;
  readonly handoverMs: number;
  readonly drainMs: number;
};

/**
 * Hands over what this process owns, tells everybody, serves on for a while, and then nobody any more. It has reported that it is
 * leaving before.
 */
export const endShard = async (ending: Ending, options: EndOptions): Promise<void> => {
  if (options.handsOver) await handOver(ending, options.handoverMs);
  await drain(ending, options.drainMs);
  await Promise.all([ending.session.stop(), ...Object.values(ending.open).map((port) => port.close())]);
};

const lookEveryMs = 10;
/** An info that restarts, or another one, is back sooner. */
const unheardMsMax = 2_000;

/** Serves on until somebody else owns the shard; not longer than somebody can be made owner by whoever is there. */
const handOver = async ({ roles, session, clock }: Ending, handoverMs: number): Promise<void> => {
  const untilMs = clock.nowMs() + handoverMs;
  let heardMs = clock.nowMs();
  while (roles.role().kind === "owner" && roles.hasHeir()) {
    const nowMs = clock.nowMs();
    if (session.isConnected()) heardMs = nowMs;
    if (nowMs > untilMs || nowMs - heardMs > unheardMsMax) return;
    await clock.sleep(lookEveryMs);
  }
};

const drain = async (
  { front, publisher, roles, moves, open, clock }: Ending,
  drainMs: number,
): Promise<void> => {
  front.leaving();
  publisher.leaving();
  await clock.sleep(drainMs);
  const { client, replication, resp } = open;
  const listeners = [client, replication, resp];
  for (const port of listeners) port.stopAccepting();
  front.close();
  resp.end();
  // Readers get what was acknowledged last.
  await waitFor(publisher.isCaughtUp, clock);
  moves.stop();
  await roles.stop();
  await waitFor(() => listeners.every((port) => port.connections() === 0), clock);
};

const closingMsMax = 400;

/** Waits for peers to do their part, but not for ever. */
const waitFor = async (holds: () => boolean, clock: Clock): Promise<void> => {
  const untilMs = clock.nowMs() + closingMsMax;
  while (!holds() && clock.nowMs() < untilMs) await clock.sleep(10);
};
