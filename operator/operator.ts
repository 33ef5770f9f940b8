import type { Clock } from "../core/clock.ts";
import type { Term } from "../core/ids.ts";
import type { Logger } from "../core/logger.ts";
import type { PodRef } from "../core/topology.ts";
import type { Network } from "../net/network.ts";
import { startController } from "./controller.ts";
import { startInfo, type Info, type Leader } from "./info/info.ts";
import type { Platform } from "./platform.ts";

export type OperatorOptions = {
  readonly platform: Platform;
  readonly self: PodRef;
  readonly host: string;
  /** 0 takes any free port. */
  readonly infoPort: number;
  readonly httpPort: number;
  readonly network: Network;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
};

export type Leadership = {
  readonly term: Term;
  /** Whether it is this process's at this very moment, by its own clock: a process that was away finds out here. */
  readonly isHeld: () => boolean;
};

/** One operator process: the info instance and, while it leads, the controller. */
export type Operator = {
  readonly info: Info;
  /** Reconciles, publishes and grants in this term until the signal is aborted; then stands by. Resolves when nothing of it runs any more. */
  readonly lead: (leadership: Leadership, signal: AbortSignal) => Promise<void>;
  /** While standing by: sends whoever calls to this leader. Null where none is known. */
  readonly follow: (leader: Leader | null) => void;
  readonly close: () => Promise<void>;
};

/** Opens the ports and stands by until told to lead. Rejects where a port is taken. */
export const startOperator = async (options: OperatorOptions): Promise<Operator> => {
  const { platform, clock, logger, random } = options;
  const info = await startInfo(options);
  return {
    info,
    lead: async ({ term, isHeld }, signal) => {
      info.lead(term, isHeld);
      try {
        await startController({ platform, info, clock, logger, random, signal });
      } finally {
        info.follow(null);
      }
    },
    follow: info.follow,
    close: info.close,
  };
};
