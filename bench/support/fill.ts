import { once } from "node:events";
import { connect } from "node:net";
import { slotOf } from "../../core/slot.ts";

/** `key:000000000042`, as redis-benchmark has them. */
export const keyText = (n: number): string => `key:${String(n).padStart(12, "0")}`;

const setText = (n: number, value: string): string =>
  `*3\r\n$3\r\nSET\r\n$16\r\n${keyText(n)}\r\n$${value.length}\r\n${value}\r\n`;

const perBatch = 1_000;
const batchesUnderWayMax = 8;

/** Writes keys `from` to `to` (not included), in order, at full speed. */
export const fill = (
  port: number,
  range: { readonly from: number; readonly to: number; readonly valueBytes?: number },
): Promise<void> => {
  const value = "x".repeat(range.valueBytes ?? 100);
  return pipeline(port, range, (n) => setText(n, value));
};

/** Writes keys 0 to `keys` (not included) to the members of a cluster, each to the one that has its slot. */
export const fillCluster = async (
  keys: number,
  portOf: (slot: number) => number,
  valueBytes = 100,
): Promise<void> => {
  const value = "x".repeat(valueBytes);
  const byPort = new Map<number, number[]>();
  for (let n = 0; n < keys; n++) {
    const port = portOf(slotOf(Buffer.from(keyText(n))));
    const numbers = byPort.get(port);
    if (numbers === undefined) byPort.set(port, [n]);
    else numbers.push(n);
  }
  await Promise.all(
    [...byPort].map(([port, numbers]) =>
      pipeline(port, { from: 0, to: numbers.length }, (i) => setText(numbers[i] ?? 0, value)),
    ),
  );
};

/** Deletes of each ten keys nine. */
export const deleteNineOfTen = (port: number, keys: number): Promise<void> =>
  pipeline(port, { from: 0, to: (keys / 10) * 9 }, (n) => {
    const key = keyText(Math.floor(n / 9) * 10 + (n % 9) + 1);
    return `*2\r\n$3\r\nDEL\r\n$16\r\n${key}\r\n`;
  });

/** Sends a command for each number and waits for its reply, which has to be one line. Rejects with an error reply. */
const pipeline = async (
  port: number,
  { from, to }: { readonly from: number; readonly to: number },
  commandOf: (n: number) => string,
): Promise<void> => {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(socket, "connect");
  let sent = from;
  let answered = from;
  await new Promise<void>((resolve, reject) => {
    const goOn = (): void => {
      while (sent < to && sent - answered < batchesUnderWayMax * perBatch) {
        let batch = "";
        for (const end = Math.min(to, sent + perBatch); sent < end; sent++) batch += commandOf(sent);
        socket.write(batch, "latin1");
      }
      if (answered === to) resolve();
    };
    socket.on("data", (bytes) => {
      if (bytes.includes("-")) reject(new Error(`Cannot fill: ${bytes.toString("latin1", 0, 200)}`));
      for (const byte of bytes) if (byte === 10) answered++;
      goOn();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      reject(new Error("Cannot fill: the connection ended"));
    });
    goOn();
  });
  socket.destroy();
};
