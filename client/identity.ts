import { randomBytes } from "node:crypto";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { PodRef } from "../core/topology.ts";
import type { Network } from "../net/network.ts";

/** What every part of one client shares. */
export type Context = {
  readonly network: Pick<Network, "dial">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** In [0, 1). */
  readonly random: () => number;
  /** Who this client says it is: a name of its own choice. */
  readonly self: PodRef;
  /** Aborted when the client is closed. */
  readonly signal: AbortSignal;
};

export const newSelf = (): PodRef => ({ pod: "client", incarnation: randomBytes(8).toString("hex") });

/** For jitter and the order of sources. */
export const systemRandom = (): number => randomBytes(4).readUInt32LE() / 2 ** 32;

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

/** How long a dial may take: long for a network, short beside a call's 5 s, so that another pod can still be asked. */
export const dialMsMax = 2_000;
