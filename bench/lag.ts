import { setTimeout as sleep } from "node:timers/promises";
import { connectToShard, get, session, set, type ShardClient } from "../test/support/shardClient.ts";
import { startPair } from "../test/support/shardPair.ts";
import { spread } from "./support/spread.ts";

/**
 * How long after its acknowledgement a write is visible at the reader, under 20,000 writes a second to one writer with
 * one reader, measured from a client. Usage: node bench/lag.ts [seconds] [writes a second]
 */
const seconds = Number(process.argv[2] ?? 10);
const rate = Number(process.argv[3] ?? 20_000);
const value = new Uint8Array(100).fill(120);
const framesPerSecond = 200;

const main = async (): Promise<void> => {
  const pair = await startPair();
  const writer = await connectToShard(pair.writerAddress);
  const reader = await connectToShard(pair.readerAddress);
  const ended = new AbortController();
  const load = run(writer, ended.signal);
  await sleep(1_000);

  const lags: number[] = [];
  const reported: number[] = [];
  const end = performance.now() + seconds * 1_000;
  for (let i = 0; performance.now() < end; i++) {
    await writer.ask([set("probe", String(i))]);
    const acknowledged = performance.now();
    for (;;) {
      const [result] = await reader.ask([get("probe", { kind: "eventual", lagMsMax: 60_000 })]);
      if (result?.kind !== "value") throw new Error(`read failed: ${JSON.stringify(result)}`);
      reported.push(result.lagMs);
      if (result.value !== null && Number(new TextDecoder().decode(result.value)) >= i) break;
    }
    lags.push(performance.now() - acknowledged);
    await sleep(5);
  }
  // A session's read waits at the reader, so it takes one round trip.
  const sessions: number[] = [];
  for (let i = 0; i < 200; i++) {
    const [written] = await writer.ask([set("probe", "s")]);
    if (written?.kind !== "set") throw new Error("write failed");
    const from = performance.now();
    const [result] = await reader.ask([get("probe", session(written))]);
    if (result?.kind !== "value") throw new Error(`session read failed: ${JSON.stringify(result)}`);
    sessions.push(performance.now() - from);
    await sleep(5);
  }
  ended.abort();
  const { writes, tookMs } = await load;
  console.log(`writes a second: ${Math.round((writes / tookMs) * 1_000)} (wanted ${rate})`);
  console.log(`acknowledged -> visible at the reader, ms: ${spread(lags, "samples")}`);
  console.log(`session read after a write, ms:            ${spread(sessions, "samples")}`);
  console.log(`lag the reader reports, ms:                ${spread(reported, "samples")}`);
  await pair.stop();
};

const run = async (writer: ShardClient, signal: AbortSignal): Promise<{ writes: number; tookMs: number }> => {
  const perFrame = rate / framesPerSecond;
  const start = performance.now();
  let writes = 0;
  let failed: unknown;
  while (!signal.aborted) {
    while (writes < ((performance.now() - start) / 1_000) * rate) {
      const requests = Array.from({ length: perFrame }, (_, i) =>
        set(`key:${(writes + i) % 100_000}`, value),
      );
      writes += perFrame;
      writer.ask(requests).catch((error: unknown) => {
        failed = error;
      });
    }
    if (failed !== undefined) throw new Error("load failed", { cause: failed });
    await sleep(1);
  }
  return { writes, tookMs: performance.now() - start };
};

await main();
process.exit(0);
