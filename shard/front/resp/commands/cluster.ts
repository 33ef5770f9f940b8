import { check } from "../../../../core/check.ts";
import { slot as slotFrom, slotCount, type Slot } from "../../../../core/ids.ts";
import { slotOf } from "../../../../core/slot.ts";
import { countSlots } from "../../../../core/topology.ts";
import type { Turn } from "../../../turn.ts";
import { arg, command, container, notInteger, ReplyError, type Call, type Command } from "../command.ts";
import { groupsOf, nodeId, nodeLine, type Group, type Node } from "../nodes.ts";
import { parseLong } from "../numbers.ts";
import type { Replies } from "../replies.ts";

const groups = ({ server }: Call): readonly Group[] => groupsOf(server.topology());

const slots = (call: Call): void => {
  const { reply } = call;
  const shown = groups(call).flatMap((group) => group.shard.slots.map((range) => ({ group, range })));
  const known = shown.filter(({ group }) => group.master !== null);
  reply.array(known.length);
  for (const { group, range } of known) {
    const nodes = [group.master, ...group.replicas.filter(({ isServing }) => isServing)];
    reply.array(2 + nodes.length);
    reply.integer(range[0]);
    reply.integer(range[1]);
    for (const node of nodes) if (node !== null) slotNode(reply, node);
  }
};

const slotNode = (reply: Replies, { id, member: { address } }: Node): void => {
  reply.array(4);
  reply.text(address.host);
  reply.integer(address.resp);
  reply.text(id);
  reply.array(0);
};

const shards = (call: Call): void => {
  const { reply } = call;
  const all = groups(call);
  reply.array(all.length);
  for (const { shard, master, replicas } of all) {
    reply.map(2);
    reply.text("slots");
    reply.array(shard.slots.length * 2);
    for (const [from, to] of shard.slots) {
      reply.integer(from);
      reply.integer(to);
    }
    reply.text("nodes");
    const nodes = [...(master === null ? [] : [master]), ...replicas];
    reply.array(nodes.length);
    for (const node of nodes) shardNode(call, node, node === master);
  }
};

const shardNode = ({ reply, turn }: Call, { id, member, isServing }: Node, isMaster: boolean): void => {
  const { host, resp } = member.address;
  reply.map(7);
  reply.text("id");
  reply.text(id);
  reply.text("port");
  reply.integer(resp);
  reply.text("ip");
  reply.text(host);
  reply.text("endpoint");
  reply.text(host);
  reply.text("role");
  reply.text(isMaster ? "master" : "replica");
  reply.text("replication-offset");
  reply.integer(turn.holding.bytes);
  reply.text("health");
  reply.text(isServing || isMaster ? "online" : "loading");
};

const nodes = (call: Call): void => {
  const { pod } = call.server.self;
  const lines = groups(call).flatMap(({ shard, master, replicas }) =>
    [...(master === null ? [] : [master]), ...replicas].map((node) =>
      nodeLine(node, { master, shard, isSelf: node.member.pod === pod }),
    ),
  );
  call.reply.verbatim(`${lines.join("\n")}\n`);
};

const info = (call: Call): void => {
  const all = groups(call);
  const assigned = all.reduce((sum, { shard }) => sum + countSlots(shard.slots), 0);
  const served = all.reduce(
    (sum, { shard, master }) => sum + (master === null ? 0 : countSlots(shard.slots)),
    0,
  );
  const epochs = all.map(({ shard }) => shard.epoch as number);
  const own = all.find(({ master, replicas }) =>
    [master, ...replicas].some((node) => node?.member.pod === call.server.self.pod),
  );
  const lines = [
    `cluster_state:${served === slotCount ? "ok" : "fail"}`,
    `cluster_slots_assigned:${assigned}`,
    `cluster_slots_ok:${served}`,
    "cluster_slots_pfail:0",
    `cluster_slots_fail:${assigned - served}`,
    `cluster_known_nodes:${all.reduce((sum, { master, replicas }) => sum + replicas.length + (master === null ? 0 : 1), 0)}`,
    `cluster_size:${all.filter(({ shard }) => shard.slots.length > 0).length}`,
    `cluster_current_epoch:${Math.max(0, ...epochs)}`,
    `cluster_my_epoch:${own?.shard.epoch ?? 0}`,
    "cluster_stats_messages_sent:0",
    "cluster_stats_messages_received:0",
    "total_cluster_links_buffer_limit_exceeded:0",
  ];
  call.reply.verbatim(`${lines.join("\r\n")}\r\n`);
};

const myId = ({ reply, server }: Call): void => {
  reply.text(nodeId(server.clusterId, server.self.pod));
};

const keySlot = ({ args, reply }: Call): void => {
  reply.integer(slotOf(arg(args, 2)));
};

const slotIn = (bytes: Buffer): number => {
  const n = parseLong(bytes);
  if (n === undefined) throw notInteger();
  return n;
};

const isSlot = (n: number): boolean => n >= 0 && n < slotCount;

/** As in Redis, with those that have expired and were not removed yet. */
const countKeysInSlot = ({ args, turn, reply }: Call): void => {
  const slot = slotIn(arg(args, 2));
  if (!isSlot(slot)) throw new ReplyError("ERR Invalid slot");
  reply.integer(shownInSlot(turn, slotFrom(slot)));
};

/** None of a slot that is not the shard's own: they are on their way. */
const shownInSlot = ({ holding }: Turn, slot: Slot): number =>
  holding.slots[slot] === 0 ? 0 : holding.store.slotKeys(slot);

const getKeysInSlot = ({ args, turn, reply }: Call): void => {
  const { store } = turn.holding;
  const slot = slotIn(arg(args, 2));
  const max = slotIn(arg(args, 3));
  if (!isSlot(slot) || max < 0) throw new ReplyError("ERR Invalid slot or number of keys");
  const count = Math.min(max, shownInSlot(turn, slotFrom(slot)));
  reply.array(count);
  const walk = store.walkSlot(slotFrom(slot));
  for (let i = 0; i < count; i++) {
    const next = walk.next();
    check(next.done !== true, "a slot has as many keys as it counts");
    reply.bulk(next.value.key);
  }
};

const failureReports = (call: Call): void => {
  const id = arg(call.args, 2).toString("latin1");
  const known = groups(call).flatMap(({ master, replicas }) => [master, ...replicas]);
  if (!known.some((node) => node?.id === id)) throw new ReplyError(`ERR Unknown node ${id}`);
  // Who is gone is decided by info alone.
  call.reply.integer(0);
};

const flags = ["stale"] as const;

/** CLUSTER and its subcommands: what clients and tools read. Nothing of the cluster is changed by them. */
export const cluster: Command = container("cluster", [
  command(["cluster|slots", 2, null], flags, slots),
  command(["cluster|shards", 2, null], flags, shards),
  command(["cluster|nodes", 2, null], flags, nodes),
  command(["cluster|info", 2, null], flags, info),
  command(["cluster|myid", 2, null], flags, myId),
  command(["cluster|keyslot", 3, null], flags, keySlot),
  command(["cluster|countkeysinslot", 3, null], flags, countKeysInSlot),
  command(["cluster|getkeysinslot", 4, null], flags, getKeysInSlot),
  command(["cluster|count-failure-reports", 3, null], flags, failureReports),
]);
