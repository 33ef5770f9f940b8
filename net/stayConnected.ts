import { backoffMs, type Backoff } from "../core/backoff.ts";
import { EdisError, messageOf } from "../core/errors.ts";
import type { Connection } from "./connection.ts";
import { RefusedError, type DialOptions } from "./dial.ts";
import type { Network } from "./network.ts";

export type StayConnectedOptions = Omit<DialOptions, "url"> & {
  readonly network: Pick<Network, "dial">;
  /** Where to dial now, tried in turn; read anew for every attempt. */
  readonly urls: () => readonly string[];
  readonly backoff: Backoff;
  readonly random: () => number;
  /** Hears of every failed attempt. */
  readonly failed?: (error: unknown, url: string) => void;
};

/**
 * Keeps one connection open until the signal is aborted: dials each url in turn, follows a refusal that names the
 * leader, and waits longer after each round that failed. Resolves when aborted; never rejects.
 */
export const stayConnected = async (options: StayConnectedOptions): Promise<void> => {
  const { clock, signal, backoff, random, failed } = options;
  let failures = 0;
  let turn = 0;
  let leader = "";
  while (!signal.aborted) {
    const urls = options.urls();
    const url = leader !== "" ? leader : (urls[turn++ % Math.max(1, urls.length)] ?? "");
    leader = "";
    try {
      if (url === "") throw new EdisError("unreachable", "Cannot connect: no address is known yet");
      await openAndWait(options, url, () => {
        failures = 0;
      });
    } catch (error) {
      failed?.(error, url);
      options.logger.debug({ url, reason: messageOf(error) }, "not connected");
      if (error instanceof RefusedError && error.leader !== "" && error.leader !== url) leader = error.leader;
    }
    failures++;
    if (leader === "")
      await clock.sleep(backoffMs(backoff, failures, random()), signal).catch(() => undefined);
  }
};

const openAndWait = async (
  options: StayConnectedOptions,
  url: string,
  connected: () => void,
): Promise<void> => {
  let close: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  const opened = (
    connection: Connection,
    welcome: Parameters<DialOptions["opened"]>[1],
  ): ReturnType<DialOptions["opened"]> => {
    const handlers = options.opened(connection, welcome);
    return {
      ...handlers,
      closed: () => {
        handlers.closed();
        close();
      },
    };
  };
  await options.network.dial({ ...options, url, opened });
  connected();
  await closed;
};
