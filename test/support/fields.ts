import { epoch, mapVersion } from "../../core/ids.ts";
import type { Register, Report } from "../../core/message.ts";
import type { Shard, Topology } from "../../core/topology.ts";
import type { Ownership } from "../../operator/plan/model.ts";

/** What messages and shards say where a test is about something else. */
export const shardFields = {
  ...{ inSync: [], syncSeq: 0, phase: { kind: "stable" }, mapVersion: mapVersion(1) },
} as const satisfies Partial<Shard>;
export const topologyFields = { mapVersion: mapVersion(1), moves: [] } as const satisfies Partial<Topology>;
export const registerFields = {
  uid: "",
  startedAtMs: 0,
  ended: [],
  had: [],
} as const satisfies Partial<Register>;
export const reportFields = { seq: 0, promised: null, topology: null } as const satisfies Partial<Report>;
/** Of an owner's `serving`. */
export const owningFields: Pick<
  Extract<Report["serving"], { kind: "owner" }>,
  "kind" | "sync" | "frozen" | "moves"
> = { kind: "owner", sync: { seq: 0, members: [] }, frozen: null, moves: [] };
export const ownershipFields = {
  ...{ moves: [], lastMove: 0, rebalance: null, epochFloor: epoch(0), processes: [] },
} as const satisfies Partial<Ownership>;
