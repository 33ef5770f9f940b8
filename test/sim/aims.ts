import type { ShardCluster } from "../../operator/shardCluster.ts";
import { clusterOf } from "../support/planWorld.ts";
import type { Fault, FaultKind } from "./faults.ts";
import { scenarioOf, type Scenario } from "./simulate.ts";

type Durable = {
  readonly writers?: number;
  readonly leaseSeconds?: number;
  readonly minInSync?: number;
  readonly acks?: "inSync" | "owner";
  readonly fsync?: "always" | "everysec";
};

/** Shards, one where nothing else is said, whose every acknowledged write is on two volumes. */
export const inSyncCluster = (
  readers: number,
  { writers = 1, leaseSeconds = 1, minInSync = 1, acks = "inSync", fsync = "always" }: Durable = {},
): ShardCluster => {
  const { spec, ...rest } = clusterOf(writers, readers);
  return {
    ...rest,
    spec: {
      ...spec,
      storage: { ephemeral: false, size: "1Gi", storageClassName: "", whenDeleted: "Retain" },
      durability: { fsync, acks, minInSync },
      failover: { ...spec.failover, leaseSeconds },
    },
  };
};

export const fault = (kind: FaultKind, atMs: number, forMs: number): Fault => ({ kind, atMs, forMs });

/** Scenarios that come back to one situation again and again, for what random ones rarely meet; by name, for mutants. */
const aims: Readonly<Record<string, (seed: number) => Partial<Scenario>>> = {
  // An owner on an island with some of its clients, while another takes its place.
  island: () => story([fault("islandOwner", 100, 4_500)], { readers: 2 }),
  islandForGood: () => story([fault("islandForGood", 100, 3_500)]),
  longLease: () => story([fault("islandForGood", 100, 4_500)], { leaseSeconds: 3 }),
  leader: () => ({
    ...story([fault("ownerAndLeaderIsland", 100, 14_000)]),
    ...{ operators: 2, chaosMs: 14_500 },
  }),
  lateGrants: () => story([fault("lateGrants", 100, 4_500)]),
  bootSilence: () => story([fault("restartBesideIsland", 100, 4_000)]),
  unrecorded: () => story([fault("restartUnrecorded", 100, 4_500)]),
  forgotten: () => ({
    ...story([fault("forgottenGrants", 100, 7_000)], { leaseSeconds: 5 }),
    chaosMs: 7_500,
  }),
  handover: () => story([fault("handoverIsland", 100, 3_000)]),
  // What was acknowledged by the owner alone is handed over whole, however deaf the other side is.
  deafHeirs: () => ({
    ...story([fault("deafHeirs", 200, 3_000)], { acks: "owner" }),
    keepsAll: true,
  }),
  // No write may be acknowledged while no reader is there.
  short: () => ({
    ...story([fault("readersAway", 100, 4_000)], { minInSync: 1 }),
    refusesWritesMs: [1_600, 4_000] as const,
  }),
  deafReaders: () => loss("deafReaders", 1_500),
  unrecordedShrink: () => loss("unrecordedShrink", 3_000),
  slowReaders: () => loss("slowReaders", 4_500),
  ownersInTurn: () => loss("ownersInTurn", 2_500, { readers: 2 }),
  slowHeir: () => loss("slowHeir", 4_500, { readers: 2 }),
  sameEpoch: () => loss("sameEpoch", 2_000, { fsync: "everysec" }),
  laggardAlone: () => loss("laggardAlone", 4_000, { readers: 2 }),
  formerOwnerAsks: () => ({ ...loss("formerOwnerAsks", 5_000, { readers: 2 }), watches: true }),
  laggingReaders: () => loss("laggingReaders", 1_200, { readers: 2, acks: "owner" }),
};

export const aimNames: readonly string[] = Object.keys(aims);

/** Whoever takes the owner's place may go on alone. */
const story = (
  faults: readonly Fault[],
  { readers = 1, ...how }: { readonly readers?: number } & Durable = {},
): Partial<Scenario> => ({
  ...{
    cluster: inSyncCluster(readers, { minInSync: 0, ...how }),
    operators: 1,
    clients: 4,
    thinkMs: 30,
    chaosMs: 5_000,
  },
  ...{ watches: true, faults },
});

/** All that time, and then everything is mended. */
const loss = (
  kind: FaultKind,
  forMs: number,
  how: { readonly readers?: number } & Durable = {},
): Partial<Scenario> => ({
  ...story([fault(kind, 50, forMs)], how),
  ...{ thinkMs: 15, chaosMs: forMs, watches: false },
});

export const aimed = (aim: string, seed: number): Scenario => {
  if (aim === "") return scenarioOf(seed);
  const made = aims[aim];
  if (made === undefined)
    throw new Error(`There is no aim ${aim}; there are ${Object.keys(aims).join(", ")}`);
  return scenarioOf(seed, made(seed));
};
