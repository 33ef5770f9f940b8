import { createHash } from "node:crypto";
import {
  ownerOf,
  type Member,
  type Shard,
  type SlotRange,
  type TopologyIndex,
} from "../../../core/topology.ts";

/** The cluster as Redis Cluster's clients know one: a master with its slots, and its replicas. */
export type Group = {
  readonly shard: Shard;
  readonly master: Node | null;
  readonly replicas: readonly Node[];
};
export type Node = {
  readonly id: string;
  readonly member: Member;
  /** In the rotation; a replica that is not is not shown to clients that route by it. */
  readonly isServing: boolean;
};

/** 40 hexadecimal digits that a pod keeps for as long as its cluster lives, whichever process runs in it. */
export const nodeId = (clusterId: string, pod: string): string =>
  createHash("sha1").update(`${clusterId}/${pod}`).digest("hex");

export const groupsOf = (index: TopologyIndex | undefined): readonly Group[] => {
  if (index === undefined) return [];
  const { shards, members, clusterId } = index.topology;
  const nodeOf = (member: Member): Node => ({
    id: nodeId(clusterId, member.pod),
    member,
    isServing: member.state === "serving",
  });
  return shards.map((shard) => {
    const owner = ownerOf(index, shard.id);
    const readers = members.filter((member) => member.shard === shard.id && member.pod !== shard.owner?.pod);
    return { shard, master: owner === undefined ? null : nodeOf(owner), replicas: readers.map(nodeOf) };
  });
};

/** `0-5460`, or `7` where it is one slot. */
export const rangeText = ([from, to]: SlotRange): string => (from === to ? `${from}` : `${from}-${to}`);

/** One line of CLUSTER NODES. Nothing speaks Redis's cluster bus here: the replication port stands in its place. */
export const nodeLine = (
  { id, member, isServing }: Node,
  role: { readonly master: Node | null; readonly shard: Shard; readonly isSelf: boolean },
): string => {
  const { host, resp, replication } = member.address;
  const isMaster = role.master?.id === id;
  const flags = `${role.isSelf ? "myself," : ""}${isMaster ? "master" : "slave"}`;
  const slots = isMaster ? role.shard.slots.map(rangeText) : [];
  return [
    id,
    `${host}:${resp}@${replication}`,
    isServing || isMaster ? flags : `${flags},handshake`,
    isMaster ? "-" : (role.master?.id ?? "-"),
    ...["0", "0", `${role.shard.epoch}`, "connected"],
    ...slots,
  ].join(" ");
};
