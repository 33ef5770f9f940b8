import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import type { Disk } from "./disk.ts";
import type { LogLimits } from "./logLimits.ts";

/** What the parts of a log work with. */
export type Setting = {
  readonly disk: Disk;
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: LogLimits;
};
