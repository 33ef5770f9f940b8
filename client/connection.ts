import { backoffMs } from "../core/backoff.ts";
import { EdisError, messageOf } from "../core/errors.ts";
import type { Epoch, ShardId } from "../core/ids.ts";
import {
  frameBytesMax,
  operationsPerFrameMax,
  outstandingFramesMax,
  unsentBytesSoftMax,
} from "../core/limits.ts";
import {
  decodeMessage,
  encodeMessage,
  isControl,
  toClientSchema,
  type Report,
  type ToClient,
} from "../core/message.ts";
import type { Result } from "../core/request.ts";
import { decodeReplies } from "../core/requestDecoder.ts";
import { encodeRequests } from "../core/requestEncoder.ts";
import type { Member, Shard } from "../core/topology.ts";
import type { Connection } from "../net/connection.ts";
import { dialMsMax, type Context } from "./identity.ts";
import type { Operation } from "./operation.ts";
import { giveUpOvertaken, giveUpReads, isSilent } from "./patience.ts";

/** A frame stops growing here: what is behind it in the same turn goes with the next. */
const frameBytesAim = 256 * 1024;
/** After a failed dial the pod is not dialled again for this long. */
const redial = { firstMs: 50, maxMs: 1_000 };
/** How long a pod that has left the topology may take for what it still owes. */
export const retireMsMax = 5_000;

/** Everything said to one process start of one pod: dials when first needed, and again when needed after a break. */
export type PodConnection = {
  readonly member: Member;
  /** Takes an operation; `replied` or `failed` will hear of it. */
  readonly submit: (operation: Operation, shard: Shard) => void;
  readonly report: () => Promise<Report>;
  /** Connects ahead of the first operation. */
  readonly dial: () => void;
  /** Asks for the topology on this connection, if it is open. */
  readonly wantTopology: () => void;
  /** Asks for the topology, and dials for it. */
  readonly askTopology: () => void;
  /** Whether requests are out and nothing was heard for `forMs`. */
  readonly isSilent: (forMs: number) => boolean;
  /** Gives up what was asked of an epoch that is over, as `isOver` knows, and has waited for `forMs`: who owned then may be gone. */
  readonly giveUpOvertaken: (isOver: (shard: ShardId, epoch: Epoch) => boolean, forMs: number) => void;
  /** Gives up reads that have waited for `forMs`, so that another pod can be asked. */
  readonly giveUpReads: (forMs: number) => void;
  /** Drops the connection if requests are out and nothing was heard for `forMs`. */
  readonly dropIfSilent: (forMs: number) => void;
  /** Takes nothing more; ends once all is answered. */
  readonly retire: () => void;
  readonly close: (reason: EdisError) => void;
};

export type PodConnectionOptions = Context & {
  readonly member: Member;
  readonly clusterId: string;
  readonly replied: (operation: Operation, result: Result, member: Member) => void;
  /** `sent`: the pod may have got it. */
  readonly failed: (operation: Operation, failure: Failure) => void;
  /** A topology, a change of it, or `leaving`. */
  readonly told: (message: ToClient, member: Member, again: () => void) => void;
};
export type Failure = { readonly error: EdisError; readonly sent: boolean; readonly member: Member };

const expectedResult = { get: "value", set: "set", delete: "deleted", increment: "integer" } as const;

type Group = {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly sinceMs: number;
  bytes: number;
  operations: Operation[];
};
type Frame = {
  readonly id: number;
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly operations: readonly Operation[];
  readonly sentMs: number;
};
type Asked = { readonly resolve: (report: Report) => void; readonly reject: (error: EdisError) => void };

export type Line = {
  readonly options: PodConnectionOptions;
  readonly url: string;
  connection: Connection | undefined;
  dialling: boolean;
  /** Dials that failed in a row, or ended in garbage. */
  failures: number;
  downUntilMs: number;
  downReason: EdisError | undefined;
  retired: boolean;
  flushing: boolean;
  nextId: number;
  heardMs: number;
  /** Bytes that had come by then, and by the end of the last frame. */
  received: number;
  receivedWhole: number;
  /** Not sent yet. */
  groups: Group[];
  /**
   * Sent, not answered yet; oldest first, so that an answer is nearly always the first one's. No Map: one that is always added to and
   * taken from leaves a chain of tables that hold what was in it, and V8's young collections keep all of it.
   */
  outstanding: Frame[];
  asked: Asked[];
  wantsTopology: boolean;
};

export const createPodConnection = (options: PodConnectionOptions): PodConnection => {
  const { member, clock } = options;
  const line = newLine(options);
  return {
    member,
    submit: (operation, shard) => {
      const error = line.retired ? cannotReach(line, "it is gone") : downError(line);
      if (error !== undefined) {
        options.failed(operation, { error, sent: false, member });
        return;
      }
      append(line, operation, shard);
      if (line.connection === undefined) open(line);
      else flushSoon(line);
    },
    report: async () => {
      const error = downError(line);
      if (error !== undefined) throw error;
      return new Promise((resolve, reject) => {
        line.asked.push({ resolve, reject });
        line.connection?.send(encodeMessage({ kind: "ask" }));
        open(line);
      });
    },
    wantTopology: () => {
      wantTopology(line);
    },
    dial: () => {
      if (mayDial(line)) open(line);
    },
    askTopology: () => {
      if (!mayDial(line)) return;
      line.wantsTopology = line.connection === undefined;
      wantTopology(line);
      open(line);
    },
    isSilent: (forMs) => isSilent(line, forMs),
    giveUpOvertaken: (isOver, forMs) => {
      giveUpOvertaken(line, isOver, forMs);
    },
    giveUpReads: (forMs) => {
      giveUpReads(line, forMs);
    },
    dropIfSilent: (forMs) => {
      if (isSilent(line, forMs)) broken(line, cannotReach(line, `nothing was heard of it for ${forMs} ms`));
    },
    retire: () => {
      line.retired = true;
      closeIfRetired(line);
      // One that answers no more is not waited for.
      clock.after(retireMsMax, () => {
        broken(line, cannotReach(line, "it is gone"));
      });
    },
    close: (reason) => {
      line.retired = true;
      broken(line, reason);
    },
  };
};

const newLine = (options: PodConnectionOptions): Line => ({
  options,
  url: urlOf(options.member.address),
  connection: undefined,
  dialling: false,
  failures: 0,
  downUntilMs: 0,
  downReason: undefined,
  retired: false,
  flushing: false,
  nextId: 1,
  heardMs: 0,
  received: 0,
  receivedWhole: 0,
  groups: [],
  outstanding: [],
  asked: [],
  wantsTopology: false,
});

/** Where a shard process takes clients. */
export const urlOf = ({ host, client }: Member["address"]): string =>
  `ws://${host.includes(":") ? `[${host}]` : host}:${client}`;

export const cannotReach = ({ options, url }: Line, why: string): EdisError =>
  new EdisError("unreachable", `Cannot reach ${options.member.pod} at ${url}: ${why}`);

const downError = (line: Line): EdisError | undefined =>
  line.connection === undefined && !line.dialling && line.options.clock.nowMs() < line.downUntilMs
    ? (line.downReason ?? cannotReach(line, "it could not be reached a moment ago"))
    : undefined;

const mayDial = (line: Line): boolean => !line.retired && downError(line) === undefined;

const open = (line: Line): void => {
  if (line.connection !== undefined || line.dialling) return;
  const { options, url } = line;
  line.dialling = true;
  options.network
    .dial({
      ...options,
      url,
      role: "client",
      cluster: options.clusterId,
      to: options.member.pod,
      token: null,
      timeoutMs: dialMsMax,
      frameBytesMax,
      opened: (opened) => {
        line.dialling = false;
        line.connection = opened;
        line.heardMs = options.clock.nowMs();
        line.receivedWhole = opened.receivedBytes();
        if (line.wantsTopology) wantTopology(line);
        line.wantsTopology = false;
        for (const _ of line.asked) opened.send(encodeMessage({ kind: "ask" }));
        flushSoon(line);
        return {
          message: (frame) => {
            if (line.connection === opened) receive(line, frame);
          },
          drained: () => {
            flush(line);
          },
          closed: () => {
            if (line.connection === opened) broken(line, cannotReach(line, "it closed the connection"));
          },
        };
      },
    })
    .catch((error: unknown) => {
      line.dialling = false;
      down(line, error instanceof EdisError ? error : cannotReach(line, messageOf(error)));
    });
};

/** It cannot be used: everything under way fails, and it is left alone for a while. */
const down = (line: Line, error: EdisError): void => {
  const { clock, random } = line.options;
  line.failures++;
  line.downUntilMs = clock.nowMs() + backoffMs(redial, line.failures, random());
  line.downReason = error;
  broken(line, error);
};

/** Everything under way fails: what was sent may have been applied, what was queued was not. */
const broken = (line: Line, error: EdisError): void => {
  const { member, failed } = line.options;
  const { connection, outstanding, groups, asked } = line;
  line.connection = undefined;
  line.outstanding = [];
  line.groups = [];
  line.asked = [];
  connection?.cut();
  for (const frame of outstanding) {
    for (const operation of frame.operations)
      if (operation.frame === frame) failed(operation, { error, sent: true, member });
  }
  for (const { operations } of groups) {
    for (const operation of operations)
      if (!operation.finished) failed(operation, { error, sent: false, member });
  }
  for (const { reject } of asked) reject(error);
};

const receive = (line: Line, bytes: Uint8Array): void => {
  const { options } = line;
  line.heardMs = options.clock.nowMs();
  line.receivedWhole = line.connection?.receivedBytes() ?? 0;
  try {
    if (isControl(bytes)) heed(line, decodeMessage(toClientSchema, bytes));
    else settle(line, bytes);
    line.failures = 0;
  } catch (error) {
    if (!(error instanceof EdisError)) throw error;
    options.logger.warn(
      { pod: options.member.pod, reason: error.message },
      "the pod sent what cannot be read",
    );
    line.connection?.close(error);
    down(line, error);
  }
};

const heed = (line: Line, message: ToClient): void => {
  const { member, logger, told } = line.options;
  switch (message.kind) {
    case "report":
      line.asked.shift()?.resolve(message.report);
      closeIfRetired(line);
      return;
    case "failure":
      logger.debug({ pod: member.pod, reason: message.message }, "the pod ends the connection");
      return;
    case "topology":
    case "change":
    case "leaving":
      told(message, member, () => {
        wantTopology(line);
      });
  }
};

const settle = (line: Line, bytes: Uint8Array): void => {
  const { replied, member } = line.options;
  const { id, results } = decodeReplies(bytes);
  const at = line.outstanding.findIndex((one) => one.id === id);
  const frame = line.outstanding[at];
  if (frame === undefined)
    throw new EdisError("bad-message", `Cannot read a reply: nothing was asked as ${id}`);
  const { operations } = frame;
  const fits =
    results.length === operations.length &&
    results.every(
      ({ kind }, i) => kind === "error" || kind === expectedResult[operations[i]?.request.kind ?? "get"],
    );
  if (!fits)
    throw new EdisError("bad-message", "Cannot read a reply: its results are not what was asked for");
  line.outstanding.splice(at, 1);
  for (const [i, result] of results.entries()) {
    const operation = operations[i];
    if (operation?.frame === frame) replied(operation, result, member);
  }
  if (line.groups.length > 0) flush(line);
  closeIfRetired(line);
};

const flushSoon = (line: Line): void => {
  if (line.flushing) return;
  line.flushing = true;
  line.options.clock.soon(() => {
    line.flushing = false;
    flush(line);
  });
};

const flush = (line: Line): void => {
  const { connection } = line;
  while (
    connection?.isOpen() === true &&
    line.outstanding.length < outstandingFramesMax &&
    connection.unsentBytes() < unsentBytesSoftMax
  ) {
    const group = line.groups.shift();
    if (group === undefined) break;
    const operations = group.operations.filter(({ finished }) => !finished);
    if (operations.length === 0) continue;
    const { shard, epoch } = group;
    const id = line.nextId++;
    const frame: Frame = { id, shard, epoch, operations, sentMs: line.options.clock.nowMs() };
    connection.send(encodeRequests({ id, shard, epoch, requests: operations.map(({ request }) => request) }));
    for (const operation of operations) operation.frame = frame;
    line.outstanding.push(frame);
  }
  closeIfRetired(line);
};

const closeIfRetired = (line: Line): void => {
  const { retired, outstanding, groups, asked, connection } = line;
  if (!retired || outstanding.length > 0 || groups.length > 0 || asked.length > 0) return;
  line.connection = undefined;
  connection?.close();
};

const wantTopology = ({ connection }: Line): void => {
  connection?.send(encodeMessage({ kind: "watch" }));
};

const append = ({ groups, options }: Line, operation: Operation, { id, epoch }: Shard): void => {
  const last = groups.at(-1);
  if (
    last?.shard === id &&
    last.epoch === epoch &&
    last.operations.length < operationsPerFrameMax &&
    last.bytes + operation.bytes <= frameBytesAim &&
    !operation.alone
  ) {
    last.operations.push(operation);
    last.bytes += operation.bytes;
  } else {
    const sinceMs = options.clock.nowMs();
    groups.push({
      shard: id,
      epoch,
      sinceMs,
      bytes: operation.alone ? frameBytesAim : operation.bytes,
      operations: [operation],
    });
  }
};
