import { systemClock } from "../../core/clock.ts";
import { epoch, shardId, version } from "../../core/ids.ts";
import { createLogger } from "../../core/logger.ts";
import {
  decodeMessage,
  encodeMessage,
  isControl,
  toClientSchema,
  type FromClient,
  type ToClient,
} from "../../core/message.ts";
import type { ReadLevel, Request, Result } from "../../core/request.ts";
import { decodeReplies } from "../../core/requestDecoder.ts";
import { encodeRequests } from "../../core/requestEncoder.ts";
import type { Address } from "../../core/topology.ts";
import { dial } from "../../net/dial.ts";
import { testCluster } from "./shardInfo.ts";

/** One connection to one shard process, as a client makes it. No retries, no routing. */
export type ShardClient = {
  readonly ask: (
    requests: readonly Request[],
    at?: { shard?: number; epoch?: number },
  ) => Promise<readonly Result[]>;
  readonly tell: (message: FromClient) => void;
  /** Control messages that came, oldest first. */
  readonly heard: readonly ToClient[];
  readonly isOpen: () => boolean;
  readonly close: () => void;
};

export const connectToShard = async (address: Address): Promise<ShardClient> => {
  const waiting = new Map<
    number,
    { resolve: (results: readonly Result[]) => void; reject: (e: Error) => void }
  >();
  const heard: ToClient[] = [];
  let id = 0;
  const connection = await dial({
    url: `ws://${address.host}:${address.client}`,
    role: "client",
    cluster: testCluster.clusterId,
    self: { pod: "test-client", incarnation: "1" },
    to: "",
    token: null,
    clock: systemClock,
    logger: createLogger("silent", {}),
    signal: new AbortController().signal,
    opened: () => ({
      message: (frame) => {
        if (isControl(frame)) {
          heard.push(decodeMessage(toClientSchema, frame));
          return;
        }
        const reply = decodeReplies(frame);
        waiting.get(reply.id)?.resolve(reply.results);
        waiting.delete(reply.id);
      },
      closed: () => {
        for (const { reject } of waiting.values()) reject(new Error("connection closed"));
        waiting.clear();
      },
    }),
  });
  return {
    ask: (requests, at = {}) =>
      new Promise((resolve, reject) => {
        waiting.set(++id, { resolve, reject });
        const frame = { id, shard: shardId(at.shard ?? 0), epoch: epoch(at.epoch ?? 1), requests };
        connection.send(encodeRequests(frame));
      }),
    tell: (message) => {
      connection.send(encodeMessage(message));
    },
    heard,
    isOpen: connection.isOpen,
    close: connection.cut,
  };
};

const bytes = (text: string | Uint8Array): Uint8Array =>
  typeof text === "string" ? new TextEncoder().encode(text) : text;

export const set = (
  key: string,
  value: string | Uint8Array,
  more: Partial<Extract<Request, { kind: "set" }>> = {},
): Request => ({
  kind: "set",
  key: bytes(key),
  value: bytes(value),
  condition: { kind: "always" },
  expiry: { kind: "never" },
  ...more,
});
export const get = (key: string, read: ReadLevel = { kind: "eventual", lagMsMax: null }): Request => ({
  kind: "get",
  key: bytes(key),
  read,
});
export const remove = (key: string): Request => ({ kind: "delete", key: bytes(key) });
export const increment = (key: string, by = 1): Request => ({ kind: "increment", key: bytes(key), by });
export const session = (at: { epoch: number; version: number }): ReadLevel => ({
  kind: "session",
  epoch: epoch(at.epoch),
  version: version(at.version),
});
/** The text of a value result; the code of an error; null for no value. */
export const textOf = (result: Result | undefined): string | null => {
  if (result?.kind === "value") return result.value === null ? null : new TextDecoder().decode(result.value);
  return result?.kind === "error" ? `error ${result.code}` : `a ${result?.kind ?? "missing"} result`;
};
