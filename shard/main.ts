import { randomBytes } from "node:crypto";
import { systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { createLogger } from "../core/logger.ts";
import { systemNetwork } from "../net/network.ts";
import { readConfig } from "./config.ts";
import { systemDisk } from "./log/disk.ts";
import { startShard } from "./run.ts";
import { expectDetached } from "./store/collect.ts";

/** The shard program: `EDIS_…` in the environment (config.ts), logs to standard error, ends cleanly at SIGTERM. */
const main = async (): Promise<void> => {
  expectDetached();
  const config = readConfig(process.env);
  const incarnation = randomBytes(8).toString("hex");
  const logger = createLogger(config.logLevel, { pod: config.pod, incarnation });
  process.on("uncaughtException", (error) => {
    // A broken promise of ours: what is in memory cannot be trusted any more.
    logger.error({ error }, "failed: ending");
    process.exit(1);
  });
  const random = (): number => randomBytes(4).readUInt32BE() / 2 ** 32;
  const failed = (error: unknown): void => {
    logger.error({ error }, "the volume cannot be relied on: ending");
    process.exit(1);
  };
  const rim = { network: systemNetwork, disk: systemDisk, clock: systemClock, logger, random };
  const shard = await startShard(config, { ...rim, incarnation, failed });

  let ending = false;
  const end = (signal: string): void => {
    if (ending) return;
    ending = true;
    logger.info({ signal }, "ending");
    // A person at the terminal, and the end of who keeps the process, mean that it is to be gone now.
    const handsOver = signal === "SIGTERM";
    const endMs = endMsMax + (handsOver ? config.handoverMs : 0);
    systemClock.after(endMs, () => {
      logger.error({}, `not ended within ${endMs} ms: leaving as it is`);
      process.exit(0);
    });
    shard.end({ handsOver }).then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ error }, "failed to end cleanly");
        process.exit(1);
      },
    );
  };
  if (process.env["EDIS_PARENT_PIPE"] === "1") {
    // A local process must not outlive who started it, not even after a SIGKILL: that ends this pipe.
    process.stdin.on("close", () => {
      end("the end of its parent");
    });
    process.stdin.resume();
  }
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
};

/** Whatever happens, the process is gone after this, and what a handover takes. */
const endMsMax = 4_900;

main().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exit(1);
});
