import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { PodRef } from "../core/topology.ts";
import type { Network } from "../net/network.ts";

/** Who this process is in its cluster, and by what it reaches others. */
export type ProcessContext = {
  readonly clusterId: string;
  readonly self: PodRef;
  readonly token: Uint8Array;
  readonly network: Pick<Network, "dial">;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
};
