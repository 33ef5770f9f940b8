import { Counter, Gauge, type Registry } from "prom-client";
import type { Counters } from "./counters.ts";
import type { HealthOptions } from "./health.ts";

/** Figures for Prometheus, each read when it is asked for. */
export type Sample = { readonly labels: Record<string, string>; readonly value: number };
export type Adders = {
  readonly gauge: (name: string, help: string, read: () => readonly Sample[]) => void;
  readonly counter: (name: string, help: string, read: () => readonly Sample[]) => void;
};

const labelsOf: Readonly<Record<string, string[]>> = {
  edis_shard_requests_total: ["kind", "outcome"],
  edis_shard_connections: ["port"],
  edis_shard_refusals_total: ["port", "code"],
  edis_shard_memory_policy: ["eviction"],
  edis_shard_promised_epoch: ["shard"],
  edis_shard_keyspace_hits_total: ["protocol"],
  edis_shard_keyspace_misses_total: ["protocol"],
  edis_shard_resp_calls_total: ["command"],
  edis_shard_resp_latency_ms: ["family", "quantile"],
  edis_shard_resp_latency_ms_total: ["family"],
  edis_shard_resp_latency_batches_total: ["family"],
};

export const addersTo = (registry: Registry): Adders => ({
  gauge: (name, help, read) => {
    const metric: Gauge = new Gauge({
      ...{ name, help, labelNames: labelsOf[name] ?? [], registers: [registry] },
      collect: () => {
        metric.reset();
        for (const { labels, value } of read()) metric.set(labels, value);
      },
    });
  },
  counter: (name, help, read) => {
    const metric: Counter = new Counter({
      ...{ name, help, labelNames: labelsOf[name] ?? [], registers: [registry] },
      collect: () => {
        metric.reset();
        for (const { labels, value } of read()) metric.inc(labels, value);
      },
    });
  },
});

const only = (value: number): readonly Sample[] => [{ labels: {}, value }];

export const addOwnershipMetrics = (
  { gauge, counter }: Adders,
  { report, roles, counters }: Pick<HealthOptions, "report" | "roles" | "counters">,
): void => {
  gauge("edis_shard_lease_left_ms", "At an owner: how long it may answer still; 0 since it may not.", () => {
    const leftMs = roles.leaseLeftMs();
    return leftMs === null ? [] : only(Math.max(0, leftMs));
  });
  gauge("edis_shard_in_sync", "At an owner: how many are in sync with it.", () => {
    const { serving } = report();
    return serving.kind === "owner" ? only(serving.sync.members.length) : [];
  });
  gauge("edis_shard_promised_epoch", "No owner of the shard below this epoch is obeyed.", () => {
    const { promised } = report();
    return promised === null ? [] : [{ labels: { shard: String(promised.shard) }, value: promised.epoch }];
  });
  counter(
    "edis_shard_no_lease_total",
    "Requests refused, and batches of commands that came, while this owner had no lease.",
    () => only(counters.noLease),
  );
  counter(
    "edis_shard_quarantined_records_total",
    "Records that the shard's history has lost: kept aside when another owner was followed.",
    () => only(counters.quarantinedRecords),
  );
};

export const addMemoryMetrics = (
  { gauge, counter }: Adders,
  { usage, store, counters }: Pick<HealthOptions, "usage" | "store"> & { readonly counters: Counters },
): void => {
  gauge(
    "edis_shard_memory_used_bytes",
    "Bytes of entries, index and deadlines: what the maximum is for.",
    () => only(store()?.usedBytes() ?? 0),
  );
  gauge("edis_shard_memory_max_bytes", "The maximum; 0 where there is none.", () =>
    only(Number.isFinite(usage.maxBytes) ? usage.maxBytes : 0),
  );
  gauge("edis_shard_memory_dead_bytes", "Bytes that compaction can give back.", () =>
    only(store()?.memory().deadBytes ?? 0),
  );
  gauge("edis_shard_memory_policy", "1 for the eviction that is set.", () => [
    { labels: { eviction: usage.eviction }, value: 1 },
  ]);
  gauge("edis_shard_expiring_keys", "Keys that have an instant at which they expire.", () =>
    only(store()?.expiring() ?? 0),
  );
  counter("edis_shard_evicted_keys_total", "Keys that this owner evicted.", () => only(usage.evictedKeys));
  counter("edis_shard_refused_writes_total", "Writes refused for want of memory.", () =>
    only(usage.refusedWrites),
  );
  const both = (resp: number, edis: number): readonly Sample[] => [
    { labels: { protocol: "resp" }, value: resp },
    { labels: { protocol: "edis" }, value: edis },
  ];
  counter("edis_shard_keyspace_hits_total", "Reads of keys that were there.", () =>
    both(usage.hits, counters.hits),
  );
  counter("edis_shard_keyspace_misses_total", "Reads of keys that were not there.", () =>
    both(usage.misses, counters.misses),
  );
};

export const addRespMetrics = ({ gauge, counter }: Adders, resp: HealthOptions["resp"]): void => {
  const { counters } = resp;
  gauge("edis_shard_resp_clients", "Connected Redis clients.", () => only(resp.connections()));
  counter("edis_shard_resp_connections_total", "Redis clients that have connected.", () =>
    only(counters.connections),
  );
  counter("edis_shard_resp_rejected_connections_total", "Redis clients beyond the maximum.", () =>
    only(counters.rejected),
  );
  counter("edis_shard_resp_commands_total", "Commands of Redis clients.", () => only(counters.commands));
  counter("edis_shard_resp_calls_total", "The same by command.", () =>
    counters.calls.all().map(({ name, calls }) => ({ labels: { command: name }, value: calls })),
  );
  counter("edis_shard_resp_errors_total", "Replies that are errors.", () => only(counters.errors));
  counter("edis_shard_resp_input_bytes_total", "Bytes from Redis clients.", () => only(counters.inputBytes));
  counter("edis_shard_resp_output_bytes_total", "Bytes to Redis clients.", () => only(counters.outputBytes));
  gauge(
    "edis_shard_resp_latency_ms",
    "From the read that brought commands to the moment when their replies may go, since the start.",
    () =>
      resp
        .commandLatency()
        .flatMap(({ family, p50Ms, p99Ms, p999Ms, maxMs }) =>
          Object.entries({ "0.5": p50Ms, "0.99": p99Ms, "0.999": p999Ms, "1": maxMs }).map(
            ([quantile, value]) => ({ labels: { family, quantile }, value }),
          ),
        ),
  );
  counter("edis_shard_resp_latency_ms_total", "The sum of those times.", () =>
    resp.commandLatency().map(({ family, sumMs }) => ({ labels: { family }, value: sumMs })),
  );
  counter(
    "edis_shard_resp_latency_batches_total",
    "How many times were measured: of commands that came together.",
    () => resp.commandLatency().map(({ family, count }) => ({ labels: { family }, value: count })),
  );
};
