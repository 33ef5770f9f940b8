import { collectDefaultMetrics, Registry } from "prom-client";
import type { Report } from "../core/message.ts";
import type { Routes } from "../net/http.ts";
import { textPage } from "../net/http.ts";
import type { Listener } from "../net/listen.ts";
import type { Counters } from "./counters.ts";
import type { RespListener } from "./front/resp/server.ts";
import type { Usage } from "./memory.ts";
import { addersTo, addMemoryMetrics, addRespMetrics, type Sample } from "./metrics.ts";
import type { Store } from "./store/store.ts";

/** What the HTTP port shows: whether the process lives, whether it may be asked, and its figures for Prometheus. */
export type HealthOptions = {
  readonly report: () => Report;
  readonly counters: Counters;
  /** The cluster's bound; undefined before the first topology. */
  readonly lagMsMax: () => number | undefined;
  readonly registered: () => boolean;
  readonly ports: Readonly<Record<"client" | "replication", Listener>>;
  readonly resp: Pick<RespListener, "connections" | "counters" | "commandLatency">;
  readonly usage: Usage;
  /** What this process holds; null while that is nothing. */
  readonly store: () => Pick<Store, "usedBytes" | "memory" | "expiring"> | null;
};

/** Null where the process may be asked; else why not. */
export const unready = (
  { serving, leaving, home }: Report,
  { lagMsMax, registered }: { readonly lagMsMax: number | undefined; readonly registered: boolean },
): string | null => {
  if (leaving) return "leaving";
  switch (serving.kind) {
    case "nothing":
      if (lagMsMax === undefined) return "no topology yet";
      if (home === "reader") return "not assigned to a shard";
      // A writer whose shard waits for it must be seen as started, or its StatefulSet would not go on.
      return registered ? null : "owns nothing and is not registered with info";
    case "owner":
      return null;
    case "reader":
      if (serving.state !== "streaming") return serving.state;
      return lagMsMax !== undefined && serving.lag.ms > lagMsMax
        ? `${serving.lag.ms} ms behind, ${lagMsMax} are allowed`
        : null;
  }
};

export const healthRoutes = (options: HealthOptions): Routes => {
  // Made when first asked for: it watches the whole process, and costs who asks for nothing.
  let made: Registry | null = null;
  return {
    "/livez": () => textPage(200, "ok\n"),
    "/readyz": () => {
      const why = unready(options.report(), {
        lagMsMax: options.lagMsMax(),
        registered: options.registered(),
      });
      return why === null ? textPage(200, "ok\n") : textPage(503, `${why}\n`);
    },
    "/metrics": async () => {
      const registry = (made ??= createRegistry(options));
      return { status: 200, type: registry.contentType, body: await registry.metrics() };
    },
  };
};

const createRegistry = (options: HealthOptions): Registry => {
  const { report, counters, ports } = options;
  const registry = new Registry();
  // Memory, processor time, event loop delay, garbage collection of the process.
  collectDefaultMetrics({ register: registry });
  const { gauge, counter } = addersTo(registry);
  const only = (value: number): readonly Sample[] => [{ labels: {}, value }];

  counter("edis_shard_requests_total", "Operations answered, by kind and outcome.", () =>
    Object.entries(counters.requests).flatMap(([kind, outcomes]) =>
      [...outcomes].map(([outcome, value]) => ({ labels: { kind, outcome }, value })),
    ),
  );
  gauge("edis_shard_keys", "Keys held.", () => only(report().keys));
  gauge("edis_shard_bytes", "Bytes of keys and values held.", () => only(report().bytes));
  gauge("edis_shard_version", "Version of the newest record held.", () => only(report().version));
  gauge("edis_shard_owner", "1 while this process owns a shard.", () =>
    only(report().serving.kind === "owner" ? 1 : 0),
  );
  gauge("edis_shard_lag_ms", "At a reader: milliseconds behind its source.", () => {
    const { serving } = report();
    return serving.kind === "reader" ? only(serving.lag.ms) : [];
  });
  gauge("edis_shard_lag_versions", "At a reader: records behind its source.", () => {
    const { serving } = report();
    return serving.kind === "reader" ? only(serving.lag.versions) : [];
  });
  gauge("edis_shard_readers", "Processes that copy from this one.", () => only(report().readers.length));
  gauge("edis_shard_connections", "Open connections, by port.", () =>
    Object.entries(ports).map(([port, listener]) => ({ labels: { port }, value: listener.connections() })),
  );
  counter("edis_shard_refusals_total", "Connections refused or cut off, by port and error code.", () =>
    Object.entries(ports).flatMap(([port, { refusals }]) =>
      [...refusals].map(([code, value]) => ({ labels: { port, code }, value })),
    ),
  );
  replicationCounters(counters, (name, help, value) => {
    counter(name, help, () => only(value()));
  });
  addMemoryMetrics({ gauge, counter }, options);
  addRespMetrics({ gauge, counter }, options.resp);
  return registry;
};

const replicationCounters = (
  counters: Counters,
  add: (name: string, help: string, value: () => number) => void,
): void => {
  const sent = "Bytes of records and entries sent to readers.";
  add("edis_shard_replication_sent_bytes_total", sent, () => counters.sentBytes);
  const received = "Bytes of records and entries received from the source.";
  add("edis_shard_replication_received_bytes_total", received, () => counters.receivedBytes);
  add("edis_shard_full_copies_served_total", "Full copies begun for readers.", () => counters.copiesServed);
  add("edis_shard_full_copies_taken_total", "Full copies begun at this reader.", () => counters.copiesTaken);
  add("edis_shard_resyncs_served_total", "Readers that said where they stand.", () => counters.resyncsServed);
  add("edis_shard_resyncs_sent_total", "Times this reader said where it stands.", () => counters.resyncsSent);
  add(
    "edis_shard_broken_streams_total",
    "Streams that did not go on in order.",
    () => counters.brokenStreams,
  );
  const movedOut = "Bytes of entries and records sent with slots that leave.";
  add("edis_shard_moved_out_bytes_total", movedOut, () => counters.movedOutBytes);
  const movedIn = "Bytes of entries and records taken with slots that come.";
  add("edis_shard_moved_in_bytes_total", movedIn, () => counters.movedInBytes);
  add("edis_shard_expired_keys_total", "Expired keys removed by this owner.", () => counters.expiredKeys);
};
