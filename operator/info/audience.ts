import { unsentBytesSoftMax } from "../../core/limits.ts";
import { encodeMessage } from "../../core/message.ts";
import type { Topology, TopologyChange } from "../../core/topology.ts";
import type { Connection } from "../../net/connection.ts";

/** Everybody who is told of one cluster's topology: a snapshot first, then each change. */
export type Audience = {
  readonly join: (connection: Connection) => void;
  readonly leave: (connection: Connection) => void;
  /** All that was queued for this connection has gone out. */
  readonly drained: (connection: Connection) => void;
  /** `change` leads from the topology told before to this one; null where there was none. */
  readonly tell: (topology: Topology, change: TopologyChange | null) => void;
};

/** Who holds the newest topology gets the change; who read too slowly gets a snapshot once he has caught up. */
export const createAudience = (): Audience => {
  const holdsNewest = new Map<Connection, boolean>();
  let newest: Topology | null = null;
  let snapshot: Uint8Array | null = null;

  const sendSnapshot = (connection: Connection): void => {
    if (newest === null) return;
    if (connection.unsentBytes() > unsentBytesSoftMax) return;
    snapshot ??= encodeMessage({ kind: "topology", topology: newest });
    holdsNewest.set(connection, true);
    connection.send(snapshot);
  };

  return {
    join: (connection) => {
      holdsNewest.set(connection, false);
      sendSnapshot(connection);
    },
    leave: (connection) => {
      holdsNewest.delete(connection);
    },
    drained: (connection) => {
      if (holdsNewest.get(connection) === false) sendSnapshot(connection);
    },
    tell: (topology, change) => {
      newest = topology;
      snapshot = null;
      const frame = change === null ? null : encodeMessage({ kind: "change", change });
      for (const [connection, current] of holdsNewest) {
        if (frame === null || !current) {
          sendSnapshot(connection);
        } else if (connection.unsentBytes() > unsentBytesSoftMax) {
          holdsNewest.set(connection, false);
        } else {
          connection.send(frame);
        }
      }
    },
  };
};
