import { connect, type Socket } from "node:net";

/** Speaks RESP over a raw socket and hands back replies as the bytes they came in. */
export type RespClient = {
  readonly socket: Socket;
  /** Sends one command (or several at once) and resolves to the raw replies, in order. */
  readonly send: (...commands: readonly (readonly (string | Buffer)[])[]) => Promise<Buffer[]>;
  readonly close: () => void;
};

export const encodeCommand = (args: readonly (string | Buffer)[]): Buffer =>
  Buffer.concat([
    Buffer.from(`*${args.length}\r\n`),
    ...args.flatMap((arg) => {
      const bytes = Buffer.from(arg as string, "latin1");
      return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")];
    }),
  ]);

export const respClient = async (port: number, host = "127.0.0.1"): Promise<RespClient> => {
  const socket = connect({ host, port, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  // Grows by doubling, so that a large reply is not copied once for each of its pieces.
  let received = Buffer.alloc(64 * 1024);
  let at = 0;
  let end = 0;
  const waiting: { readonly taken: (reply: Buffer) => void; readonly failed: (error: Error) => void }[] = [];
  socket.on("data", (chunk) => {
    if (end + chunk.length > received.length) {
      const held = end - at;
      const grown = Buffer.alloc(Math.max(received.length, (held + chunk.length) * 2));
      received.copy(grown, 0, at, end);
      received = grown;
      at = 0;
      end = held;
    }
    chunk.copy(received, end);
    end += chunk.length;
    while (waiting.length > 0) {
      const next = replyEnd(received.subarray(0, end), at);
      if (next === -1) return;
      // A copy: its room is written over.
      waiting.shift()?.taken(Buffer.from(received.subarray(at, next)));
      at = next;
    }
  });
  const fail = (): void => {
    for (const { failed } of waiting.splice(0)) failed(new Error("the connection ended"));
  };
  socket.on("error", fail);
  socket.on("close", fail);
  return {
    socket,
    send: (...commands) => {
      const replies = commands.map(
        () =>
          new Promise<Buffer>((taken, failed) => {
            waiting.push({ taken, failed });
          }),
      );
      socket.write(Buffer.concat(commands.map(encodeCommand)));
      return Promise.all(replies);
    },
    close: () => {
      socket.destroy();
    },
  };
};

/** The offset behind the reply at `start`, -1 where it is not whole. */
export const replyEnd = (bytes: Buffer, start: number): number => {
  const line = bytes.indexOf("\r\n", start);
  if (line === -1) return -1;
  const n = Number(bytes.toString("latin1", start + 1, line));
  switch (String.fromCharCode(bytes[start] ?? 0)) {
    case "$":
    case "=":
      if (n < 0) return line + 2;
      return bytes.length < line + 4 + n ? -1 : line + 4 + n;
    case "*":
    case "~":
    case "%": {
      const items = bytes[start] === 0x25 ? n * 2 : n;
      let at = line + 2;
      for (let i = 0; i < items && at !== -1; i++) at = replyEnd(bytes, at);
      return at;
    }
    default:
      return line + 2;
  }
};
