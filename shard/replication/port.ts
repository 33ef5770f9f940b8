import { decodeMessage, toSourceSchema, type Hello, type ImportSlots } from "../../core/message.ts";
import type { Connection, Handlers } from "../../net/connection.ts";

/** The replication port: who copies the shard goes to the publisher, who copies slots of it to the moves. Its first message says. */
export const sortedByFirst =
  (
    copies: (connection: Connection, hello: Hello) => Handlers,
    slots: (connection: Connection, asked: ImportSlots) => Handlers,
  ) =>
  (connection: Connection, hello: Hello): Handlers => {
    let chosen: Handlers | null = null;
    return {
      message: (frame) => {
        if (chosen !== null) {
          chosen.message(frame);
          return;
        }
        const first = decodeMessage(toSourceSchema, frame);
        if (first.kind === "import") {
          chosen = slots(connection, first);
          return;
        }
        chosen = copies(connection, hello);
        chosen.message(frame);
      },
      drained: () => chosen?.drained?.(),
      closed: () => chosen?.closed(),
    };
  };
