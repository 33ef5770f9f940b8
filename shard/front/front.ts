import { EdisError } from "../../core/errors.ts";
import {
  decodeMessage,
  encodeMessage,
  fromClientSchema,
  isControl,
  type Report,
} from "../../core/message.ts";
import { decodeRequests } from "../../core/requestDecoder.ts";
import { encodeReplies } from "../../core/requestEncoder.ts";
import { difference, type Topology, type TopologyIndex } from "../../core/topology.ts";
import type { Connection, Handlers } from "../../net/connection.ts";
import { countResults, type Counters } from "../counters.ts";
import type { Digests } from "../digests.ts";
import type { Waiter } from "../role.ts";
import type { Roles } from "../roles.ts";
import type { Parked } from "../parked.ts";
import { frozen, route } from "../route.ts";

/** The client port: requests, the topology for those who watch it, reports for those who ask. */
export type Front = {
  readonly opened: (connection: Connection) => Handlers;
  /** Tells those who watch. */
  readonly topologyChanged: (before: Topology | undefined, after: Topology) => void;
  /** Tells everybody that this process ends soon. */
  readonly leaving: () => void;
  /** Answers no more: sends what is queued and closes. */
  readonly close: () => void;
};

export type FrontOptions = {
  readonly roles: Roles;
  readonly counters: Counters;
  /** Where requests wait whose slots are frozen. */
  readonly parked: Parked;
  readonly topology: () => TopologyIndex | undefined;
  readonly report: () => Report;
  readonly digests: Digests;
};

export const createFront = (options: FrontOptions): Front => {
  const { topology, report, digests } = options;
  const connections = new Set<Connection>();
  const watching = new Set<Connection>();
  let isClosed = false;

  const control = (connection: Connection, frame: Uint8Array): void => {
    const message = decodeMessage(fromClientSchema, frame);
    switch (message.kind) {
      case "watch": {
        watching.add(connection);
        const known = topology()?.topology;
        // Before the first one there is nothing to send; it follows when it comes.
        if (known !== undefined) connection.send(encodeMessage({ kind: "topology", topology: known }));
        return;
      }
      case "ask":
        connection.send(encodeMessage({ kind: "report", report: report() }));
        return;
      case "digest":
        digests.ask({
          asked: message,
          isWanted: connection.isOpen,
          answer: (told) => {
            connection.send(encodeMessage(told));
          },
        });
        return;
      case "plan":
        throw new EdisError("wrong-role", "Cannot plan: this is a shard; ask an info instance");
    }
  };

  const tell = (to: ReadonlySet<Connection>, message: Parameters<typeof encodeMessage>[0]): void => {
    if (to.size === 0) return;
    const frame = encodeMessage(message);
    for (const connection of to) connection.send(frame);
  };

  return {
    opened: (connection) => {
      connections.add(connection);
      return {
        message: (frame) => {
          if (isClosed) return;
          if (isControl(frame)) control(connection, frame);
          else request(options, connection, frame);
        },
        closed: () => {
          connections.delete(connection);
          watching.delete(connection);
        },
      };
    },
    topologyChanged: (before, after) => {
      tell(
        watching,
        before === undefined
          ? { kind: "topology", topology: after }
          : { kind: "change", change: difference(before, after) },
      );
    },
    leaving: () => {
      tell(connections, { kind: "leaving" });
    },
    close: () => {
      isClosed = true;
      for (const connection of connections)
        connection.close(
          new EdisError("shutting-down", "Cannot go on: this process ends; fetch the topology again"),
        );
    },
  };
};

const request = (
  { roles, counters, parked }: FrontOptions,
  connection: Connection,
  bytes: Uint8Array,
): void => {
  const frame = decodeRequests(bytes);
  const { id, requests } = frame;
  const waiter: Waiter = {
    frame,
    results: [],
    missing: requests.length,
    done: (results) => {
      countResults(counters, requests, results);
      connection.send(encodeReplies({ id, results }));
    },
  };
  const answer = (isLast: boolean): boolean => {
    const standing = roles.standing();
    const refused = requests.map((one) => route(standing, frame, one));
    if (!isLast && refused.includes(frozen)) return false;
    roles.answer(waiter, refused);
    return true;
  };
  if (!answer(false)) parked.park({ bytes: bytes.length, answer });
};
