import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { systemClock } from "../core/clock.ts";
import { epoch, shardId, version } from "../core/ids.ts";
import { createLogger } from "../core/logger.ts";
import { emptyHolding, type Holding } from "../shard/holding.ts";
import { createJournal } from "../shard/journal.ts";
import { systemDisk } from "../shard/log/disk.ts";
import type { Fsync, Log } from "../shard/log/log.ts";
import { usualLimits, type LogLimits } from "../shard/log/logLimits.ts";
import { openLog } from "../shard/log/open.ts";
import { createSegmentStore } from "../shard/store/segmentStore.ts";

/**
 * The log by itself: what it takes a second in each mode, how long a snapshot of many keys takes and how long it keeps the
 * event loop, and how fast a start loads it. 16-byte keys, 100-byte values. Usage: node bench/log.ts [keys] [folder] [load: without the appends]
 */
const keyCount = Number(process.argv[2] ?? 5_000_000);
const root = process.argv[3] ?? tmpdir();
const value = Buffer.alloc(100, 120);
const noSnapshots: LogLimits = {
  ...usualLimits,
  snapshotEveryBytes: Infinity,
  snapshotEveryShareMax: Infinity,
};

type Opened = { readonly log: Log; readonly holding: Holding; durable: number; wake: () => void };

const open = async (folder: string, mode: Fsync): Promise<Opened> => {
  const shard = shardId(0);
  const holding = emptyHolding(shard, createSegmentStore({ seed: { low: 1, high: 2 } }));
  const opened = { holding, durable: 0, wake: () => undefined };
  const log = await openLog({
    ...{ disk: systemDisk, folder, identity: { clusterId: "bench", shard }, holding },
    ...{ clock: systemClock, logger: createLogger("error", {}), fsync: () => mode, limits: noSnapshots },
    events: {
      durable: (through) => {
        opened.durable = through;
        opened.wake();
      },
      room: () => undefined,
      failed: (error) => {
        throw error;
      },
    },
  });
  return Object.assign(opened, { log });
};

const journal = createJournal();
const writeKey = (target: Uint8Array, n: number): void => {
  for (let at = 15, rest = n; at >= 4; at--, rest = Math.floor(rest / 10)) target[at] = 48 + (rest % 10);
};
const key = Buffer.from("key:000000000000");

/** Applies and appends so many sets, as one writer's turn does. */
const write = ({ holding, log }: Opened, count: number): void => {
  holding.epoch = epoch(1);
  holding.complete = true;
  for (let i = 0; i < count; i++) {
    holding.version = version(holding.version + 1);
    writeKey(key, holding.version % keyCount);
    holding.store.set(key, value, null);
    holding.bytes += journal.add(holding.epoch, holding.version, operation);
  }
  for (const batch of journal.take()) log.append(batch);
};
const operation = { kind: "set", key, value, expiresAtMs: null } as const;

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const seconds = (): number => performance.now() / 1000;

/** Seconds by the wall and of processor time, which says more where the machine has other work. */
const timed = async <T>(
  work: () => Promise<T>,
): Promise<{ result: T; wall: number; cpu: number; text: string }> => {
  const from = { at: seconds(), cpu: cpuSeconds() };
  const result = await work();
  const wall = seconds() - from.at;
  const cpu = cpuSeconds() - from.cpu;
  const rate = (took: number): string => (keyCount / took / 1e6).toFixed(2);
  const text = `${wall.toFixed(1)} s, ${rate(wall)} M/s (processor ${cpu.toFixed(1)} s, ${rate(cpu)} M/s)`;
  return { result, wall, cpu, text };
};
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    systemClock.soon(resolve);
  });

/** `perTurn` records a turn, and no more than eight turns ahead of what is durable. */
const appends = async (folder: string, mode: Fsync, perTurn: number): Promise<void> => {
  const opened = await open(`${folder}/append-${mode}-${perTurn}`, mode);
  const from = { at: seconds(), cpu: cpuSeconds() };
  let count = 0;
  while (seconds() - from.at < 3) {
    write(opened, perTurn);
    count += perTurn;
    await turn();
    while (count - opened.durable > perTurn * 8)
      await new Promise<void>((resolve) => {
        opened.wake = () => {
          resolve();
          return undefined;
        };
      });
  }
  const took = seconds() - from.at;
  const cpu = cpuSeconds() - from.cpu;
  await opened.log.close();
  console.log(
    `  ${mode}, ${perTurn} a turn: ${(count / took / 1e3).toFixed(0)} k records/s, ${((cpu / count) * 1e6).toFixed(2)} µs of processor each (store, encoding and log)`,
  );
};

const folder = await mkdtemp(`${root}/edis-bench-log-`);
try {
  console.log("append");
  for (const mode of ["never", "everysec", "always"] as const)
    for (const perTurn of process.argv[4] === "load" ? [] : [1, 50, 800])
      await appends(folder, mode, perTurn);

  console.log(`${(keyCount / 1e6).toFixed(1)} M keys`);
  const opened = await open(`${folder}/recovery`, "everysec");
  const filled = await timed(async () => {
    while (opened.holding.version < keyCount) {
      write(opened, 1000);
      await turn();
    }
    await opened.log.close();
  });
  console.log(`  filled: ${filled.text}`);
  const replayed = await timed(() => open(`${folder}/recovery`, "everysec"));
  console.log(`  start from the log alone: ${replayed.text}`);

  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const before = process.threadCpuUsage();
  const snapshot = await timed(() => replayed.result.log.snapshot());
  delay.disable();
  const main = process.threadCpuUsage(before);
  const { longestSnapshotTurnMs } = replayed.result.log.figures();
  console.log(`  snapshot: ${snapshot.text}; its longest turn ${longestSnapshotTurnMs.toFixed(1)} ms`);
  console.log(`  of the main thread ${((main.user + main.system) / keyCount).toFixed(2)} µs a key`);
  console.log(
    `  longest delay of the event loop meanwhile ${(delay.max / 1e6).toFixed(1)} ms, p99.9 ${(delay.percentile(99.9) / 1e6).toFixed(1)} ms`,
  );
  await replayed.result.log.close();

  const loaded = await timed(() => open(`${folder}/recovery`, "everysec"));
  console.log(`  start from the snapshot: ${loaded.text}; ${loaded.result.holding.store.keys()} keys`);
  await loaded.result.log.close();
} finally {
  await rm(folder, { recursive: true });
}
