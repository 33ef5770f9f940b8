import type { Logger } from "../core/logger.ts";
import {
  compareStamps,
  indexTopology,
  patched,
  type Topology,
  type TopologyChange,
  type TopologyIndex,
} from "../core/topology.ts";

/** The newest topology this process has heard of. It is never replaced by an older one, whoever offers it. */
export type TopologyKeeper = {
  readonly current: () => TopologyIndex | undefined;
  readonly offer: (topology: Topology) => void;
  /** False where the change does not start at the current topology: only a snapshot helps. */
  readonly offerChange: (change: TopologyChange) => boolean;
};

export type TopologyKeeperOptions = {
  readonly clusterId: string;
  readonly logger: Logger;
  readonly changed: (before: Topology | undefined, after: TopologyIndex) => void;
};

export const createTopologyKeeper = ({
  clusterId,
  logger,
  changed,
}: TopologyKeeperOptions): TopologyKeeper => {
  let current: TopologyIndex | undefined;

  const offer = (topology: Topology): void => {
    if (topology.clusterId !== clusterId) {
      logger.error({ offered: topology.clusterId }, "topology of another cluster: not taken");
      return;
    }
    const before = current?.topology;
    const order = before === undefined ? 1 : compareStamps(topology, before);
    if (order < 0)
      logger.warn({ term: topology.term, revision: topology.revision }, "older topology: not taken");
    if (order <= 0) return;
    current = indexTopology(topology, current);
    changed(before, current);
  };

  return {
    current: () => current,
    offer,
    offerChange: (change) => {
      // What is known already, from another instance perhaps, needs no snapshot.
      if (current !== undefined && compareStamps(change.to, current.topology) <= 0) return true;
      const after = current === undefined ? undefined : patched(current.topology, change);
      if (after === undefined) return false;
      offer(after);
      return true;
    },
  };
};
