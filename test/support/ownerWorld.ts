import { epoch, mapVersion, revision, shardId, slot, term, version } from "../../core/ids.ts";
import type { Report } from "../../core/message.ts";
import type { Phase, Shard } from "../../core/topology.ts";
import type {
  Observed,
  OwnerProcess,
  Ownership,
  Plan,
  Session,
  ShardMemory,
} from "../../operator/plan/model.ts";
import { plan } from "../../operator/plan/plan.ts";
import { clusterOf, observedOf, podOf, reading, sessionOf, type SessionFields } from "./planWorld.ts";
import { owningFields } from "./fields.ts";

/** One shard, owned by demo-write-0 in epoch 3, that demo-read-0 and demo-read-1 follow. */
export const cluster = clusterOf(1, 2);
/** The same on volumes that are meant to last. */
export const lasting = {
  ...cluster,
  spec: {
    ...cluster.spec,
    storage: { ephemeral: false, size: "1Gi", storageClassName: "", whenDeleted: "Retain" },
  },
} as const;
export const writer = "demo-write-0";
export const [reader0, reader1] = ["demo-read-0", "demo-read-1"] as const;

export const shardWith = (fields: Partial<Shard> = {}): Shard => ({
  ...{ id: shardId(0), epoch: epoch(3), owner: { pod: writer, incarnation: "first" } },
  ...{ inSync: [reader0, reader1], syncSeq: 4, phase: { kind: "stable" } },
  ...{ slots: [[slot(0), slot(16_383)]], mapVersion: mapVersion(1) },
  ...fields,
});
export const ownershipWith = (shard: Shard, process: Partial<OwnerProcess> = {}): Ownership => ({
  ...{ clusterId: "uid-1", mapVersion: mapVersion(1), shards: [shard] },
  assignments: [reader0, reader1].map((pod) => ({ pod, shard: shardId(0) })),
  ...{ moves: [], lastMove: 0, rebalance: null, epochFloor: epoch(0) },
  processes: [
    {
      ...{ shard: shardId(0), epoch: shard.epoch, uid: `uid of ${shard.owner?.pod ?? ""}` },
      ...{ startedAtMs: 1_000, held: { epoch: epoch(2), version: version(5) }, ...process },
    },
  ],
});

export const fencing: Phase = { kind: "fencing", epoch: epoch(4) };
export const handoverTo = (pod: string, incarnation = "first"): Phase => ({
  kind: "handover",
  to: { pod, incarnation },
});

type Owning = Extract<Report["serving"], { kind: "owner" }>;
/** The owner's session; it says what the topology has recorded, if nothing else is said. */
export const ownerSaying = (
  says: Partial<Owning> = {},
  fields: SessionFields & { pod?: string } = {},
): Session =>
  sessionOf(fields.pod ?? writer, {
    version: 9,
    ...fields,
    serving: {
      ...{
        ...owningFields,
        shard: shardId(0),
        epoch: epoch(3),
        sync: { seq: 4, members: [reader0, reader1] },
      },
      ...says,
    },
  });
/** A follower that streams, as of version 9 of epoch 3. */
export const following = (
  pod: string,
  fields: SessionFields & { readonly heardMs?: number | null; readonly at?: number } = {},
): Session =>
  sessionOf(pod, {
    version: 9,
    ...fields,
    serving: {
      ...{ kind: "reader", shard: shardId(0), epoch: epoch(fields.at ?? 3), state: "streaming" },
      ...{ copied: 0, copyTotal: 0, lag: { versions: 0, bytes: 0, ms: 0 } },
      heardMs: fields.heardMs === undefined ? 5_000 : fields.heardMs,
    },
  });
/** Another start of the owner's pod, which found the shard on its volume as of epoch 3. */
export const again = (at: number, fields: SessionFields = {}): Session =>
  sessionOf(writer, {
    ...{ incarnation: "second", version: at, serving: reading(0, "connecting", 0, 3) },
    ...fields,
  });
/** One that follows nobody any more, as it has promised epoch 4. */
export const promising = (
  pod: string,
  leftMs = 0,
  fields: SessionFields & { readonly at?: number } = {},
): Session => following(pod, { ...fields, promised: { shard: shardId(0), epoch: epoch(4), leftMs } });

export const remembering = (memory: Partial<ShardMemory>): Pick<Observed, "memory"> => ({
  memory: new Map([
    [shardId(0), { grantMs: Infinity, phaseMs: 10_000, abortedMs: Infinity, told: null, ...memory }],
  ]),
});
export const stampOf = (n: number): NonNullable<Report["topology"]> => ({
  term: term(1),
  revision: revision(n),
});
/** The owner went away so long ago. */
export const gone = (goneMs: number, incarnation = "first", pod = writer): Pick<Observed, "departed"> => ({
  departed: [{ pod, incarnation, goneMs }],
});
export const dead: Pick<Observed, "pods"> = {
  pods: [{ ...podOf(writer), deadBeforeMs: 1_001 }, podOf(reader0), podOf(reader1)],
};

/** What is planned where this is stored and seen. */
export const planned = (
  shard: Shard,
  seen: Partial<Observed> = {},
  process: Partial<OwnerProcess> = {},
): Plan =>
  plan(
    observedOf(cluster, {
      ownership: ownershipWith(shard, process),
      workload: { writers: 1, readers: 2 },
      pods: [writer, reader0, reader1].map((pod) => podOf(pod)),
      ...seen,
    }),
  );
export const shardOf = ({ ownership: { shards } }: Plan): Shard => {
  const [shard] = shards;
  if (shard === undefined) throw new Error("there is no shard");
  return shard;
};
/** Epoch, owner, its incarnation, phase. */
export const stateOf = (after: Plan): readonly unknown[] => {
  const { epoch: at, owner, phase } = shardOf(after);
  return [at, owner?.pod, owner?.incarnation, phase.kind];
};
export const troublesOf = ({ troubles }: Plan): readonly string[] => troubles.map(({ reason }) => reason);
export const reasonsOf = ({ events }: Plan): readonly string[] => events.map(({ reason }) => reason);
