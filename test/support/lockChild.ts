import { createLogger } from "../../core/logger.ts";
import { systemClock } from "../../core/clock.ts";
import { systemDisk } from "../../shard/log/disk.ts";
import { takeVolume } from "../../shard/taking.ts";

/** Takes the volume in the folder that its first argument names, says so, and keeps it until it is killed. */
const logger = createLogger("silent", {});
const [folder = ""] = process.argv.slice(2);
const { startedAtMs } = await takeVolume({
  ...{ disk: systemDisk, folder, uid: "child", clock: systemClock, logger },
});
process.stdout.write(`${startedAtMs}\n`);
process.stdin.resume();
