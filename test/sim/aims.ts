import { clusterOf } from "../support/planWorld.ts";
import { scenarioOf, type Scenario } from "./simulate.ts";

/** Scenarios that come back to one situation again and again, for what random ones rarely meet. */
export const aimed = (aim: string, seed: number): Scenario => {
  switch (aim) {
    // An owner on an island with some of its clients, while another takes its place.
    case "island": {
      const { spec, ...rest } = clusterOf(1, 2);
      const cluster = {
        ...rest,
        spec: {
          ...spec,
          storage: { ephemeral: false, size: "1Gi", storageClassName: "", whenDeleted: "Retain" } as const,
          durability: { fsync: "always", acks: "inSync", minInSync: 1 } as const,
          failover: { ...spec.failover, leaseSeconds: 1 },
        },
      };
      return scenarioOf(seed, {
        ...{ cluster, operators: 1, clients: 4, thinkMs: 30, chaosMs: 5_000 },
        faults: [{ kind: "islandOwner", atMs: 100, forMs: 4_500 }],
      });
    }
    default:
      return scenarioOf(seed);
  }
};
