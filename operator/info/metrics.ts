import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ErrorCode } from "../../core/errors.ts";
import { countSlots } from "../../core/topology.ts";
import { createDecisionMetrics, type Decided } from "./decisionMetrics.ts";
import type { ClusterView } from "./info.ts";

/** What Prometheus reads from the operator. */
export type Metrics = {
  readonly text: () => Promise<string>;
  readonly reconciled: (cluster: string, seconds: number, failed: boolean) => void;
  readonly decided: (cluster: string, decided: Decided) => void;
};

export type MetricSources = {
  readonly clusters: () => readonly ClusterView[];
  readonly leads: () => boolean;
  readonly refusals: () => ReadonlyMap<ErrorCode, number>;
  readonly connections: () => number;
};

/** Figures that are states are read when somebody asks for them; nothing is kept twice. */
export const createMetrics = (sources: MetricSources): Metrics => {
  const register = new Registry();
  const registers = [register];
  let isWatched = false;
  const gauge = <Label extends string>(
    { name, help, labelNames }: { name: string; help: string; labelNames: readonly Label[] },
    collect: (gauge: Gauge<Label>) => void,
  ): void => {
    new Gauge({
      name: `edis_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        collect(this);
      },
    });
  };
  stateGauges(gauge, sources);
  clusterGauges(gauge, sources.clusters);
  rebalanceGauges(gauge, sources.clusters);

  new Counter({
    name: "edis_info_refusals_total",
    help: "Connections refused or cut off, by error code.",
    labelNames: ["code"],
    registers,
    collect() {
      this.reset();
      for (const [code, count] of sources.refusals()) this.inc({ code }, count);
    },
  });
  const seconds = new Histogram({
    name: "edis_operator_reconcile_seconds",
    help: "How long a reconcile took.",
    labelNames: ["cluster"],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers,
  });
  const errors = new Counter({
    name: "edis_operator_reconcile_errors_total",
    help: "Reconciles that failed and were repeated.",
    labelNames: ["cluster"],
    registers,
  });
  return {
    text: () => {
      // Memory, processor time, event loop delay, garbage collection of the process: watched from the first time somebody asks.
      if (!isWatched) collectDefaultMetrics({ register });
      isWatched = true;
      return register.metrics();
    },
    decided: createDecisionMetrics(register),
    reconciled: (cluster, took, failed) => {
      seconds.observe({ cluster }, took);
      if (failed) errors.inc({ cluster });
    },
  };
};

type MakeGauge = <Label extends string>(
  about: { readonly name: string; readonly help: string; readonly labelNames: readonly Label[] },
  collect: (gauge: Gauge<Label>) => void,
) => void;

const stateGauges = (gauge: MakeGauge, { leads, connections }: MetricSources): void => {
  gauge({ name: "operator_leads", help: "1 while this operator leads.", labelNames: [] }, (self) => {
    self.set(leads() ? 1 : 0);
  });
  gauge({ name: "info_connections", help: "Open connections at the info port.", labelNames: [] }, (self) => {
    self.set(connections());
  });
};

const rebalanceGauges = (gauge: MakeGauge, clusters: MetricSources["clusters"]): void => {
  const figures = {
    slots: ["slotsDone", "slotsInAll"],
    keys: ["keysDone", "keysInAll"],
    bytes: ["bytesDone", "bytesInAll"],
  } as const;
  for (const [what, [done, inAll]] of Object.entries(figures)) {
    gauge(
      {
        name: `rebalance_${what}`,
        help: `Of slots on their way: ${what} that have arrived (state done) and that are to in all (state all). None while nothing moves.`,
        labelNames: ["cluster", "state"],
      },
      (self) => {
        for (const { key, status } of clusters()) {
          const rebalance = status?.rebalance ?? null;
          if (rebalance === null) continue;
          self.set({ cluster: key, state: "done" }, rebalance[done]);
          self.set({ cluster: key, state: "all" }, rebalance[inAll]);
        }
      },
    );
  }
  gauge(
    { name: "moves", help: "Moves of slots under way, by stage.", labelNames: ["cluster", "stage"] },
    (self) => {
      for (const { key, topology } of clusters()) {
        for (const stage of ["copying", "freezing"] as const) {
          const moves = topology?.moves.filter((move) => move.stage === stage) ?? [];
          self.set({ cluster: key, stage }, moves.length);
        }
      }
    },
  );
};

const clusterGauges = (gauge: MakeGauge, clusters: MetricSources["clusters"]): void => {
  gauge(
    { name: "info_sessions", help: "Shard processes connected to info.", labelNames: ["cluster", "home"] },
    (self) => {
      for (const { key, sessions } of clusters()) {
        for (const home of ["writer", "reader"] as const) {
          const count = sessions.filter(({ registered }) => registered.home === home).length;
          self.set({ cluster: key, home }, count);
        }
      }
    },
  );
  gauge({ name: "info_watchers", help: "Clients connected to info.", labelNames: ["cluster"] }, (self) => {
    for (const { key, watchers } of clusters()) self.set({ cluster: key }, watchers);
  });
  gauge(
    { name: "topology_revision", help: "Topologies published in this term.", labelNames: ["cluster"] },
    (self) => {
      for (const { key, topology } of clusters()) self.set({ cluster: key }, topology?.revision ?? 0);
    },
  );
  gauge(
    { name: "shard_slots", help: "Slots that a shard owns.", labelNames: ["cluster", "shard"] },
    (self) => {
      for (const { key, topology } of clusters()) {
        for (const { id, slots } of topology?.shards ?? []) {
          self.set({ cluster: key, shard: String(id) }, countSlots(slots));
        }
      }
    },
  );
  gauge(
    {
      name: "shard_reader_lag_seconds",
      help: "Lag of the reader of a shard that is furthest behind.",
      labelNames: ["cluster", "shard"],
    },
    (self) => {
      for (const { key, status } of clusters()) {
        for (const { id, lagMs } of status?.shards ?? []) {
          if (lagMs >= 0) self.set({ cluster: key, shard: String(id) }, lagMs / 1000);
        }
      }
    },
  );
};
