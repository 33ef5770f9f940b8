import type { Report } from "../../../core/message.ts";
import { connectionsMax } from "../../../core/limits.ts";
import { ownerOf } from "../../../core/topology.ts";
import { shownKeys } from "../../holding.ts";
import type { Call } from "./command.ts";
import { memoryFigures } from "./memoryFigures.ts";
import { nodeId } from "./nodes.ts";

/** The release of Redis whose commands these are. */
export const redisVersion = "7.0.15";

/** INFO: sections by name, in Redis's words, each with what is true here. What is not true of this process is not there. */
export const infoText = (call: Call, asked: readonly Buffer[]): string => {
  const all = sections(call);
  const wanted = asked.map((name) => name.toString("latin1").toLowerCase());
  const isAll =
    wanted.length === 0 ||
    wanted.some((name) => name === "all" || name === "default" || name === "everything");
  return Object.entries(all)
    .filter(([name]) => isAll || wanted.includes(name.toLowerCase()))
    .map(([name, fields]) => {
      const lines = Object.entries(fields).map(([field, value]) => `${field}:${value}\r\n`);
      return `# ${name}\r\n${lines.join("")}`;
    })
    .join("\r\n");
};

type Section = Readonly<Record<string, string | number>>;

const sections = (call: Call): Readonly<Record<string, Section>> => {
  const { server, turn } = call;
  const { store } = turn.holding;
  const keys = shownKeys(turn.holding);
  const report = server.report();
  return {
    Server: aboutServer(call),
    Clients: {
      connected_clients: server.sessions.size,
      cluster_connections: 0,
      maxclients: connectionsMax,
      blocked_clients: [...server.sessions.values()].filter(({ pending }) => pending !== null).length,
    },
    Memory: memory(call),
    Persistence: {
      loading: 0,
      async_loading: 0,
      rdb_bgsave_in_progress: server.roles.held()?.log.figures().isSnapshotting === true ? 1 : 0,
      aof_enabled: 1,
    },
    Stats: stats(call),
    Replication: replication(call, report),
    CPU: cpu(),
    Cluster: { cluster_enabled: 1 },
    Keyspace: keys === 0 ? {} : { db0: `keys=${keys},expires=${store.expiring()}` },
  };
};

const aboutServer = ({ server, turn }: Call): Section => {
  const upSeconds = Math.floor((server.clock.nowMs() - server.startedAtMs) / 1000);
  return {
    redis_version: redisVersion,
    redis_mode: "cluster",
    server_name: "edis",
    os: `${process.platform} ${process.arch}`,
    arch_bits: 64,
    process_id: process.pid,
    run_id: nodeId(server.clusterId, `${server.self.pod}/${server.self.incarnation}`),
    tcp_port: server.port(),
    server_time_usec: turn.wallMs * 1000,
    uptime_in_seconds: upSeconds,
    uptime_in_days: Math.floor(upSeconds / 86_400),
  };
};

const memory = (call: Call): Section => {
  const figures = memoryFigures(call);
  const { usage } = call.turn;
  return {
    used_memory: figures.used,
    used_memory_human: human(figures.used),
    used_memory_rss: figures.resident,
    used_memory_rss_human: human(figures.resident),
    used_memory_peak: figures.peak,
    used_memory_peak_human: human(figures.peak),
    used_memory_peak_perc: percent(figures.used, figures.peak),
    used_memory_overhead: figures.used - figures.dataset,
    used_memory_dataset: figures.dataset,
    used_memory_dataset_perc: percent(figures.dataset, figures.used),
    allocator_allocated: figures.used,
    allocator_active: figures.used + figures.dead,
    total_system_memory: figures.system,
    total_system_memory_human: human(figures.system),
    maxmemory: figures.max,
    maxmemory_human: human(figures.max),
    maxmemory_policy: usage.eviction,
    mem_fragmentation_ratio: (figures.resident / Math.max(1, figures.used)).toFixed(2),
    mem_fragmentation_bytes: figures.resident - figures.used,
    mem_clients_normal: figures.clients,
    mem_allocator: "segments",
    lazyfree_pending_objects: 0,
  };
};

const stats = ({ server, turn }: Call): Section => {
  const { counters, processCounters } = server;
  const rate = server.rates.perSecond();
  return {
    total_connections_received: counters.connections,
    total_commands_processed: counters.commands,
    instantaneous_ops_per_sec: Math.round(rate.commands),
    total_net_input_bytes: counters.inputBytes,
    total_net_output_bytes: counters.outputBytes,
    total_net_repl_input_bytes: processCounters.receivedBytes,
    total_net_repl_output_bytes: processCounters.sentBytes,
    instantaneous_input_kbps: (rate.inputBytes / 1024).toFixed(2),
    instantaneous_output_kbps: (rate.outputBytes / 1024).toFixed(2),
    rejected_connections: counters.rejected,
    sync_full: processCounters.copiesServed,
    sync_partial_ok: processCounters.resyncsServed - processCounters.copiesServed,
    expired_keys: processCounters.expiredKeys,
    evicted_keys: turn.usage.evictedKeys,
    evicted_clients: 0,
    keyspace_hits: turn.usage.hits + processCounters.hits,
    keyspace_misses: turn.usage.misses + processCounters.misses,
    pubsub_channels: 0,
    pubsub_patterns: 0,
    total_error_replies: counters.errors,
  };
};

const replication = ({ server, turn }: Call, { serving, readers }: Report): Section => {
  const { bytes: offset } = turn.holding;
  const index = server.topology();
  const slaves = readers.map(({ pod, state, lag }, i) => {
    const address = index?.members.get(pod)?.address;
    const fields = [
      `ip=${address?.host ?? "?"}`,
      `port=${address?.resp ?? 0}`,
      `state=${state === "streaming" ? "online" : "wait_bgsave"}`,
      `offset=${Math.max(0, offset - lag.bytes)}`,
      `lag=${Math.floor(lag.ms / 1000)}`,
    ];
    return [`slave${i}`, fields.join(",")] as const;
  });
  const shared = {
    connected_slaves: readers.length,
    ...Object.fromEntries(slaves),
    // One history per epoch of a shard.
    master_replid: nodeId(server.clusterId, `shard ${turn.holding.shard}, epoch ${turn.holding.epoch}`),
    master_repl_offset: offset,
    second_repl_offset: -1,
  };
  if (serving.kind !== "reader") return { role: "master", ...shared };
  const owner = index === undefined ? undefined : ownerOf(index, serving.shard)?.address;
  return {
    role: "slave",
    master_host: owner?.host ?? "?",
    master_port: owner?.resp ?? 0,
    master_link_status: serving.state === "streaming" ? "up" : "down",
    master_last_io_seconds_ago: Math.floor(serving.lag.ms / 1000),
    master_sync_in_progress: serving.state === "copying" ? 1 : 0,
    slave_read_repl_offset: offset,
    slave_repl_offset: offset,
    slave_priority: 100,
    slave_read_only: 1,
    replica_announced: 1,
    ...shared,
  };
};

const cpu = (): Section => {
  const { user, system } = process.cpuUsage();
  return { used_cpu_sys: (system / 1e6).toFixed(6), used_cpu_user: (user / 1e6).toFixed(6) };
};

const percent = (part: number, whole: number): string =>
  `${whole === 0 ? "0.00" : ((part / whole) * 100).toFixed(2)}%`;

const human = (bytes: number): string => {
  const unit = Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return unit === 0 ? `${bytes}B` : `${(bytes / 2 ** (unit * 10)).toFixed(2)}${"BKMGT"[unit] ?? ""}`;
};
