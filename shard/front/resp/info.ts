import type { Report } from "../../../core/message.ts";
import type { Call } from "./command.ts";
import { nodeId } from "./nodes.ts";

/** The release of Redis whose commands these are. */
export const redisVersion = "7.0.15";

/** INFO: sections by name, in Redis's words, each with what is true here. */
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

const sections = ({ server, turn }: Call): Readonly<Record<string, Section>> => {
  const report = server.report();
  const upSeconds = Math.floor((server.clock.nowMs() - server.startedAtMs) / 1000);
  const memory = process.memoryUsage();
  const keys = turn.holding.store.keys();
  return {
    Server: {
      redis_version: redisVersion,
      redis_mode: "cluster",
      server_name: "edis",
      os: `${process.platform} ${process.arch}`,
      arch_bits: 64,
      process_id: process.pid,
      run_id: nodeId(server.clusterId, `${server.self.pod}/${server.self.incarnation}`),
      tcp_port: server.port(),
      uptime_in_seconds: upSeconds,
      uptime_in_days: Math.floor(upSeconds / 86_400),
    },
    Clients: { connected_clients: server.sessions.size, cluster_connections: 0, blocked_clients: 0 },
    Memory: {
      used_memory: memory.heapUsed + memory.external,
      used_memory_rss: memory.rss,
      used_memory_dataset: report.bytes,
      maxmemory: 0,
      maxmemory_policy: "noeviction",
    },
    Persistence: { loading: 0, rdb_bgsave_in_progress: 0, aof_enabled: 0 },
    Stats: {
      total_connections_received: server.counters.connections,
      total_commands_processed: server.counters.commands,
      rejected_connections: server.counters.rejected,
    },
    Replication: replication(report, turn.holding.bytes),
    CPU: cpu(),
    Cluster: { cluster_enabled: 1 },
    Keyspace: keys === 0 ? {} : { db0: `keys=${keys}` },
  };
};

const replication = ({ serving, readers }: Report, offset: number): Section => {
  const slaves = readers.map(
    ({ pod, state, lag }, i) =>
      [`slave${i}`, `pod=${pod},state=${state === "streaming" ? "online" : state},lag=${lag.ms}`] as const,
  );
  const shared = {
    connected_slaves: readers.length,
    ...Object.fromEntries(slaves),
    master_repl_offset: offset,
  };
  if (serving.kind !== "reader") return { role: "master", ...shared };
  return {
    role: "slave",
    master_link_status: serving.state === "streaming" ? "up" : "down",
    master_sync_in_progress: serving.state === "copying" ? 1 : 0,
    slave_read_only: 1,
    ...shared,
  };
};

const cpu = (): Section => {
  const { user, system } = process.cpuUsage();
  return { used_cpu_sys: (system / 1e6).toFixed(6), used_cpu_user: (user / 1e6).toFixed(6) };
};
