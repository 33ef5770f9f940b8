import { createHash } from "node:crypto";
import { isoTime, type Clock } from "../../core/clock.ts";
import type { PlannedEvent } from "../plan/model.ts";
import { apiVersion } from "../schema.ts";
import type { ShardCluster } from "../shardCluster.ts";
import { isStatus, mergePatch, type Api } from "./api.ts";
import { shardClusters } from "./crds.ts";
import { collection } from "./paths.ts";

/** Kubernetes keeps events for an hour; as many different ones are remembered, to be counted instead of repeated. */
const eventsMax = 1000;

/** Records events at their ShardCluster, where `kubectl describe` shows them. The same one again raises its count. */
export const createEvents = (api: Api, clock: Clock, reporter: string): RecordEvent => {
  const counts = new Map<string, number>();
  return async (cluster, event) => {
    const { namespace, name, uid } = cluster;
    const { type, reason, message } = event;
    const digest = createHash("sha256")
      .update(JSON.stringify([uid, type, reason, message]))
      .digest("hex");
    const events = collection("v1", "events", namespace);
    const eventName = `${name}.${digest.slice(0, 16)}`;
    const now = isoTime(clock.wallMs());
    const count = (counts.get(digest) ?? 0) + 1;
    const again = { method: "PATCH", path: `${events}/${eventName}`, contentType: mergePatch } as const;
    const raise = { ...again, body: { count, lastTimestamp: now } };

    counts.delete(digest);
    counts.set(digest, count);
    for (const oldest of counts.keys()) {
      if (counts.size <= eventsMax) break;
      counts.delete(oldest);
    }

    if (count > 1) {
      const raised = await api.request(raise).catch((error: unknown) => {
        if (isStatus(error, 404)) return undefined;
        throw error;
      });
      if (raised !== undefined) return;
    }
    const body = {
      metadata: { name: eventName, namespace },
      involvedObject: { apiVersion, kind: shardClusters.kind, namespace, name, uid },
      type,
      reason,
      message: message.slice(0, 1024),
      count,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component: "edis-operator" },
      reportingComponent: "edis-operator",
      reportingInstance: reporter,
    };
    await api.request({ method: "POST", path: events, body }).catch((error: unknown) => {
      // An operator before this one recorded the same.
      if (isStatus(error, 409)) return api.request(raise);
      throw error;
    });
  };
};

export type RecordEvent = (cluster: ShardCluster, event: PlannedEvent) => Promise<void>;
